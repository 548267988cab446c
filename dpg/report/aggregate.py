"""Means over agents with their intervals: agents are the independent units of everything in the report."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dpg.numerics.statistics import Interval, all_but_one, mean_interval, wider_interval
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed

# Independent of the experiment's seed: the same tables give the same figures. Every interval uses the same resamples,
# so that the bootstrap does not roughen a band over iterations.
RESAMPLES = Seed(0) / "report" / "agents"

LAST_ITERATIONS = 5
NO_INTERVAL = Interval(float("nan"), float("nan"), float("nan"))


def over_agents(table: pd.DataFrame, by: Sequence[str], column: str, statistics: Statistics) -> pd.DataFrame:
    """The mean of `column` over agents, in groups of equal `by`: a row a group with `mean`, `low`, `high`, `agents`.

    Agents are the interval's independent unit. An agent whose value is NaN is left out of its group;
    `agents` counts those that are in. The groups are sorted.

    Raises:
        ValueError: an agent has more than one row in a group, and would count more than once.
    """
    keys = list(by)
    if table.duplicated([*keys, "agent"]).any():
        raise ValueError(f"{column}: an agent has several rows with the same {', '.join(keys)}")
    rows = []
    for values, group in table.groupby(keys):
        finite = group[column].dropna().to_numpy(np.float64)
        interval = interval_over_agents(finite, statistics)
        rows.append([*values, *interval, len(finite)])
    return pd.DataFrame(rows, columns=[*keys, "mean", "low", "high", "agents"])


def interval_over_agents(values: "np.ndarray | pd.Series[float]", statistics: Statistics) -> Interval:
    """The mean of one value an agent, and its interval; NaN without agents."""
    if len(values) == 0:
        return NO_INTERVAL
    return mean_interval(np.asarray(values, float), statistics.confidence, statistics.resamples, RESAMPLES.generator())


def two_sample_interval(
    statistic: Callable[[Int[np.ndarray, "B N"], Int[np.ndarray, "B M"]], Float[np.ndarray, " B"]],
    first: int,
    second: int,
    statistics: Statistics,
) -> Interval:
    """A statistic of two independent groups of agents, from their indices, and its interval, from both."""
    one, other = np.arange(first)[None], np.arange(second)[None]
    (point,) = statistic(one, other)
    if min(first, second) < 2:
        return Interval(float(point), float("nan"), float("nan"))
    without = [
        statistic(all_but_one(first), np.tile(other, (first, 1))),
        statistic(np.tile(one, (second, 1)), all_but_one(second)),
    ]
    resampled = statistic(*resampled_agents(first, second, statistics))
    return wider_interval(float(point), resampled, without, statistics.confidence)


def resampled_agents(
    first: int, second: int, statistics: Statistics
) -> tuple[Int[np.ndarray, "B N"], Int[np.ndarray, "B M"]]:
    """Indices of the agents of two groups, resampled independently."""
    rng = RESAMPLES.generator()
    return rng.integers(0, first, (statistics.resamples, first)), rng.integers(
        0, second, (statistics.resamples, second)
    )


def final_returns(history: pd.DataFrame) -> np.ndarray:
    """Of one cell's agents, each one's mean return over the last five iterations: the final performance of fig. 9.

    An iteration in which no episode of an agent ended does not count for it; an agent without any is left out.
    """
    last = history[history["iteration"] > history["iteration"].max() - LAST_ITERATIONS]
    return last.groupby("agent")["mean_return"].mean().dropna().to_numpy(np.float64)


def along_step(landscape: pd.DataFrame) -> pd.DataFrame:
    """The points on the update step, b = 0, in its order; spacing a grid can leave its zero at 1e-17."""
    distance = landscape["random"].abs()
    return landscape[distance == distance.min()].sort_values("step")
