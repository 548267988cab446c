"""Errors of the value nets over training (paper, fig. 4, 13, 14): `value/value.csv`."""

from functools import partial
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from dpg.report import style
from dpg.report.aggregate import over_agents
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.figures.parts import agents_and_mean, agents_in, band, common, marked, shaded, widen
from dpg.report.figures.spec import FigureSpec, PaperFigure
from dpg.report.wording import counted, span
from dpg.tables.table import Section
from dpg.tables.value import PredictionError

Split = Literal["heldout", "train"]

_TARGETS = {"gae": r"own target, $V_{old} + A_{GAE}$", "returns": "discounted return"}
_OPEN: dict[str, Any] = {"markersize": 3, "markerfacecolor": "white", "markeredgewidth": 0.7}
# Lines of a mean over agents without its interval.
_PLAIN: dict[str, dict[str, Any]] = {
    "median": {"linestyle": (0, (4, 2)), "linewidth": 1.0, **_OPEN},
    "hindsight": {"linestyle": (0, (1.2, 1.2)), "linewidth": 1.4, "markersize": 3},
    "own target, squared": {"linestyle": (0, (5, 1.5, 1, 1.5)), "linewidth": 0.9, **_OPEN},
}


def plot(split: Split, experiment: Experiment) -> Figure:
    """Three panels on one scale of error: the net's own target, the true returns, and the release's formulas."""
    table = select(experiment[PredictionError], split=split)
    algorithms = distinct(table, "algorithm")
    figure = style.new_figure(style.WIDTH, 3.0)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for algorithm in algorithms:
        gae, returns = (select(table, algorithm=algorithm, target=target) for target in _TARGETS)
        for axes, rows in zip(panels, (gae, returns), strict=False):
            _mean(axes, rows, "mean_relative_error", experiment)
            _plain(axes, rows, "median_relative_error", experiment, "median")
        _mean(panels[2], returns, "release_error", experiment)
        _plain(panels[2], gae, "release_error", experiment, "own target, squared")
        _plain(panels[2], returns, "hindsight_error", experiment, "hindsight")
    style.log_scale(*panels, base=2)
    for axes, title in zip(panels, (*_TARGETS.values(), "by the release's formulas"), strict=True):
        axes.set_title(title)
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(LogLocator(base=2, numticks=10))
        axes.yaxis.set_minor_locator(NullLocator())
        style.quiet_grid(axes)
    widen(panels[0], distinct(table, "iteration"))
    panels[0].set_ylabel(r"relative error $|V - y|\,/\,|y|$ (no unit)")
    where = "held-out pairs" if split == "heldout" else "training pairs"
    figure.suptitle(f"{distinct(table, 'env')[0]}, {where}")
    style.legend_below(figure, _handles(experiment, algorithms), columns=3)
    return figure


def _mean(axes: Axes, rows: pd.DataFrame, column: str, experiment: Experiment) -> None:
    """The error of every agent, and their mean with its interval."""
    if rows.empty:
        return
    known = rows.dropna(subset=column).drop_duplicates("iteration")
    marker = marked(known, experiment.style(rows["algorithm"].iloc[0]).marker)
    thin, thick = {"linewidth": 0.5, "alpha": 0.4}, {"linestyle": "-", "linewidth": 1.4, **marker}
    agents_and_mean(axes, rows, "iteration", column, experiment, thin, **thick)


def _plain(axes: Axes, rows: pd.DataFrame, column: str, experiment: Experiment, label: str) -> None:
    """The mean over agents alone."""
    if rows.empty:
        return
    series = experiment.style(rows["algorithm"].iloc[0])
    mean = over_agents(rows, ["iteration"], column, experiment.statistics).dropna(subset="mean")
    options: dict[str, Any] = _PLAIN[label] | marked(mean, series.marker)
    axes.plot(mean["iteration"], mean["mean"], color=series.color, **options, label=label)


def _handles(experiment: Experiment, algorithms: list[str]) -> list:
    each = [experiment.style(algorithm) for algorithm in algorithms]
    color, marker = common(experiment, algorithms)
    prefix = f"{each[0].label}, " if len(each) == 1 else ""
    named = each if len(each) > 1 else []
    plain = {name: line | {"color": color, "marker": marker} for name, line in _PLAIN.items()}
    return [
        *[style.line_handle(one.label, color=one.color, marker=one.marker, linewidth=1.4) for one in named],
        style.line_handle(f"{prefix}mean error", color=color, marker=marker, linewidth=1.4),
        style.line_handle("one agent, mean error", color=color, linewidth=0.5, alpha=0.6),
        band(experiment, color),
        style.line_handle("median error", **plain["median"]),
        style.line_handle("hindsight, by the release's formula", **plain["hindsight"]),
        style.line_handle(r"own target, release: $(V - y)^2\,/\,|y|$", **plain["own target, squared"]),
    ]


def caption(split: Split, experiment: Experiment) -> str:
    table = select(experiment[PredictionError], split=split)
    returns, own = select(table, target="returns"), select(table, target="gae")
    figure = "Figure 4 of the paper (figure 14 for other tasks)" if split == "heldout" else "Figure 13 of the paper"
    pairs = "fresh pairs that the net has not seen" if split == "heldout" else "the pairs that the net was fitted to"
    known = returns["hindsight_pairs"].sum() / max(1, returns["release_pairs"].sum())
    rest = "" if known == 1 else f" (known for {known:.0%} of the pairs: close before a time limit it would lose more)"
    return (
        f"{figure}. Relative error |V - y| / |y| of the value net after its update, on {pairs}, over training: left "
        "against its own target, middle against the discounted return where it is known. Solid: the mean over pairs, "
        f"thin for each of {agents_in(table)}, thick their mean. "
        f"{shaded(experiment.statistics, 'that mean')} Dashed: the median over pairs, mean over agents. A point scores "
        f"{own['pairs'].min():,} pairs per agent on the left and {span(returns['pairs'])} in the middle, with "
        f"{counted(table['trajectories'], 'complete trajectory')}. Targets near zero, which make the mean explode, "
        f"are at most {table['near_zero_share'].max():.2%} of the pairs. Right: the same nets by the formulas of the "
        "authors' release, where a return stops at every end of an episode and of the batch. Solid: against that "
        "return. Dotted: hindsight, which predicts the discounted return itself; what it loses is an effect of the "
        f"formula, not a fault of the net{rest}. "
        "Dash-dotted: against the net's own target, (V - y)^2 / |y|, in units of the reward that it trains on."
    )


HELDOUT = FigureSpec(
    "fig04_value_error",
    "value error on held-out pairs",
    Section.VALUES,
    tables=(PredictionError,),
    plot=partial(plot, "heldout"),
    caption=partial(caption, "heldout"),
    paper=(PaperFigure(4, ("Walker2d",)), PaperFigure(14)),
)
TRAIN = FigureSpec(
    "fig13_value_error_train",
    "value error on training pairs",
    Section.VALUES,
    tables=(PredictionError,),
    plot=partial(plot, "train"),
    caption=partial(caption, "train"),
    paper=(PaperFigure(13),),
)
