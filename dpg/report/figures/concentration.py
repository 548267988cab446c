"""The reward landscape from fewer and more trajectories (paper, fig. 6, 25, 26): `landscape/concentration.csv`."""

import pandas as pd
from matplotlib.figure import Figure

from dpg.report import style
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.figures import landscape
from dpg.report.figures.spec import FigureSpec, PaperFigure
from dpg.report.wording import counted
from dpg.tables.landscape import Resolution, SubsampledPoint
from dpg.tables.table import Section


def _first_regime(experiment: Experiment) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Points and resolution of the updates from the first batch size."""
    first = experiment.where(update_pairs=distinct(experiment[SubsampledPoint], "update_pairs")[0])
    return first[SubsampledPoint], first[Resolution]


def plot(experiment: Experiment) -> Figure:
    """For one agent and the first batch size: one row per checkpoint, one column per budget of pairs."""
    concentration, resolution = _first_regime(experiment)
    iterations, budgets = distinct(concentration, "iteration"), distinct(concentration, "budget_pairs")
    width = min(style.WIDTH, max(style.NARROW, 0.35 + 2.15 * len(budgets)))
    head, foot, row_height = (0.45 if width == style.WIDTH else 0.6), 0.35, 1.95
    height = head + foot + row_height * len(iterations)
    figure = Figure(figsize=(width, height))
    lines = landscape.title(concentration, experiment), "reward from fewer and more trajectories"
    figure.suptitle((", " if width == style.WIDTH else "\n").join(lines), y=1 - 0.12 / height)
    sides = (0.24 / width, 1 - 0.3 / width)
    grid = landscape.grid(figure, (len(iterations), len(budgets)), sides, head, foot, wspace=0.2, hspace=0.16)
    for row, iteration in enumerate(iterations):
        rows = select(concentration, iteration=iteration)
        limits = (rows["reward"].min(), rows["reward"].max())
        for column, budget in enumerate(budgets):
            some = select(rows, budget_pairs=budget)
            found = select(resolution, iteration=iteration, budget_pairs=budget).iloc[0]
            axes = landscape.surface(figure, grid, row, column, some, "reward")
            if limits[0] < limits[1]:
                axes.set_zlim(*limits)
            axes.set_title(
                f"{budget:,} pairs, {counted(some['trajectories'], 'trajectory')}\nresolved: {_resolved(found)}",
                y=0.97,
                pad=0,
                fontsize=6.5,
            )
            if column == 0:
                middle = axes.get_position().y0 + axes.get_position().height / 2
                figure.text(0.09 / width, middle, f"iteration {iteration}", rotation=90, ha="left", va="center")
    figure.legend(handles=landscape.marks(), loc="lower center", ncols=2, bbox_to_anchor=(0.5, 0.0))
    return figure


def caption(experiment: Experiment) -> str:
    concentration, resolution = _first_regime(experiment)
    first, confidence = concentration.iloc[0], experiment.statistics.confidence
    kinds = ("own",) if resolution["shared_noise_share"].isna().all() else ("own", "shared")
    shared = (
        " Shared noise: for these points as they were measured, with the same initial states and action noise."
        if "shared" in kinds
        else ""
    )
    noise = ". ".join(_noise(rows, kinds) for _, rows in resolution.groupby("iteration"))
    return (
        "Figures 6, 25 and 26 of the paper (the same for other cells). The reward landscape around the snapshots of "
        f"agent {first['agent']}, {experiment.label(first['algorithm'])} on {first['env']}, on the plane of the "
        f"update from {first['update_pairs']:,} pairs, from the first trajectories alone: one column per budget of "
        "pairs for a point, all from one collection. Heights share one scale in a row. Above each panel: the "
        "trajectories per point, and the share of pairs of grid points that are resolved, where the "
        f"{confidence:.0%} interval of the difference excludes zero (of equal points, {1 - confidence:.0%} would be). "
        f"Own noise: for points that share nothing, as the policies that a trainer compares.{shared} Share of the "
        f"variance between neighbours on the grid that is sampling noise, {' / '.join(kinds)}: {noise}."
    )


def _resolved(resolution: pd.Series) -> str:
    """The shares of resolved pairs of points, with own noise and, if it was shared, with shared noise."""
    own, shared = resolution["own_resolved_share"], resolution["shared_resolved_share"]
    return f"{own:.0%}, own noise" if pd.isna(shared) else f"{own:.0%} own noise, {shared:.0%} shared"


def _noise(rows: pd.DataFrame, kinds: tuple[str, ...]) -> str:
    """The noise of each kind in the landscapes of one iteration, by budget."""
    columns = [f"{kind}_noise_share" for kind in kinds]
    parts = (
        f"{' / '.join(f'{row[column]:.0%}' for column in columns)} ({row['budget_pairs']:,} pairs)"
        for row in rows.to_dict("records")
    )
    return f"iteration {rows['iteration'].iloc[0]}: {', '.join(parts)}"


FIGURE = FigureSpec(
    "fig06_concentration",
    "concentration of the reward landscape",
    Section.LANDSCAPES,
    tables=(SubsampledPoint, Resolution),
    plot=plot,
    caption=caption,
    paper=(
        PaperFigure(6, ("Humanoid",), ("trpo",)),
        PaperFigure(25, ("Humanoid",), ("trpo",)),
        PaperFigure(26, ("Humanoid",), ("ppo",)),
    ),
    per=("env", "algorithm", "agent"),
)
