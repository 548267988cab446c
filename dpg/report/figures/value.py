"""Errors of the value nets over training (paper, fig. 4, 13, 14): `data/tables/value`."""

from typing import Any, Literal

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
    "gae": r"own target, $V_{old} + A_{GAE}$",
    "returns": "discounted return",
}
_OPEN: dict[str, Any] = {"markersize": 3, "markerfacecolor": "white", "markeredgewidth": 0.7}
# Lines of a mean over agents without its interval.
_PLAIN: dict[str, dict[str, Any]] = {
    "median": {"linestyle": (0, (4, 2)), "linewidth": 1.0, **_OPEN},
    "hindsight": {"linestyle": (0, (1.2, 1.2)), "linewidth": 1.4, "markersize": 3},
    "own target, squared": {"linestyle": (0, (5, 1.5, 1, 1.5)), "linewidth": 0.9, **_OPEN},
}


def draw_heldout(value: pd.DataFrame, statistics: Statistics) -> Figure:
    """Figure 4 (and 14) for one task: error on held-out pairs."""
    return _draw(value, "heldout", statistics)


def draw_train(value: pd.DataFrame, statistics: Statistics) -> Figure:
    """Figure 13 for one task: error on the pairs that the net was fitted to."""
    return _draw(value, "train", statistics)


@style.paper()
def _draw(value: pd.DataFrame, split: Split, statistics: Statistics) -> Figure:
    """Three panels on one scale of error: the net's own target, the true returns, and the release's formulas."""
    table = select(value, split=split)
    algorithms = distinct(table, "algorithm")
    figure = style.new_figure(style.WIDTH, 3.0)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for algorithm in algorithms:
        rows = select(table, algorithm=algorithm)
        by_target = {target: select(rows, target=target) for target in _TARGETS}
        for axes, each in zip(panels, by_target.values(), strict=False):
            _mean(axes, each, "mean_relative_error", statistics)
            _plain(axes, each, "median_relative_error", statistics, "median")
        _mean(panels[2], by_target["returns"], "release_error", statistics)
        _plain(panels[2], by_target["gae"], "release_error", statistics, "own target, squared")
        _plain(panels[2], by_target["returns"], "hindsight_error", statistics, "hindsight")
    style.log_scale(*panels, base=2)
    for axes, title in zip(panels, (*_TARGETS.values(), "by the release's formulas"), strict=True):
        axes.set_title(title)
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(LogLocator(base=2, numticks=10))
        axes.yaxis.set_minor_locator(NullLocator())
        style.quiet_grid(axes)
    iterations = distinct(table, "iteration")
    if len(iterations) == 1:
        panels[0].set_xlim(iterations[0] - 1, iterations[0] + 1)
    panels[0].set_ylabel(r"relative error $|V - y|\,/\,|y|$ (no unit)")
    where = "held-out pairs" if split == "heldout" else "training pairs"
    figure.suptitle(f"{distinct(table, 'env')[0]}, {where}")
    style.legend_below(figure, _handles(algorithms, statistics), columns=3)
    return figure


def _mean(axes: Axes, rows: pd.DataFrame, column: str, statistics: Statistics) -> None:
    """The error of every agent, and their mean with its interval."""
    if rows.empty:
        return
    look = style.look(rows["algorithm"].iloc[0])
    for agent, line in rows.dropna(subset=column).groupby("agent"):
        axes.plot(line["iteration"], line[column], color=look.color, linewidth=0.5, alpha=0.4, label=f"agent={agent}")
    mean = over_agents(rows, ["iteration"], column, statistics).dropna(subset="mean")
    sparse = _sparse(mean)
    style.curve(
        axes, mean, "iteration", look, linestyle="-", linewidth=1.4, marker=look.marker, markevery=sparse, label="mean"
    )


def _plain(axes: Axes, rows: pd.DataFrame, column: str, statistics: Statistics, label: str) -> None:
    """The mean over agents alone."""
    if rows.empty:
        return
    look = style.look(rows["algorithm"].iloc[0])
    mean = over_agents(rows, ["iteration"], column, statistics).dropna(subset="mean")
    looks: dict[str, Any] = _PLAIN[label] | {"marker": look.marker, "markevery": _sparse(mean)}
    axes.plot(mean["iteration"], mean["mean"], color=look.color, **looks, label=label)


def _sparse(rows: pd.DataFrame) -> int:
    """Markers tell the algorithms apart; on every point they would hide the dashes."""
    return max(1, len(rows) // 12)


def _handles(algorithms: list[str], statistics: Statistics) -> list:
    looks = [style.look(algorithm) for algorithm in algorithms]
    color = looks[0].color if len(looks) == 1 else style.GREY
    marker = looks[0].marker if len(looks) == 1 else ""
    prefix = f"{looks[0].label}, " if len(looks) == 1 else ""
    named = [] if len(looks) == 1 else looks
    plain = {name: line | {"color": color, "marker": marker} for name, line in _PLAIN.items()}
    return [
        *[style.line_handle(look.label, color=look.color, marker=look.marker, linewidth=1.4) for look in named],
        style.line_handle(f"{prefix}mean error", color=color, marker=marker, linewidth=1.4),
        style.line_handle("one agent, mean error", color=color, linewidth=0.5, alpha=0.6),
        style.band_handle(color, f"{statistics.confidence:.0%} interval over agents"),
        style.line_handle("median error", **plain["median"]),
        style.line_handle("hindsight, by the release's formula", **plain["hindsight"]),
        style.line_handle(r"own target, release: $(V - y)^2\,/\,|y|$", **plain["own target, squared"]),
    ]


def caption(value: pd.DataFrame, split: Split, statistics: Statistics) -> str:
    """What a value figure shows, and from how much."""
    table = select(value, split=split)
    returns = select(table, target="returns")
    figure = "Figure 4 of the paper (figure 14 for other tasks)" if split == "heldout" else "Figure 13 of the paper"
    pairs = "fresh pairs that the net has not seen" if split == "heldout" else "the pairs that the net was fitted to"
    own = select(table, target="gae")
    known = returns["hindsight_pairs"].sum() / max(1, returns["release_pairs"].sum())
    rest = "" if known == 1 else f" (known for {known:.0%} of the pairs: close before a time limit it would lose more)"
    return (
        f"{figure}. Relative error |V - y| / |y| of the value net after its update, on {pairs}, over training: left "
        "against its own target, middle against the discounted return where it is known. Solid: the mean over pairs, "
        f"thin for each of {table['agent'].nunique()} agents, thick their mean. Shaded: {statistics.confidence:.0%} "
        f"interval of that mean, by resampling agents ({statistics.resamples} bootstrap resamples, or Student's t "
        "where wider). Dashed: the median over pairs, mean over agents. A point scores "
        f"{own['pairs'].min():,} pairs an agent on the left and {style.span(returns['pairs'])} in the middle, with "
        f"{style.span(table['trajectories'])} complete trajectories. Targets near zero, which make the mean explode, "
        f"are at most {table['near_zero_share'].max():.2%} of the pairs. Right: the same nets by the formulas of the "
        "authors' release, where a return stops at every end of an episode and of the batch. Solid: against that "
        "return. Dotted: hindsight, which predicts the discounted return itself; what it loses is the formula's doing, "
        f"no fault of the net{rest}. "
        "Dash-dotted: against the net's own target, (V - y)^2 / |y|, in units of scaled reward."
    )
