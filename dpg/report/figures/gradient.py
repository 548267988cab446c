"""Quality of gradient estimates (paper, fig. 1, 2, 10, 11): `data/tables/gradient/.../similarity.csv`."""

import math
from collections.abc import Sequence
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from dpg.report import style
from dpg.report.claims.rules import RELIABLE
from dpg.report.tables import distinct, select
from dpg.runtime.schema import Statistics

NAMES = {"each other": "fig01_gradient_variance", "true": "fig02_true_gradient"}

Against = Literal["each other", "true"]


def draw_variance(similarity: pd.DataFrame, timesteps: int, statistics: Statistics) -> Figure:
    """Figure 1 (and 10) for one task: cosine of gradient estimates from one policy with each other."""
    return _draw(similarity, "each other", timesteps, statistics)


def draw_true(similarity: pd.DataFrame, timesteps: int, statistics: Statistics) -> Figure:
    """Figure 2 (and 11) for one task: cosine of gradient estimates with the true gradient."""
    return _draw(similarity, "true", timesteps, statistics)


@style.paper()
def _draw(similarity: pd.DataFrame, against: Against, timesteps: int, statistics: Statistics) -> Figure:
    """Panels by algorithm (rows) and checkpoint (columns)."""
    table = select(similarity, against=against)
    algorithms, iterations = distinct(table, "algorithm"), sorted(distinct(table, "iteration"))
    figure = style.new_figure(style.WIDTH if len(iterations) > 1 else style.NARROW, 0.9 + 1.5 * len(algorithms))
    panels = figure.subplots(len(algorithms), len(iterations), sharex=True, sharey=True, squeeze=False)
    for row, algorithm in enumerate(algorithms):
        for column, iteration in enumerate(iterations):
            axes = panels[row, column]
            _panel(axes, select(table, algorithm=algorithm, iteration=iteration), timesteps)
            if column == 0:
                note = {"xytext": (-5, 4.5), "textcoords": "offset points", "ha": "right", "fontsize": 6}
                axes.annotate("trajectories", (0, 1), xycoords="axes fraction", color=style.GREY, **note)
            if row == 0:
                axes.set_title(f"iteration {iteration}", pad=5)
        panels[row, 0].set_ylabel(f"{style.look(algorithm).label}\ncosine similarity")
    for axes in panels[-1]:
        axes.set_xlabel("pairs in an estimate")
    low, high = table["pairs"].min(), table["pairs"].max()
    panels[0, 0].set_xlim(0.8 * 10 ** math.floor(math.log10(low)), 1.25 * 10 ** math.ceil(math.log10(high)))
    panels[0, 0].set_ylim(-0.5, 1.03)
    what = "gradient estimates against " + ("the true gradient" if against == "true" else "each other")
    figure.suptitle(f"{distinct(table, 'env')[0]}, {what}")
    style.legend_below(
        figure, _handles(algorithms, against, timesteps, statistics), columns=4 if against == "each other" else 3
    )
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, timesteps: int) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=12))
    axes.yaxis.set_major_locator(FixedLocator([-0.5, 0, 0.5, 1]))
    axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1, label="zero")
    if rows.empty:
        return
    axes.axhline(rows["random_floor"].iloc[0], color=style.GREY, linewidth=0.6, zorder=1, label="floor")
    axes.axvline(timesteps, color=style.INK, linewidth=0.9, linestyle=":", zorder=1, label="T")
    agents = sorted(distinct(rows, "agent"))
    shades = style.tints(style.look(rows["algorithm"].iloc[0]).color, len(agents))
    for agent, color in zip(agents, shades, strict=True):
        line = select(rows, agent=agent).sort_values("pairs")
        axes.fill_between(line["pairs"], line["low"], line["high"], color=color, alpha=0.7 * style.BAND, linewidth=0)
        axes.plot(
            line["pairs"],
            corrected(line),
            color=color,
            linewidth=0.7,
            linestyle=(0, (3, 1.5)),
            alpha=0.8,
            label="corrected",
        )
        axes.plot(
            line["pairs"],
            line["cosine"],
            color=color,
            marker="o",
            markersize=1.8,
            linewidth=1.0,
            label=f"agent={agent}",
        )
    _trajectories(axes, rows, timesteps)


def corrected(line: pd.DataFrame) -> "pd.Series[float]":
    """The corrected cosines of one agent, blank where its true gradient is not reliable enough to correct for."""
    reliability = (line["cosine"] / line["corrected_cosine"]) ** 2
    return line["corrected_cosine"].where(reliability >= RELIABLE)


def _trajectories(axes: Axes, rows: pd.DataFrame, timesteps: int) -> None:
    """A companion axis: the complete trajectories behind an estimate, mean over agents, at a few of its sizes."""
    mean = rows.groupby("pairs")["trajectories"].mean()
    sizes = [int(size) for size in mean.index]
    ticks = spaced([size for size in (timesteps, sizes[0], sizes[-1]) if size in sizes])
    top = axes.secondary_xaxis("top")
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xticks(ticks, [style.compact(mean[size]) for size in ticks])
    top.tick_params(length=2, pad=1, labelsize=6, labelcolor=style.GREY)
    top.spines["top"].set_visible(False)


def spaced(candidates: Sequence[int], decades: float = 0.45) -> list[int]:
    """The candidates, the first ones preferred, that lie far enough from each other on a log axis; sorted."""
    chosen: list[int] = []
    for size in candidates:
        if all(abs(math.log10(size / other)) >= decades for other in chosen):
            chosen.append(size)
    return sorted(chosen)


def _handles(algorithms: list[str], against: Against, timesteps: int, statistics: Statistics) -> list:
    color = style.look(algorithms[0]).color if len(algorithms) == 1 else style.GREY
    dashed = style.line_handle(
        "corrected for the true gradient's noise", color=color, linewidth=0.7, linestyle=(0, (3, 1.5))
    )
    return [
        style.line_handle("one agent (seed), mean", color=color, marker="o", markersize=1.8, linewidth=1.0),
        style.band_handle(color, f"{statistics.confidence:.0%} interval"),
        *([dashed] if against == "true" else []),
        style.line_handle(f"T = {timesteps:,} pairs", color=style.INK, linewidth=0.9, linestyle=":"),
        style.line_handle(r"random vectors, $1/\sqrt{d}$", color=style.GREY, linewidth=0.6),
    ]


def caption(
    similarity: pd.DataFrame, noise: pd.DataFrame, against: Against, timesteps: int, statistics: Statistics
) -> str:
    """What a gradient figure shows, and from how much."""
    table = select(similarity, against=against)
    repeats, agents = table["repeats"].iloc[0], table["agent"].nunique()
    among = {
        "each other": (
            f"Figure 1 of the paper (figure 10 for other tasks). Mean pairwise cosine of {repeats} independent "
            "gradient estimates"
        ),
        "true": (
            f"Figure 2 of the paper (figure 11 for other tasks). Mean cosine of {repeats} gradient estimates with "
            f"the true gradient, itself an estimate from {noise['true_pairs'].iloc[0]:,} further pairs"
        ),
    }[against]
    dashed = (
        " Dashed: divided by the square root of the true gradient's reliability (not drawn where that is below "
        f"{RELIABLE})."
        if against == "true"
        else ""
    )
    at_t = select(table, pairs=timesteps).groupby(["algorithm", "iteration"])["trajectories"].mean()
    sizes = "; ".join(
        f"{style.look(algorithm).label}, iteration {i}: {at_t[algorithm, i]:.1f}" for algorithm, i in at_t.index
    )
    return (
        f"{among}, all from the same policy, against the pairs in an estimate; one line for each of {agents} agents. "
        f"Shaded: {statistics.confidence:.0%} interval, over the {repeats} estimates "
        f"({statistics.resamples} bootstrap resamples, or Student's t where wider).{dashed} The dotted line marks T = "
        f"{timesteps:,} pairs, one iteration of training. The numbers on top are complete trajectories in an "
        "estimate, mean over agents" + (f"; at T pairs: {sizes}." if sizes else ".")
    )
