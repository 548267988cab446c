"""Training with the value net and without a baseline (paper, section 2.2): `data/tables/train` and `.../ablation`."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpg.numerics.statistics import Interval
from dpg.report import style
from dpg.report.ablation import compare
from dpg.report.tables import LAST_ITERATIONS, distinct, over_agents, select
from dpg.runtime.schema import Statistics

NAME = "sec22_no_baseline"

_WITHOUT = style.Look("no baseline (b = 0)", style.INK, "", (0, (1.4, 1.2)))


@style.paper()
def draw(history: pd.DataFrame, ablation: pd.DataFrame, statistics: Statistics) -> Figure:
    """Return against pairs, panels by task (rows) and algorithm (columns); a solid line with, a dotted one without.

    The axis of returns is linear and holds zero, so that heights are in the ratio that the panel states.
    """
    envs, algorithms = distinct(history, "env"), distinct(history, "algorithm")
    figure = style.new_figure(style.WIDTH if len(algorithms) > 1 else style.NARROW, 0.75 + 1.85 * len(envs))
    panels = figure.subplots(len(envs), len(algorithms), sharex="row", sharey="row", squeeze=False)
    for line, env in zip(panels, envs, strict=True):
        for axes, algorithm in zip(line, algorithms, strict=True):
            cell = {"env": env, "algorithm": algorithm}
            _panel(axes, select(history, **cell), select(ablation, **cell), statistics)
        line[0].set_ylabel(f"{env}\nepisode return")
    for axes in panels[-1]:
        axes.set_xlabel("state-action pairs, per agent")
    style.legend_below(figure, _handles(algorithms, statistics), columns=3)
    return figure


def _panel(axes: Axes, history: pd.DataFrame, ablation: pd.DataFrame, statistics: Statistics) -> None:
    look = style.look(history["algorithm"].iloc[0])
    _curve(axes, history, style.Look("value net", look.color, "", "solid"), statistics)
    _curve(axes, ablation, _WITHOUT, statistics)
    axes.set_title(f"{look.label}\nb = 0 / value net: {_span(compare(history, ablation, statistics).ratio, '.2f')}")
    axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1, label="zero")
    style.pairs_axis(axes)
    style.quiet_grid(axes)


def _curve(axes: Axes, rows: pd.DataFrame, look: style.Look, statistics: Statistics) -> None:
    """The mean over agents and its interval."""
    if rows.empty:
        return
    curve = over_agents(rows, ["pairs"], "mean_return", statistics).dropna(subset="mean")
    style.curve(axes, curve, "pairs", look, linewidth=1.4, label=look.label)


def _handles(algorithms: list[str], statistics: Statistics) -> list:
    color = style.look(algorithms[0]).color if len(algorithms) == 1 else style.GREY
    return [
        style.line_handle("with the value net", color=color, linewidth=1.4),
        style.line_handle(_WITHOUT.label, color=_WITHOUT.color, linestyle=_WITHOUT.dashes, linewidth=1.4),
        style.band_handle(style.GREY, f"{statistics.confidence:.0%} interval over agents"),
    ]


def _span(interval: Interval, places: str) -> str:
    """A number with its interval as far as there is one."""
    if not math.isfinite(interval.mean):
        return "not defined"
    ends = f" [{interval.low:{places}}, {interval.high:{places}}]" if math.isfinite(interval.low) else ""
    return f"{interval.mean:{places}}{ends}"


def caption(history: pd.DataFrame, ablation: pd.DataFrame, statistics: Statistics) -> str:
    """What the figure shows, from how much, and the numbers that are read off it."""
    cells = []
    for (env, algorithm), rows in history.groupby(["env", "algorithm"], sort=False):
        without = select(ablation, env=env, algorithm=algorithm)
        found = compare(rows, without, statistics)
        cells.append(
            f"{env}, {style.look(str(algorithm)).label}: {rows['agent'].nunique()} agents with and "
            f"{without['agent'].nunique()} without, {_span(found.without, '.4g')} against "
            f"{_span(found.with_value, '.4g')}, ratio {_span(found.ratio, '.2f')}"
        )
    return (
        "Section 2.2 of the paper, which states this without a figure: agents trained with the value net as their "
        "baseline (those of figure 9) and agents trained on the same budget and seeds without one, b = 0, so that "
        "their advantage is the discounted return. Mean return of the episodes that ended in each iteration's batch, "
        "mean over agents. Shaded: "
        f"{statistics.confidence:.0%} interval of the mean, by resampling agents ({statistics.resamples} bootstrap "
        "resamples, or Student's t where wider). "
        "An iteration in which no episode of an agent ended is left out for that "
        f"agent. Above each panel: the final return without a baseline (mean over the last {LAST_ITERATIONS} "
        "iterations) as a share of that with the value net; its interval resamples the agents of both sides "
        f"independently. Final returns: {'; '.join(cells)}."
    )
