"""Surrogate and reward by algorithm, checkpoint and regime, in a few numbers: `data/tables/landscape`."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dpg.report import style
from dpg.report.alignment import summarize
from dpg.report.tables import distinct, select
from dpg.runtime.schema import Statistics

NAME = "fig07_alignment"

_COLUMNS = {
    "grid_correlation": "rank correlation, grid",
    "step_correlation": "rank correlation, along the step",
    "relative_gain": "gain of the full step (% of the reward)",
}


@style.paper()
def draw(alignment: pd.DataFrame, statistics: Statistics) -> Figure:
    """The numbers behind figures 7, 8 and 16 to 24 for one task: rank correlations, and what a full step gains."""
    algorithms, regimes = distinct(alignment, "algorithm"), distinct(alignment, "update_pairs")
    figure = style.new_figure(style.WIDTH, 2.9)
    panels = figure.subplots(1, len(_COLUMNS), sharex=True)
    for axes, (column, label) in zip(panels, _COLUMNS.items(), strict=True):
        side_by_side(axes, summarize(alignment, column, statistics))
        axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1)
        axes.set_ylabel(label)
        if column == "relative_gain":
            axes.yaxis.set_major_locator(MaxNLocator(6))
        else:
            axes.set_ylim(-1.08, 1.08)
    figure.suptitle(f"{distinct(alignment, 'env')[0]}, surrogate and reward")
    style.legend_below(figure, regime_handles(algorithms, regimes), columns=4)
    return figure


def side_by_side(axes: Axes, rows: pd.DataFrame) -> None:
    """At every checkpoint a point with its interval for each algorithm and each of its regimes, in their order."""
    iterations = sorted(distinct(rows, "iteration"))
    regimes = sorted(distinct(rows, "update_pairs"))
    places = [(algorithm, pairs) for algorithm in distinct(rows, "algorithm") for pairs in regimes]
    for index, (algorithm, pairs) in enumerate(places):
        offset = 0.7 * ((index + 0.5) / len(places) - 0.5)
        some = select(rows, algorithm=algorithm, update_pairs=pairs)
        _points(axes, some, iterations, offset, filled=pairs == regimes[0])
    axes.set_xticks(range(len(iterations)), [str(iteration) for iteration in iterations])
    axes.set_xlim(-0.6, len(iterations) - 0.4)
    axes.set_xlabel("iteration")
    style.quiet_grid(axes)


def _points(axes: Axes, rows: pd.DataFrame, iterations: list[int], offset: float, *, filled: bool) -> None:
    """One algorithm and regime: a point with its interval at every checkpoint."""
    known = rows.dropna(subset="mean")
    if known.empty:
        return
    look = style.look(rows["algorithm"].iloc[0])
    at = [iterations.index(iteration) + offset for iteration in known["iteration"]]
    axes.vlines(at, known["low"], known["high"], color=look.color, linewidth=1.1)
    axes.plot(
        at,
        known["mean"],
        linestyle="none",
        marker=look.marker,
        markersize=4.5,
        color=look.color,
        markerfacecolor=look.color if filled else "white",
        label=f"{look.label}, {rows['update_pairs'].iloc[0]}",
    )


def regime_handles(algorithms: list[str], regimes: list[int]) -> list:
    """A legend entry for every algorithm and regime; the first regime is filled."""
    handles = []
    for algorithm in algorithms:
        look = style.look(algorithm)
        for pairs in regimes:
            face = look.color if pairs == regimes[0] else "white"
            label = f"{look.label}, update from {pairs:,} pairs"
            handles.append(
                style.line_handle(label, color=look.color, marker=look.marker, linestyle="none", markerfacecolor=face)
            )
    return handles


def caption(alignment: pd.DataFrame, statistics: Statistics) -> str:
    """What the figure shows, and from how much."""
    agents, first, regimes = alignment["agent"].nunique(), alignment.iloc[0], distinct(alignment, "update_pairs")
    unit = f"over {agents} agents, by resampling agents" if agents > 1 else "of one agent, by resampling trajectories"
    span = f"{alignment['trajectories'].min()} to {alignment['trajectories'].max()}"
    return (
        "The numbers behind figures 7, 8 and 16 to 24 of the paper. Left: Spearman's rank correlation of surrogate and "
        f"reward over the {first['points']} points of the grid; middle: over the {first['step_points']} points along "
        "the update step; right: what one full step adds to the reward, in percent of the snapshot's. Filled: updates "
        f"from {regimes[0]:,} pairs; open: from {' or '.join(f'{pairs:,}' for pairs in regimes[1:]) or 'more'}. Bars: "
        f"{statistics.confidence:.0%} intervals {unit} ({span} a point; {statistics.resamples} bootstrap resamples, "
        "or Student's t where wider). Noise in the reward draws correlations towards zero."
    )
