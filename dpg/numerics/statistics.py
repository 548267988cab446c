"""Means with intervals, by bootstrap over independent units.

What is resampled is always the independent unit: an agent, a stream, an episode, an estimate. Never a cosine, since
cosines share members.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import stats


class Interval(NamedTuple):
    """A point estimate and the ends of its confidence interval; NaN where the data cannot give them."""

    mean: float
    low: float
    high: float


def mean_interval(
    values: Float[np.ndarray, " N"], confidence: float, resamples: int, rng: np.random.Generator
) -> Interval:
    """The mean of N independent values, and its interval."""

    def resampled_means(indices: Int[np.ndarray, "B N"]) -> Float[np.ndarray, " B"]:
        return values[indices].mean(axis=-1)

    return bootstrap(float(np.mean(values)), resampled_means, len(values), confidence, resamples, rng)


def pairwise_interval(
    similarity: Float[np.ndarray, "N N"], confidence: float, resamples: int, rng: np.random.Generator
) -> Interval:
    """The mean of a symmetric N x N similarity over its distinct pairs, and its interval, from resampled members.

    A resample holds members twice; a member's similarity with its own copy is not a measurement and is left out. Two
    members have one similarity, which tells nothing of how far another would lie: no interval.
    """
    members = len(similarity)

    def resampled_means(indices: Int[np.ndarray, "B N"]) -> Float[np.ndarray, " B"]:
        pairs = similarity[indices[:, :, None], indices[:, None, :]]
        distinct = indices[:, :, None] != indices[:, None, :]
        count = distinct.sum(axis=(1, 2))
        total = np.where(distinct, pairs, 0.0).sum(axis=(1, 2))
        return np.divide(total, count, out=np.full(len(indices), np.nan), where=count > 0)

    point = float(np.mean(similarity[~np.eye(members, dtype=bool)])) if members > 1 else float("nan")
    if members < 3:
        return Interval(point, float("nan"), float("nan"))
    return bootstrap(point, resampled_means, members, confidence, resamples, rng)


def bootstrap(
    point: float,
    statistic: Callable[[Int[np.ndarray, "B N"]], Float[np.ndarray, " B"]],
    num_units: int,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> Interval:
    """A bootstrap interval of `statistic`, which maps resampled unit indices (B, N) to B values.

    Expanded percentiles (Hesterberg, arXiv:1411.5279, section 5.3): a plain percentile interval is too narrow for few
    units by sqrt((N-1)/N) and by using normal instead of t quantiles, so its nominal level is widened to
    Phi(sqrt(N/(N-1)) t_{alpha/2, N-1}). Agents come in fives and estimates in tens, where this matters. With fewer
    than two units there is no interval: NaN.
    """
    if num_units < 2 or not np.isfinite(point):
        return Interval(point, float("nan"), float("nan"))
    indices = rng.integers(0, num_units, size=(resamples, num_units))
    values = statistic(indices)
    tail = (1 - confidence) / 2
    quantile = stats.t.ppf(tail, num_units - 1) * np.sqrt(num_units / (num_units - 1))
    level = float(stats.norm.cdf(quantile))
    low, high = np.nanquantile(values, [level, 1 - level])
    return Interval(point, float(low), float(high))


def standard_error(values: Float[np.ndarray, "*batch N"]) -> Float[np.ndarray, "*batch"]:
    """Standard error of the mean of N independent values: s / sqrt(N), with s from N - 1 degrees of freedom."""
    count = values.shape[-1]
    return np.std(values, axis=-1, ddof=1) / np.sqrt(count)
