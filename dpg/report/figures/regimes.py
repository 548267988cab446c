"""Training curves over sample sizes and learning rates (paper, fig. 3): `data/tables/regimes`."""

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpg.report import style
from dpg.report.regimes import best_rates, summarize
from dpg.report.tables import distinct, over_agents, select
from dpg.runtime.schema import Statistics

NAME = "fig03_regimes"

FEW = 10  # iterations in a curve that are marked one by one
_STAR: dict[str, Any] = {"marker": "*", "markersize": 9, "markeredgecolor": style.INK, "markeredgewidth": 0.6}


@style.paper()
def draw(regimes: pd.DataFrame, statistics: Statistics) -> Figure:
    """Figure 3 for one task: return against pairs; a panel a sample size, a shade and pattern a learning rate."""
    sizes, rates = sorted(distinct(regimes, "timesteps")), sorted(distinct(regimes, "lr"))
    best = best_rates(summarize(regimes, statistics)).set_index("timesteps")["lr"].to_dict()
    looks = dict(zip(rates, style.sequence(len(rates)), strict=True))
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
            _curve(axes, select(rows, lr=rate), looks[rate], statistics, best=rate == best_rate)
        named = f"\nbest rate: {style.scientific(best_rate)}" if math.isfinite(best_rate) else ""
        axes.set_title(f"T = {sizes[index]:,} pairs an iteration{named}")
        style.pairs_axis(axes)
        style.quiet_grid(axes)
        if index % columns == 0:
            axes.set_ylabel("episode return (reward units)")
        if index + columns >= len(sizes):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("state-action pairs, per agent")
    figure.suptitle(f"{distinct(regimes, 'env')[0]}, {style.look(distinct(regimes, 'algorithm')[0]).label}")
    handles = _handles(looks, statistics)
    style.legend_below(figure, handles, columns=len(handles) if len(handles) <= 5 else -(-len(handles) // 2))
    return figure


def _curve(axes: Axes, rows: pd.DataFrame, look: style.Look, statistics: Statistics, *, best: bool) -> None:
    """The mean over agents of one rate and its interval; a star at the end of the best rate."""
    if rows.empty:
        return
    curve = over_agents(rows, ["pairs"], "mean_return", statistics).dropna(subset="mean")
    order = 4 if best else 3
    marker = "o" if len(curve) <= FEW else ""
    label = f"lr={rows['lr'].iloc[0]:g}"
    style.curve(axes, curve, "pairs", look, linewidth=1.3, marker=marker, markersize=2.2, zorder=order, label=label)
    if best:
        end = curve.iloc[-1:]
        axes.plot(
            end["pairs"],
            end["mean"],
            color=look.color,
            linestyle="none",
            clip_on=False,
            zorder=order + 1,
            label="best",
            **_STAR,
        )


def _handles(looks: dict[float, style.Look], statistics: Statistics) -> list:
    rates = [
        style.line_handle(f"rate {style.scientific(rate)}", color=look.color, linestyle=look.dashes, linewidth=1.3)
        for rate, look in looks.items()
    ]
    return [
        *rates,
        style.line_handle("best rate at this T", color=style.FAINT, linestyle="none", **_STAR),
        style.band_handle(style.GREY, f"{statistics.confidence:.0%} interval over agents"),
    ]


def caption(regimes: pd.DataFrame, statistics: Statistics) -> str:
    """What figure 3 shows, from how much, and the numbers that are read off it."""
    table = summarize(regimes, statistics)
    best = best_rates(table).to_dict("records")
    sizes = "; ".join(
        _size(select(regimes, timesteps=row["timesteps"]), select(table, timesteps=row["timesteps"]), row)
        for row in best
    )
    algorithm = style.look(distinct(regimes, "algorithm")[0]).label
    return (
        f"Figure 3 of the paper. {algorithm} on {distinct(regimes, 'env')[0]}, trained with T pairs an iteration (a "
        f"panel each) and several learning rates, all on {regimes['pairs'].max():,} pairs an agent: mean return of the "
        "episodes that ended in each iteration's batch, mean over agents. Shaded: "
        f"{statistics.confidence:.0%} interval of the mean, by resampling agents ({statistics.resamples} bootstrap "
        "resamples, or Student's t where wider). "
        "An iteration in which no episode of an agent ended is left out for that "
        "agent; markers show single iterations where they are few. The star marks the best of these rates at its T, by "
        "the mean return over the last fifth of the iterations; where it is the lowest or the highest of them, a rate "
        "beyond may be better. Declines are that final return minus the return, smoothed over as many iterations, "
        "where the other agents of the same rate peaked, mean over agents. "
        f"{sizes}."
    )


def _size(rows: pd.DataFrame, table: pd.DataFrame, best: dict[Any, Any]) -> str:
    """One sample size: iterations and agents, the best rate, the predicted one, and the declines."""
    if not math.isfinite(best["lr"]):
        return f"T = {rows['timesteps'].iloc[0]:,}: no training has a final return"
    agents = sorted(set(rows.groupby("lr")["agent"].nunique()))
    declines = ", ".join(
        f"{round(row['decline'], 1) + 0.0:,} at {style.scientific(row['lr'])}"
        for row in table.dropna(subset="decline").to_dict("records")
    )
    predicted = style.scientific(best["linear_scaling_lr"]) if math.isfinite(best["linear_scaling_lr"]) else "no"
    return (
        f"T = {rows['timesteps'].iloc[0]:,}: {rows['iteration'].nunique()} iterations, "
        f"{' to '.join(str(count) for count in agents)} agents a rate, best {style.scientific(best['lr'])} "
        f"(linear scaling from the smallest T predicts {predicted}), declines {declines}"
    )
