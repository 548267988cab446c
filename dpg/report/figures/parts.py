"""Parts that figures and captions share."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from dpg.report import style
from dpg.report.aggregate import over_agents
from dpg.report.experiment import Experiment, select
from dpg.runtime.schema import Statistics

MARKERS = 12  # of a line, at most: they distinguish algorithms, and on every point would hide the dashes


def agents_and_mean(
    axes: Axes, rows: pd.DataFrame, x: str, column: str, experiment: Experiment, thin: dict[str, Any], **thick: Any
) -> None:
    """Of one algorithm: a thin line for each agent, the mean over agents, and its interval."""
    if rows.empty:
        return
    series = experiment.style(rows["algorithm"].iloc[0])
    for agent, line in rows.dropna(subset=column).groupby("agent"):
        axes.plot(line[x], line[column], color=series.color, label=f"agent={agent}", **thin)
    mean = over_agents(rows, [x], column, experiment.statistics).dropna(subset="mean")
    style.curve(axes, mean, x, series, label="mean", **thick)


def marked(rows: pd.DataFrame, marker: str) -> dict[str, Any]:
    """Options of a line with few markers."""
    return {"marker": marker, "markevery": max(1, len(rows) // MARKERS)}


def widen(axes: Axes, iterations: list[int]) -> None:
    """Give a single iteration room on its axis."""
    if len(iterations) == 1:
        axes.set_xlim(iterations[0] - 1, iterations[0] + 1)


def band(experiment: Experiment, color: str = style.GREY, of: str = " over agents") -> Any:
    """The legend entry of an interval."""
    return style.band_handle(color, f"{experiment.statistics.confidence:.0%} interval{of}")


def common(experiment: Experiment, algorithms: list[str]) -> tuple[str, str]:
    """Colour and marker of legend entries that stand for all algorithms: those of the only one, or neutral ones."""
    only = experiment.style(algorithms[0])
    return (only.color, only.marker) if len(algorithms) == 1 else (style.GREY, "")


def shaded(statistics: Statistics, of: str = "the mean") -> str:
    """The sentence of a caption about intervals over agents."""
    return (
        f"Shaded: {statistics.confidence:.0%} interval of {of}, by resampling agents ({statistics.resamples} "
        "bootstrap resamples, or Student's t where wider)."
    )


def trajectories_at_t(rows: pd.DataFrame, experiment: Experiment) -> str:
    """Complete trajectories in estimates of T pairs, mean over agents, by algorithm and iteration."""
    at_t = select(rows, pairs=experiment.timesteps).groupby(["algorithm", "iteration"])["trajectories"].mean()
    return "; ".join(f"{experiment.label(name)}, iteration {i}: {at_t[name, i]:.1f}" for name, i in at_t.index)
