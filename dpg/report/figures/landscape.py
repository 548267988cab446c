"""Reward and surrogate around a snapshot (paper, fig. 7, 8, 16 to 24): `landscape/landscape.csv`.

One landscape is one agent at one iteration; a figure has the landscapes of one agent of a cell, one row per checkpoint.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D
from scipy import special

from dpg.report import style
from dpg.report.aggregate import along_step
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.figures.spec import ALGORITHMS, TASKS, FigureSpec, PaperFigure
from dpg.report.wording import counted, span
from dpg.tables.landscape import LandscapePoint
from dpg.tables.table import Section

STEP_LABEL = "update step, a"
RANDOM_LABEL = "random direction, b"
_ORIGIN: dict[str, Any] = {
    "marker": "o",
    "markersize": 4.5,
    "markerfacecolor": "white",
    "markeredgecolor": "black",
    "markeredgewidth": 0.9,
}
_STEP: dict[str, Any] = {
    "marker": "D",
    "markersize": 4,
    "markerfacecolor": "black",
    "markeredgecolor": "white",
    "markeredgewidth": 0.6,
}
_SURROGATE: dict[str, Any] = {"color": style.GREY, "marker": "x", "linewidth": 1.0, "linestyle": (0, (4, 2))}


def plot_surfaces(experiment: Experiment) -> Figure:
    """For one agent and batch size: surrogate and reward as surfaces, and the reward from above."""
    landscape = experiment[LandscapePoint]
    iterations = distinct(landscape, "iteration")
    head, foot, row_height = 0.4, 0.4, 1.95
    height = head + foot + row_height * len(iterations)
    figure = Figure(figsize=(style.WIDTH, height))
    figure.suptitle(title(landscape, experiment), y=1 - 0.12 / height, va="top")
    surfaces = grid(figure, (len(iterations), 2), (0.03, 0.63), head, foot, wspace=0.13, hspace=0.08)
    maps = grid(figure, (len(iterations), 1), (0.775, 0.908), head + 0.2, foot + 0.38, hspace=0.6)
    for row, iteration in enumerate(iterations):
        rows = select(landscape, iteration=iteration)
        left = surface(figure, surfaces, row, 0, rows, "surrogate")
        right = surface(figure, surfaces, row, 1, rows, "reward")
        above = figure.add_subplot(maps[row, 0])
        _contours(figure, above, rows)
        middle = left.get_position().y0 + left.get_position().height / 2
        note = f"iteration {iteration}\nstep norm {rows['step_norm'].iloc[0]:.2f}"
        figure.text(0.012, middle, note, rotation=90, ha="left", va="center", multialignment="center")
        if row == 0:
            left.set_title("surrogate objective", y=1.0, pad=0)
            right.set_title("reward (mean episode return)", y=1.0, pad=0)
            above.set_title("reward, from above\n(dashed: surrogate)", pad=4)
    figure.legend(handles=marks(), loc="lower center", ncols=2, bbox_to_anchor=(0.5, 0.0))
    return figure


def grid(
    figure: Figure, shape: tuple[int, int], sides: tuple[float, float], head: float, foot: float, **space: float
) -> GridSpec:
    """Cells between two shares of the figure's width, `head` inches below its top and `foot` above its bottom."""
    (left, right), height = sides, figure.get_figheight()
    return figure.add_gridspec(*shape, left=left, right=right, top=1 - head / height, bottom=foot / height, **space)


def marks() -> list:
    """Legend entries for the two points that every surface marks."""
    return [
        style.line_handle("snapshot (a = 0, b = 0)", linestyle="none", **_ORIGIN),
        style.line_handle("one full update step (a = 1, b = 0)", linestyle="none", **_STEP),
    ]


def surface(figure: Figure, grid: GridSpec, row: int, column: int, rows: pd.DataFrame, height: str) -> Axes3D:
    """One 3-D surface over the plane, the update step at the back; `height` is `surrogate` or `reward`."""
    axes = figure.add_subplot(grid[row, column], projection="3d", computed_zorder=False)
    assert isinstance(axes, Axes3D)
    values = on_grid(rows, height)
    a, b = np.meshgrid(values.index.to_numpy(float), values.columns.to_numpy(float), indexing="ij")
    z = values.to_numpy(float)
    axes.plot_surface(
        a,
        b,
        z,
        cmap=style.COLORMAP,
        rstride=1,
        cstride=1,
        linewidth=0.15,
        edgecolor="#00000028",
        antialiased=True,
        zorder=1,
    )
    for name, (at, level) in marked_points(rows, height).items():
        looks = _ORIGIN if name == "snapshot" else _STEP
        axes.plot([at], [0.0], [level], linestyle="none", zorder=5, **looks)
    _dress(axes, "surrogate" if height == "surrogate" else "reward units")
    return axes


def marked_points(rows: pd.DataFrame, height: str) -> dict[str, tuple[float, float]]:
    """a and the height of the snapshot and of one full step, where the grid reaches them."""
    cut = along_step(rows)
    along, heights = cut["step"].to_numpy(float), cut[height].to_numpy(float)
    points = {"snapshot": 0.0, "full step": 1.0}
    return {name: (a, float(np.interp(a, along, heights))) for name, a in points.items() if along[0] <= a <= along[-1]}


def _dress(axes: Any, height_label: str) -> None:
    # Both objectives mostly fall along the random direction: with b = 0 at the back, the slope faces the reader.
    axes.view_init(elev=26, azim=-58)
    axes.invert_yaxis()
    axes.patch.set_visible(False)
    axes.set_box_aspect((1, 1, 0.72), zoom=0.98)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(_ticks(4))
    axes.tick_params(labelsize=6, pad=-3)
    axes.tick_params(axis="z", pad=-1)
    axes.set_xlabel(STEP_LABEL, labelpad=-9, fontsize=6.5)
    axes.set_ylabel(RANDOM_LABEL, labelpad=-9, fontsize=6.5)
    axes.set_zlabel(height_label, labelpad=-4, fontsize=6.5)


def _contours(figure: Figure, axes: Axes, rows: pd.DataFrame) -> QuadContourSet:
    """The reward from above with the surrogate's contours over it, and the snapshot and one full step marked."""
    values = on_grid(rows, "reward")
    a, b = values.index.to_numpy(float), values.columns.to_numpy(float)
    z = values.to_numpy(float).T
    middle = float(np.nanmean(z))
    levels = 12 if np.nanstd(z) > 1e-9 * abs(middle) else [middle - 1, middle, middle + 1]
    filled = axes.contourf(a, b, z, levels=levels, cmap=style.COLORMAP)
    promised = on_grid(rows, "surrogate").to_numpy(float).T
    if np.nanstd(promised) > 0:
        axes.contour(a, b, promised, levels=7, colors="white", linewidths=1.6, alpha=0.55, linestyles="solid")
        axes.contour(a, b, promised, levels=7, colors="black", linewidths=0.5, linestyles="dashed")
    axes.plot(np.clip([0, 1], a[0], a[-1]), [0, 0], color="black", linewidth=1.2, clip_on=False, zorder=4, label="step")
    for name, (at, _) in marked_points(rows, "reward").items():
        looks = _ORIGIN if name == "snapshot" else _STEP
        axes.plot([at], [0], linestyle="none", clip_on=False, zorder=5, label=name, **looks)
    axes.set(xlim=(a[0], a[-1]), ylim=(b[0], b[-1]), xlabel=STEP_LABEL, ylabel=RANDOM_LABEL)
    axes.xaxis.set_major_locator(_ticks(4))
    axes.yaxis.set_major_locator(_ticks(4))
    place = axes.get_position()
    bar = figure.colorbar(
        filled, cax=figure.add_axes((place.x1 + 0.012, place.y0, 0.012, place.height), label="<colorbar>")
    )
    bar.locator = _ticks(5)
    bar.update_ticks()
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.set_label("reward units", labelpad=2)
    return filled


def plot_cut(experiment: Experiment) -> Figure:
    """Along the update step (b = 0): reward with its interval, and the surrogate; one column per batch size."""
    landscape = experiment[LandscapePoint]
    iterations, regimes = distinct(landscape, "iteration"), distinct(landscape, "update_pairs")
    figure = style.new_figure(style.WIDTH if len(regimes) > 1 else style.NARROW, 0.8 + 1.5 * len(iterations))
    panels = figure.subplots(len(iterations), len(regimes), sharex=True, squeeze=False)
    color, confidence = experiment.style(landscape["algorithm"].iloc[0]).color, experiment.statistics.confidence
    for row, iteration in enumerate(iterations):
        for column, pairs in enumerate(regimes):
            axes = panels[row, column]
            cut = along_step(select(landscape, iteration=iteration, update_pairs=pairs))
            _cut(axes, cut, color, half_width(cut, confidence), outer=column == len(regimes) - 1)
            axes.set_title(f"iteration {iteration}, update from {pairs:,} pairs")
            if column == 0:
                axes.set_ylabel("reward units")
            if row == len(iterations) - 1:
                axes.set_xlabel("update step, a (1 = one full step)")
    figure.suptitle(f"{title(landscape, experiment)}, along the update step")
    handles = [
        style.line_handle(f"reward (left axis), {confidence:.0%} interval", color=color, marker="o", linewidth=1.3),
        style.line_handle("surrogate (right axis)", **_SURROGATE),
        style.line_handle("one full step", color=style.INK, linestyle=":", linewidth=0.9),
    ]
    style.legend_below(figure, handles, columns=3)
    return figure


def _cut(axes: Axes, cut: pd.DataFrame, color: str, margin: pd.Series, *, outer: bool) -> None:
    """Reward with its interval, of half the width `margin`, on the left, surrogate on the right."""
    twin = axes.twinx()
    twin.plot(cut["step"], cut["surrogate"], label="surrogate", **_SURROGATE)
    twin.spines["right"].set_visible(True)
    twin.tick_params(axis="y", labelcolor=style.GREY)
    twin.ticklabel_format(axis="y", useMathText=True)  # surrogates are small: a power of ten stands above the axis
    twin.yaxis.set_major_locator(_ticks(5))
    if outer:
        twin.set_ylabel("surrogate objective", color=style.GREY)
    axes.fill_between(
        cut["step"], cut["reward"] - margin, cut["reward"] + margin, color=color, alpha=style.BAND, linewidth=0
    )
    axes.plot(cut["step"], cut["reward"], color=color, marker="o", linewidth=1.3, label="reward")
    axes.axvline(1, color=style.INK, linestyle=":", linewidth=0.9, zorder=1, label="full step")
    axes.yaxis.set_major_locator(_ticks(5))
    # The reward, which carries the interval, lies over the surrogate.
    axes.set_zorder(twin.get_zorder() + 1)
    axes.patch.set_visible(False)


def on_grid(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """A column over the plane: a down, b across; NaN where a point was not measured."""
    return rows.pivot(index="step", columns="random", values=column)  # noqa: PD010 - a double point is an error


def half_width(rows: pd.DataFrame, confidence: float) -> pd.Series:
    """Half of the interval of a point's reward: Student's t over its trajectories."""
    return special.stdtrit(rows["trajectories"] - 1, (1 + confidence) / 2) * rows["reward_se"]


def _ticks(most: int) -> MaxNLocator:
    return MaxNLocator(most, steps=[1, 2, 5, 10])


def title(landscape: pd.DataFrame, experiment: Experiment) -> str:
    """The cell and the agent; the batch size, where there is only one."""
    first = landscape.iloc[0]
    regimes = distinct(landscape, "update_pairs")
    regime = f", update from {regimes[0]:,} pairs" if len(regimes) == 1 else ""
    return f"{first['env']}, {experiment.label(first['algorithm'])}, agent {first['agent']}{regime}"


def caption_surfaces(experiment: Experiment) -> str:
    landscape = experiment[LandscapePoint]
    first = landscape.iloc[0]
    return (
        f"Figures 7 and 8 of the paper (16 to 24 for other cells). Landscapes {_around(experiment)}, on a grid of "
        f"{landscape['step'].nunique()} x {landscape['random'].nunique()} points: a, in steps of the algorithm's whole "
        f"policy update from {_regimes(landscape)} pairs; b, in a Gaussian direction of norm {first['random_norm']:g}. "
        f"{_OBJECTIVES} From above: the reward in shades, the surrogate's contours dashed. {_measured(landscape)}"
    )


def caption_cut(experiment: Experiment) -> str:
    landscape = experiment[LandscapePoint]
    return (
        f"Supplement to figures 7 and 8 of the paper: reward and surrogate {_around(experiment)}, along the "
        f"algorithm's whole policy update from {_regimes(landscape)} pairs (b = 0). {_OBJECTIVES} Shaded: its "
        f"{experiment.statistics.confidence:.0%} interval, Student's t over trajectories. {_measured(landscape)}"
    )


_OBJECTIVES = (
    "Surrogate: what the algorithm maximises, on the update's own batch. Reward: mean raw return of whole episodes."
)


def _around(experiment: Experiment) -> str:
    first = experiment[LandscapePoint].iloc[0]
    return f"around the snapshots of agent {first['agent']}, {experiment.label(first['algorithm'])} on {first['env']}"


def _regimes(landscape: pd.DataFrame) -> str:
    return " or ".join(f"{pairs:,}" for pairs in distinct(landscape, "update_pairs"))


def _measured(landscape: pd.DataFrame) -> str:
    """How points relate, and the sizes of each landscape."""
    shared = (
        "All points share their initial states and action noise, so errors of neighbours are correlated."
        if landscape["common_random_numbers"].iloc[0]
        else "Every point has its own initial states and action noise."
    )
    return " ".join([shared, *(_sizes(rows) for _, rows in landscape.groupby(["iteration", "update_pairs"]))])


def _sizes(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return (
        f"Iteration {first['iteration']}, update from {first['update_pairs']:,} pairs: "
        f"{counted(rows['trajectories'], 'trajectory')} per point "
        f"({span(rows['pairs'])} pairs), median standard error {rows['reward_se'].median():.3g}, "
        f"step norm {first['step_norm']:.3g}."
    )


_CELLS = [(task, algorithm) for task in TASKS for algorithm in ALGORITHMS]

SURFACES = FigureSpec(
    "fig07_landscape",
    "reward and surrogate landscapes",
    Section.LANDSCAPES,
    tables=(LandscapePoint,),
    plot=plot_surfaces,
    caption=caption_surfaces,
    paper=(
        PaperFigure(7, ("Humanoid",), ("trpo",)),
        PaperFigure(8, ("Humanoid",), ("ppo",)),
        *(PaperFigure(number, (task,), (algorithm,)) for number, (task, algorithm) in enumerate(_CELLS, 16)),
    ),
    per=("env", "algorithm", "agent", "update_pairs"),
)
CUT = FigureSpec(
    "fig07_cut",
    "reward and surrogate along the update step",
    Section.LANDSCAPES,
    tables=(LandscapePoint,),
    plot=plot_cut,
    caption=caption_cut,
    near=7,
    per=("env", "algorithm", "agent"),
)
