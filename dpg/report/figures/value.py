"""Errors of the value nets over training (paper, fig. 4, 13, 14): `data/tables/value`."""

from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from dpg.report import style
from dpg.report.tables import distinct, over_agents, select
from dpg.runtime.schema import Statistics

NAMES = {"heldout": "fig04_value_error", "train": "fig13_value_error_train"}

Split = Literal["heldout", "train"]

_TARGETS = {
    "gae": r"against its own target, $V_{old} + A_{GAE}$",
    "returns": "against the discounted return",
}


def draw_heldout(value: pd.DataFrame, statistics: Statistics) -> Figure:
    """Figure 4 (and 14) for one task: error on held-out pairs."""
    return _draw(value, "heldout", statistics)


def draw_train(value: pd.DataFrame, statistics: Statistics) -> Figure:
    """Figure 13 for one task: error on the pairs that the net was fitted to."""
    return _draw(value, "train", statistics)


@style.paper()
def _draw(value: pd.DataFrame, split: Split, statistics: Statistics) -> Figure:
    """Two panels, the net's own target and the true returns, on one scale of error."""
    table = select(value, split=split)
    algorithms = distinct(table, "algorithm")
    figure = style.new_figure(style.WIDTH, 2.9)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, (target, title) in zip(panels, _TARGETS.items(), strict=True):
        for algorithm in algorithms:
            _curves(axes, select(table, target=target, algorithm=algorithm), statistics)
        axes.set_title(title)
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_locator(LogLocator(base=2, numticks=10))
        axes.yaxis.set_minor_locator(NullLocator())
        style.quiet_grid(axes)
    iterations = distinct(table, "iteration")
    if len(iterations) == 1:
        panels[0].set_xlim(iterations[0] - 1, iterations[0] + 1)
    panels[0].set_ylabel(r"relative error $|V - y|\,/\,|y|$ (no unit)")
    where = "held-out pairs" if split == "heldout" else "training pairs"
    figure.suptitle(f"{distinct(table, 'env')[0]}, {where}")
    style.legend_below(figure, _handles(algorithms, statistics), columns=4)
    return figure


def _curves(axes: Axes, rows: pd.DataFrame, statistics: Statistics) -> None:
    """The mean error of every agent, their mean with its interval, and the mean over agents of the median error."""
    if rows.empty:
        return
    look = style.look(rows["algorithm"].iloc[0])
    for agent, line in rows.dropna(subset="mean_relative_error").groupby("agent"):
        errors = line["mean_relative_error"]
        axes.plot(line["iteration"], errors, color=look.color, linewidth=0.5, alpha=0.4, label=f"agent={agent}")
    mean = over_agents(rows, ["iteration"], "mean_relative_error", statistics).dropna(subset="mean")
    median = over_agents(rows, ["iteration"], "median_relative_error", statistics).dropna(subset="mean")
    sparse = max(1, len(mean) // 12)  # markers tell the algorithms apart; on every point they would hide the dashes
    axes.plot(
        median["iteration"],
        median["mean"],
        color=look.color,
        linestyle=(0, (4, 2)),
        linewidth=1.0,
        marker=look.marker,
        markersize=3,
        markerfacecolor="white",
        markeredgewidth=0.7,
        markevery=sparse,
        label="median",
    )
    style.curve(
        axes, mean, "iteration", look, linestyle="-", linewidth=1.4, marker=look.marker, markevery=sparse, label="mean"
    )


def _handles(algorithms: list[str], statistics: Statistics) -> list:
    looks = [style.look(algorithm) for algorithm in algorithms]
    color = looks[0].color if len(looks) == 1 else style.GREY
    marker = looks[0].marker if len(looks) == 1 else ""
    prefix = f"{looks[0].label}, " if len(looks) == 1 else ""
    named = [] if len(looks) == 1 else looks
    return [
        *[style.line_handle(look.label, color=look.color, marker=look.marker, linewidth=1.4) for look in named],
        style.line_handle(f"{prefix}mean error", color=color, marker=marker, linewidth=1.4),
        style.line_handle(
            "median error",
            color=color,
            marker=marker,
            markersize=3,
            markerfacecolor="white",
            markeredgewidth=0.7,
            linestyle=(0, (4, 2)),
            linewidth=1.0,
        ),
        style.line_handle("one agent, mean error", color=color, linewidth=0.5, alpha=0.6),
        style.band_handle(color, f"{statistics.confidence:.0%} interval over agents"),
    ]


def caption(value: pd.DataFrame, split: Split, statistics: Statistics) -> str:
    """What a value figure shows, and from how much."""
    table = select(value, split=split)
    returns = select(table, target="returns")
    figure = "Figure 4 of the paper (figure 14 for other tasks)" if split == "heldout" else "Figure 13 of the paper"
    pairs = "fresh pairs that the net has not seen" if split == "heldout" else "the pairs that the net was fitted to"
    scored = select(table, target="gae")["pairs"]
    return (
        f"{figure}. Relative error |V - y| / |y| of the value net after its update, on {pairs}, over training: left "
        "against its own target, right against the discounted return where it is known. Solid: the mean over pairs, "
        f"thin for each of {table['agent'].nunique()} agents, thick their mean. Shaded: {statistics.confidence:.0%} "
        f"interval of that mean, by resampling agents ({statistics.resamples} bootstrap resamples, expanded "
        f"percentiles). Dashed: the median over pairs, mean over agents. A point scores {scored.min():,} pairs an "
        f"agent on the left and {style.span(returns['pairs'])} on the right, with {style.span(table['trajectories'])} "
        "complete trajectories. Targets near zero, which make the mean explode, are at most "
        f"{table['near_zero_share'].max():.2%} of the pairs."
    )
