"""Training curves over sample sizes and learning rates (paper, fig. 3): `regimes/history.csv`."""

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpg.report import style
from dpg.report.aggregate import over_agents
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.figures.parts import agents_in, band, shaded
from dpg.report.figures.spec import FigureSpec, PaperFigure
from dpg.report.regimes import best_rates, summarize
from dpg.report.style import SeriesStyle
from dpg.report.wording import counted, scientific
from dpg.runtime.schema import Statistics
from dpg.tables.table import Section
from dpg.tables.training import RegimeHistory

FEW = 10  # points of a curve that are marked one by one
_STAR: dict[str, Any] = {"marker": "*", "markersize": 9, "markeredgecolor": style.INK, "markeredgewidth": 0.6}


def plot(experiment: Experiment) -> Figure:
    """For one task: return against pairs; one panel per sample size, a shade and pattern for each learning rate."""
    regimes, statistics = experiment[RegimeHistory], experiment.statistics
    sizes, rates = sorted(distinct(regimes, "timesteps")), sorted(distinct(regimes, "lr"))
    best = best_rates(summarize(regimes, statistics)).set_index("timesteps")["lr"].to_dict()
    series = dict(zip(rates, style.sequence(len(rates)), strict=True))
    columns = len(sizes) if len(sizes) <= 3 else 2
    lines = -(-len(sizes) // columns)
    figure = style.new_figure(style.WIDTH if columns > 1 else style.NARROW, 0.95 + 1.95 * lines)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for index, axes in enumerate(panels.flat):
        if index >= len(sizes):
            axes.set_visible(False)
            continue
        rows, best_rate = select(regimes, timesteps=sizes[index]), float(best[sizes[index]])
        for rate in rates:
            curve = block_means(select(rows, lr=rate), sizes[-1])
            _curve(axes, curve, series[rate], statistics, best=rate == best_rate)
        named = f"\nbest rate: {scientific(best_rate)}" if math.isfinite(best_rate) else ""
        axes.set_title(f"T = {sizes[index]:,} pairs an iteration{named}")
        style.quiet_grid(axes)
        if index % columns == 0:
            axes.set_ylabel("episode return (reward units)")
        if index + columns >= len(sizes):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("state-action pairs, per agent")
    style.pairs_axis(panels[0, 0])  # once all curves are drawn: its range is that of every panel
    figure.suptitle(f"{distinct(regimes, 'env')[0]}, {experiment.label(distinct(regimes, 'algorithm')[0])}")
    handles = _handles(experiment, series)
    style.legend_below(figure, handles, columns=len(handles) if len(handles) <= 5 else -(-len(handles) // 2))
    return figure


def block_means(history: pd.DataFrame, pairs: int) -> pd.DataFrame:
    """Each agent's mean return over the iterations that end within each `pairs` pairs, at the last of them.

    With the largest T as `pairs`, curves of every T have equally many points. Iterations in which no episode ended do
    not count.
    """
    block = -(-history["pairs"] // pairs)
    means = history.groupby(["lr", "agent", block.rename("block")], as_index=False)
    return means.agg({"pairs": "max", "mean_return": "mean"})


def _curve(axes: Axes, rows: pd.DataFrame, series: SeriesStyle, statistics: Statistics, *, best: bool) -> None:
    """The mean over agents of one rate and its interval; a star at the end of the best rate."""
    if rows.empty:
        return
    curve = over_agents(rows, ["pairs"], "mean_return", statistics).dropna(subset="mean")
    order = 4 if best else 3
    marker = "o" if len(curve) <= FEW else ""
    label = f"lr={rows['lr'].iloc[0]:g}"
    style.curve(axes, curve, "pairs", series, linewidth=1.3, marker=marker, markersize=2.2, zorder=order, label=label)
    if best:
        end = curve.iloc[-1:]
        star: dict[str, Any] = {
            "color": series.color,
            "linestyle": "none",
            "clip_on": False,
            "zorder": order + 1,
            **_STAR,
        }
        axes.plot(end["pairs"], end["mean"], label="best", **star)


def _handles(experiment: Experiment, series: dict[float, SeriesStyle]) -> list:
    return [
        *(
            style.line_handle(f"rate {scientific(rate)}", **one.line(marker="", linewidth=1.3))
            for rate, one in series.items()
        ),
        style.line_handle("best rate at this T", color=style.FAINT, linestyle="none", **_STAR),
        band(experiment),
    ]


def caption(experiment: Experiment) -> str:
    regimes = experiment[RegimeHistory]
    table = summarize(regimes, experiment.statistics)
    best = best_rates(table).to_dict("records")
    sizes = "; ".join(
        _size(select(regimes, timesteps=row["timesteps"]), select(table, timesteps=row["timesteps"]), row)
        for row in best
    )
    algorithm = experiment.label(distinct(regimes, "algorithm")[0])
    return (
        f"Figure 3 of the paper, there of PPO on Humanoid. {algorithm} on {distinct(regimes, 'env')[0]}, trained with "
        "T pairs an iteration (a panel each) and several learning rates, all on "
        f"{regimes['pairs'].max():,} pairs per agent: mean return of "
        f"the episodes that ended in each iteration's batch, mean over agents. {_points(regimes)}"
        f"{shaded(experiment.statistics)} An iteration in which no episode of an agent ended is left out for that "
        "agent; markers show single points where they are few. The star marks the best of these rates at its T, by "
        "the mean return over the last fifth of the iterations; where it is the lowest or the highest of them, a rate "
        "beyond may be better. Declines are that final return minus the return, smoothed over as many iterations, "
        f"where the other agents of the same rate peaked, mean over agents. {sizes}."
    )


def _points(regimes: pd.DataFrame) -> str:
    """What a point of a curve is, where it is not one iteration."""
    sizes = distinct(regimes, "timesteps")
    most = f"{max(sizes):,} pairs, the largest T"
    return f"A point is the mean over the iterations that end within {most}. " if len(sizes) > 1 else ""


def _size(rows: pd.DataFrame, table: pd.DataFrame, best: dict[Any, Any]) -> str:
    """One sample size: iterations and agents, the best rate, the predicted one, and the declines."""
    if not math.isfinite(best["lr"]):
        return f"T = {rows['timesteps'].iloc[0]:,}: no training has a final return"
    declines = ", ".join(
        f"{round(row['decline'], 1) + 0.0:,} at {scientific(row['lr'])}"
        for row in table.dropna(subset="decline").to_dict("records")
    )
    predicted = scientific(best["linear_scaling_lr"]) if math.isfinite(best["linear_scaling_lr"]) else "none"
    return (
        f"T = {rows['timesteps'].iloc[0]:,}: {counted(rows['iteration'].nunique(), 'iteration')}, "
        f"{agents_in(rows)} per rate, best {scientific(best['lr'])} "
        f"(linear scaling from the smallest T predicts {predicted}), declines {declines or 'unknown'}"
    )


FIGURE = FigureSpec(
    "fig03_regimes",
    "sample sizes and learning rates",
    Section.GRADIENTS,
    tables=(RegimeHistory,),
    plot=plot,
    caption=caption,
    paper=(PaperFigure(3, ("Humanoid",), ("ppo",)),),
)
