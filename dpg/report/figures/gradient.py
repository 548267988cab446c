"""Quality of gradient estimates (paper, fig. 1, 2, 10, 11): `gradient/similarity.csv`."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from dpg.report import style
from dpg.report.claims.gradients import RELIABLE
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.figures.parts import agents_in, band, common, trajectories_at_t
from dpg.report.figures.spec import FigureSpec, PaperFigure
from dpg.report.wording import compact, span
from dpg.tables.gradient import Noise, Similarity
from dpg.tables.table import Section

Against = Literal["each other", "true"]

TICKS_APART = 0.45  # decades, at the least, between ticks of trajectories
_CORRECTED: dict[str, Any] = {"linewidth": 0.7, "linestyle": (0, (3, 1.5))}


def plot(against: Against, experiment: Experiment) -> Figure:
    """Panels by algorithm (rows) and checkpoint (columns), for one task."""
    table = select(experiment[Similarity], against=against)
    algorithms, iterations = distinct(table, "algorithm"), sorted(distinct(table, "iteration"))
    figure = style.new_figure(style.WIDTH if len(iterations) > 1 else style.NARROW, 0.9 + 1.5 * len(algorithms))
    panels = figure.subplots(len(algorithms), len(iterations), sharex=True, sharey=True, squeeze=False)
    for row, algorithm in enumerate(algorithms):
        for column, iteration in enumerate(iterations):
            axes = panels[row, column]
            _panel(axes, select(table, algorithm=algorithm, iteration=iteration), experiment)
            if column == 0:
                note = {"xytext": (-5, 4.5), "textcoords": "offset points", "ha": "right", "fontsize": 6}
                axes.annotate("trajectories", (0, 1), xycoords="axes fraction", color=style.GREY, **note)
            if row == 0:
                axes.set_title(f"iteration {iteration}", pad=5)
        panels[row, 0].set_ylabel(f"{experiment.label(algorithm)}\ncosine similarity")
    for axes in panels[-1]:
        axes.set_xlabel("pairs in an estimate")
    low, high = table["pairs"].min(), table["pairs"].max()
    panels[0, 0].set_xlim(0.8 * 10 ** math.floor(math.log10(low)), 1.25 * 10 ** math.ceil(math.log10(high)))
    panels[0, 0].set_ylim(-0.5, 1.03)
    what = "gradient estimates against " + ("the true gradient" if against == "true" else "each other")
    figure.suptitle(f"{distinct(table, 'env')[0]}, {what}")
    handles = _handles(experiment, algorithms, against)
    style.legend_below(figure, handles, columns=4 if against == "each other" else 3)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, experiment: Experiment) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=12))
    axes.yaxis.set_major_locator(FixedLocator([-0.5, 0, 0.5, 1]))
    axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1, label="zero")
    if rows.empty:
        return
    axes.axhline(rows["random_floor"].iloc[0], color=style.GREY, linewidth=0.6, zorder=1, label="floor")
    axes.axvline(experiment.timesteps, color=style.INK, linewidth=0.9, linestyle=":", zorder=1, label="T")
    agents = sorted(distinct(rows, "agent"))
    shades = style.tints(experiment.style(rows["algorithm"].iloc[0]).color, len(agents))
    for agent, color in zip(agents, shades, strict=True):
        line = select(rows, agent=agent).sort_values("pairs")
        pairs = line["pairs"]
        axes.fill_between(pairs, line["low"], line["high"], color=color, alpha=0.7 * style.BAND, linewidth=0)
        axes.plot(pairs, corrected(line), color=color, alpha=0.8, label="corrected", **_CORRECTED)
        solid: dict[str, Any] = {"marker": "o", "markersize": 1.8, "linewidth": 1.0}
        axes.plot(pairs, line["cosine"], color=color, label=f"agent={agent}", **solid)
    _trajectories(axes, rows, experiment.timesteps)


def corrected(line: pd.DataFrame) -> "pd.Series[float]":
    """The corrected cosines of one agent; NaN where its true gradient is too unreliable for a correction."""
    reliability = (line["cosine"] / line["corrected_cosine"]) ** 2
    return line["corrected_cosine"].where(reliability >= RELIABLE)


def _trajectories(axes: Axes, rows: pd.DataFrame, timesteps: int) -> None:
    """Add an axis of complete trajectories in an estimate, mean over agents, at a few sizes."""
    mean = rows.groupby("pairs")["trajectories"].mean()
    sizes = [int(size) for size in mean.index]
    ticks = spaced([size for size in (timesteps, sizes[0], sizes[-1]) if size in sizes])
    top = axes.secondary_xaxis("top")
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xticks(ticks, [compact(mean[size]) for size in ticks])
    top.tick_params(length=2, pad=1, labelsize=6, labelcolor=style.GREY)
    top.spines["top"].set_visible(False)


def spaced(candidates: Sequence[int]) -> list[int]:
    """The candidates, sorted, that are far enough apart on a log axis; earlier ones take precedence."""
    chosen: list[int] = []
    for size in candidates:
        if all(abs(math.log10(size / other)) >= TICKS_APART for other in chosen):
            chosen.append(size)
    return sorted(chosen)


def _handles(experiment: Experiment, algorithms: list[str], against: Against) -> list:
    color, _ = common(experiment, algorithms)
    dashed = style.line_handle("corrected for the true gradient's noise", color=color, **_CORRECTED)
    return [
        style.line_handle("one agent (seed), mean", color=color, marker="o", markersize=1.8, linewidth=1.0),
        band(experiment, color, of=""),
        *([dashed] if against == "true" else []),
        style.line_handle(f"T = {experiment.timesteps:,} pairs", color=style.INK, linewidth=0.9, linestyle=":"),
        style.line_handle(r"random vectors, $1/\sqrt{d}$", color=style.GREY, linewidth=0.6),
    ]


def caption(against: Against, experiment: Experiment) -> str:
    table, statistics = select(experiment[Similarity], against=against), experiment.statistics
    counts = table["repeats"]
    repeats = span(counts)
    units = f"{repeats} estimates"
    if against == "each other":
        what = (
            f"Figure 1 of the paper (figure 10 for other tasks). Mean pairwise cosine of {repeats} independent "
            "gradient estimates"
        )
        dashed = ""
        if statistics.resample == "cosines":
            units = f"{span(counts * (counts - 1) // 2)} cosines"
    else:
        what = (
            f"Figure 2 of the paper (figure 11 for other tasks). Mean cosine of {repeats} gradient estimates with the "
            f"true gradient, itself an estimate from {experiment[Noise]['true_pairs'].iloc[0]:,} further pairs"
        )
        dashed = (
            " Dashed: divided by the square root of the true gradient's reliability (not drawn where that is below "
            f"{RELIABLE})."
        )
    sizes = trajectories_at_t(table, experiment)
    return (
        f"{what}, all from the same policy, against the pairs in an estimate; one line for each of "
        f"{agents_in(table)}. Shaded: {statistics.confidence:.0%} interval, over the {units} "
        f"({statistics.resamples} bootstrap resamples, or Student's t where wider).{dashed} The dotted line "
        f"marks T = {experiment.timesteps:,} pairs, one iteration of training. The numbers on top are complete "
        "trajectories in an estimate, mean over agents" + (f"; at T pairs: {sizes}." if sizes else ".")
    )


VARIANCE = FigureSpec(
    "fig01_gradient_variance",
    "gradient estimates against each other",
    Section.GRADIENTS,
    tables=(Similarity,),
    plot=partial(plot, "each other"),
    caption=partial(caption, "each other"),
    paper=(PaperFigure(1, ("Humanoid",)), PaperFigure(10, ("Hopper", "Walker2d"))),
)
TRUE = FigureSpec(
    "fig02_true_gradient",
    "gradient estimates against the true gradient",
    Section.GRADIENTS,
    tables=(Similarity, Noise),
    plot=partial(plot, "true"),
    caption=partial(caption, "true"),
    paper=(PaperFigure(2, ("Humanoid",)), PaperFigure(11, ("Hopper", "Walker2d"))),
)
