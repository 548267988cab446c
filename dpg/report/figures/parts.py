"""Parts that figures and captions share."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from dpg.report import style
from dpg.report.aggregate import over_agents
from dpg.report.experiment import Experiment, select
from dpg.report.wording import counted
from dpg.runtime.schema import Statistics

MARKERS = 12  # at most, per line: one on every point would hide the dashes


def agents_and_mean(
    axes: Axes, rows: pd.DataFrame, x: str, column: str, experiment: Experiment, thin: dict[str, Any], **thick: Any
) -> None:
    """Draw a thin line for each agent of one algorithm, and their mean with its interval."""
    if rows.empty:
        return
    series = experiment.style(rows["algorithm"].iloc[0])
    for agent, line in rows.dropna(subset=column).groupby("agent"):
        axes.plot(line[x], line[column], color=series.color, label=f"agent={agent}", **thin)
    mean = over_agents(rows, [x], column, experiment.statistics).dropna(subset="mean")
    style.curve(axes, mean, x, series, label="mean", **thick)


def marked(rows: pd.DataFrame, marker: str) -> dict[str, Any]:
    """Line options that limit the number of markers."""
    return {"marker": marker, "markevery": max(1, len(rows) // MARKERS)}


def widen(axes: Axes, iterations: list[int]) -> None:
    """Widen the axis of a single iteration."""
    if len(iterations) == 1:
        axes.set_xlim(iterations[0] - 1, iterations[0] + 1)


def band(experiment: Experiment, color: str = style.GREY, of: str = " over agents") -> Patch:
    """The legend entry of an interval."""
    label = f"{experiment.statistics.confidence:.0%} interval{of}"
    return Patch(facecolor=color, alpha=style.BAND * 1.6, linewidth=0, label=label)


def common(experiment: Experiment, algorithms: list[str]) -> tuple[str, str]:
    """Colour and marker of legend entries for all algorithms: neutral unless there is only one."""
    only = experiment.style(algorithms[0])
    return (only.color, only.marker) if len(algorithms) == 1 else (style.GREY, "")


def shaded(statistics: Statistics, of: str = "the mean") -> str:
    """A caption's sentence about intervals over agents."""
    return (
        f"Shaded: {statistics.confidence:.0%} interval of {of}, by resampling agents ({statistics.resamples} "
        "bootstrap resamples, or Student's t where wider)."
    )


def trajectories_at_t(rows: pd.DataFrame, experiment: Experiment) -> str:
    """Mean number of complete trajectories in estimates of T pairs, by algorithm and iteration."""
    at_t = select(rows, pairs=experiment.timesteps).groupby(["algorithm", "iteration"])["trajectories"].mean()
    return "; ".join(f"{experiment.label(name)}, iteration {i}: {at_t[name, i]:.1f}" for name, i in at_t.index)


def agents_in(rows: pd.DataFrame) -> str:
    """How many agents the rows are of, for captions: 6 agents."""
    return counted(rows["agent"].nunique(), "agent")
