"""Training with the value net and without a baseline (paper, section 2.2)."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpg.numerics.statistics import Interval
from dpg.report import style
from dpg.report.aggregate import LAST_ITERATIONS, over_agents
from dpg.report.experiment import Experiment, distinct
from dpg.report.figures.parts import agents_in, band, common, shaded
from dpg.report.figures.spec import FigureSpec
from dpg.report.style import SeriesStyle
from dpg.report.summaries import without_baseline
from dpg.tables.table import Section
from dpg.tables.training import AblationHistory, History

_WITHOUT = SeriesStyle("no baseline (b = 0)", style.INK, "", (0, (1.4, 1.2)))


def plot(experiment: Experiment) -> Figure:
    """Return against pairs, panels by task (rows) and algorithm (columns); a solid line with, a dotted one without.

    Algorithms that were not trained without a baseline are left out.

    The axis of returns is linear and includes zero, so that heights are in the ratio that the panel states.
    """
    envs, algorithms = distinct(experiment[History], "env"), distinct(experiment[AblationHistory], "algorithm")
    figure = style.new_figure(style.WIDTH if len(algorithms) > 1 else style.NARROW, 0.75 + 1.85 * len(envs))
    panels = figure.subplots(len(envs), len(algorithms), sharex="row", sharey="row", squeeze=False)
    for line, env in zip(panels, envs, strict=True):
        for axes, algorithm in zip(line, algorithms, strict=True):
            _panel(axes, experiment.where(env=env, algorithm=algorithm))
        line[0].set_ylabel(f"{env}\nepisode return")
    for axes in panels[-1]:
        axes.set_xlabel("state-action pairs, per agent")
    color, _ = common(experiment, algorithms)
    handles = [
        style.line_handle("with the value net", color=color, linewidth=1.4),
        style.line_handle(_WITHOUT.label, **_WITHOUT.line(linewidth=1.4)),
        band(experiment),
    ]
    style.legend_below(figure, handles, columns=3)
    return figure


def _panel(axes: Axes, cell: Experiment) -> None:
    series = cell.style(cell.key["algorithm"])
    _curve(axes, cell[History], SeriesStyle("value net", series.color, "", "solid"), cell)
    _curve(axes, cell[AblationHistory], _WITHOUT, cell)
    axes.set_title(f"{series.label}\nb = 0 / value net: {_text(without_baseline(cell).ratio, '.2f')}")
    axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1, label="zero")
    style.pairs_axis(axes)
    style.quiet_grid(axes)


def _curve(axes: Axes, rows: pd.DataFrame, series: SeriesStyle, cell: Experiment) -> None:
    """The mean over agents and its interval."""
    if rows.empty:
        return
    curve = over_agents(rows, ["pairs"], "mean_return", cell.statistics).dropna(subset="mean")
    style.curve(axes, curve, "pairs", series, linewidth=1.4, label=series.label)


def _text(interval: Interval, places: str) -> str:
    """A number with its interval as far as there is one."""
    if not math.isfinite(interval.mean):
        return "not defined"
    ends = f" [{interval.low:{places}}, {interval.high:{places}}]" if math.isfinite(interval.low) else ""
    return f"{interval.mean:{places}}{ends}"


def caption(experiment: Experiment) -> str:
    cells = []
    for cell in experiment.cells():
        if cell.key["algorithm"] not in set(experiment[AblationHistory]["algorithm"]):
            continue
        found = without_baseline(cell)
        cells.append(
            f"{cell}: {agents_in(cell[History])} with and {cell[AblationHistory]['agent'].nunique()} "
            f"without, {_text(found.without, '.4g')} against {_text(found.with_value, '.4g')}, ratio "
            f"{_text(found.ratio, '.2f')}"
        )
    return (
        "Section 2.2 of the paper, which states this without a figure: agents trained with the value net as their "
        "baseline (those of figure 9) and agents trained on the same budget and seeds without one, b = 0, so that "
        "their advantage is the discounted return. Mean return of the episodes that ended in each iteration's batch, "
        f"mean over agents. {shaded(experiment.statistics)} An iteration in which no episode of an agent ended is left "
        "out for that agent. Above each panel: the final return without a baseline (mean over the last "
        f"{LAST_ITERATIONS} iterations) as a share of that with the value net; its interval resamples the agents of "
        f"both sides independently. Final returns: {'; '.join(cells)}."
    )


FIGURE = FigureSpec(
    "sec22_no_baseline",
    "training without a baseline",
    Section.VALUES,
    tables=(AblationHistory, History),
    plot=plot,
    caption=caption,
    near=5,
    reference="Section 2.2",
    per=(),
)
