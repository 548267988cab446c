"""Means over agents and their intervals: agents are the independent units of the whole report."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import stats

from dpg.numerics.statistics import Interval, all_but_one, bootstrap, mean_interval, on_fishers_scale, wider_interval
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed

# Independent of the experiment's seed: the same tables give the same figures. All intervals share their resamples, so
# that the bootstrap adds no roughness to a band over iterations.
RESAMPLES = Seed(0) / "report" / "agents"

LAST_ITERATIONS = 5
QUARTER = 0.25
NO_INTERVAL = Interval(float("nan"), float("nan"), float("nan"))


def over_agents(
    table: pd.DataFrame, by: Sequence[str], column: str, statistics: Statistics, *, correlation: bool = False
) -> pd.DataFrame:
    """The mean of `column` over agents for each value of `by`, sorted: columns `mean`, `low`, `high` and `agents`.

    The interval resamples agents; that of a `correlation` lies between -1 and 1. Agents whose value is NaN are
    excluded; `agents` counts the others.

    Raises:
        ValueError: an agent has more than one row in a group.
    """
    keys = list(by)
    if table.duplicated([*keys, "agent"]).any():
        raise ValueError(f"{column}: an agent has several rows with the same {', '.join(keys)}")
    rows = []
    for values, group in table.groupby(keys):
        finite = group[column].dropna().to_numpy(np.float64)
        interval = interval_over_agents(finite, statistics)
        if correlation:
            interval = on_fishers_scale(interval)
        rows.append([*values, *interval, len(finite)])
    return pd.DataFrame(rows, columns=[*keys, "mean", "low", "high", "agents"])


def interval_over_agents(values: "np.ndarray | pd.Series[float]", statistics: Statistics) -> Interval:
    """The mean of one value per agent, and its interval; NaN without agents."""
    if len(values) == 0:
        return NO_INTERVAL
    return mean_interval(np.asarray(values, float), statistics.confidence, statistics.resamples, RESAMPLES.generator())


def interquartile_mean(values: Float[np.ndarray, " N"], statistics: Statistics) -> Interval:
    """The mean of the middle half of one value per agent, and its interval, which resamples agents.

    A quarter of the agents, rounded down, is left out at either end, so that one agent that failed or excelled has
    little weight (Agarwal et al. 2021, arXiv:2108.13264).
    """
    if len(values) == 0:
        return NO_INTERVAL

    def middle(agents: Int[np.ndarray, "B n"]) -> Float[np.ndarray, " B"]:
        return np.asarray(stats.trim_mean(values[agents], QUARTER, axis=1))

    (point,) = middle(np.arange(len(values))[None])
    rng = RESAMPLES.generator()
    return bootstrap(float(point), middle, len(values), statistics.confidence, statistics.resamples, rng)


def two_sample_interval(
    statistic: Callable[[Int[np.ndarray, "B N"], Int[np.ndarray, "B M"]], Float[np.ndarray, " B"]],
    first: int,
    second: int,
    statistics: Statistics,
) -> Interval:
    """A statistic of two groups of agents, a function of indices into both, with an interval that resamples each."""
    one, other = np.arange(first)[None], np.arange(second)[None]
    (point,) = statistic(one, other)
    if min(first, second) < 2:
        return Interval(float(point), float("nan"), float("nan"))
    without = [
        statistic(all_but_one(first), np.tile(other, (first, 1))),
        statistic(np.tile(one, (second, 1)), all_but_one(second)),
    ]
    rng = RESAMPLES.generator()
    resampled = statistic(*(rng.integers(0, size, (statistics.resamples, size)) for size in (first, second)))
    return wider_interval(float(point), resampled, without, statistics.confidence)


def final_returns(history: pd.DataFrame) -> np.ndarray:
    """The mean return of each agent of a cell over the last five iterations: the final performance of fig. 9.

    Iterations in which no episode of an agent ended are skipped; agents without any episode are excluded.
    """
    last = history[history["iteration"] > history["iteration"].max() - LAST_ITERATIONS]
    return last.groupby("agent")["mean_return"].mean().dropna().to_numpy(np.float64)


def along_step(landscape: pd.DataFrame) -> pd.DataFrame:
    """The points on the update step, b = 0, in order; rounding may put that b at 1e-17."""
    distance = landscape["random"].abs()
    return landscape[distance == distance.min()].sort_values("step")
