"""Means with intervals, by bootstrap over independent units.

What is resampled is always the independent unit: an agent, a stream, an episode, an estimate. Never a cosine, since
cosines share members.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import special


class Interval(NamedTuple):
    """A point estimate and the ends of its confidence interval; NaN where the data cannot give them."""

    mean: float
    low: float
    high: float


class Sample(NamedTuple):
    """N independent units: their statistic, and the same of resampled units, from indices (B, N) to B values."""

    point: float
    resampled: Callable[[Int[np.ndarray, "B N"]], Float[np.ndarray, " B"]]
    units: int


def of_values(values: Float[np.ndarray, " N"]) -> Sample:
    """The mean of N independent values."""
    return Sample(float(np.mean(values)), lambda indices: values[indices].mean(axis=-1), len(values))


def of_pairs(similarity: Float[np.ndarray, "N N"]) -> Sample:
    """The mean of a symmetric N x N similarity over its distinct pairs; the members are the units.

    A resample holds members twice; a member's similarity with its own copy is not a measurement and is left out. Two
    members have one similarity, which tells nothing of how far another would lie: they count as one unit.
    """
    members = len(similarity)

    def resampled(indices: Int[np.ndarray, "B N"]) -> Float[np.ndarray, " B"]:
        pairs = similarity[indices[:, :, None], indices[:, None, :]]
        distinct = indices[:, :, None] != indices[:, None, :]
        count = distinct.sum(axis=(1, 2))
        total = np.where(distinct, pairs, 0.0).sum(axis=(1, 2))
        return np.divide(total, count, out=np.full(len(indices), np.nan), where=count > 0)

    point = float(np.mean(similarity[~np.eye(members, dtype=bool)])) if members > 1 else float("nan")
    return Sample(point, resampled, members if members > 2 else min(members, 1))


def mean_interval(
    values: Float[np.ndarray, " N"], confidence: float, resamples: int, rng: np.random.Generator
) -> Interval:
    """The mean of N independent values, and its interval."""
    return bootstrap(*of_values(values), confidence, resamples, rng)


def pairwise_interval(
    similarity: Float[np.ndarray, "N N"], confidence: float, resamples: int, rng: np.random.Generator
) -> Interval:
    """The mean of a symmetric N x N similarity over its distinct pairs, and its interval, from resampled members."""
    return bootstrap(*of_pairs(similarity), confidence, resamples, rng)


def nested_interval(samples: Sequence[Sample], confidence: float, resamples: int, rng: np.random.Generator) -> Interval:
    """The mean of G independent samples' statistics, and its interval: samples are resampled, and units within each.

    With one sample only its units are resampled. Samples without a statistic (NaN) are left out.
    """
    known = [sample for sample in samples if np.isfinite(sample.point)]
    if len(known) < 2:
        return bootstrap(*known[0], confidence, resamples, rng) if known else Interval(*[float("nan")] * 3)
    within = np.stack([_resampled(sample, resamples, rng) for sample in known])
    draws = rng.integers(0, resamples, size=(resamples, len(known)))

    def resampled(indices: Int[np.ndarray, "B G"]) -> Float[np.ndarray, " B"]:
        return within[indices, draws].mean(axis=-1)

    return bootstrap(float(np.mean([s.point for s in known])), resampled, len(known), confidence, resamples, rng)


def _resampled(sample: Sample, resamples: int, rng: np.random.Generator) -> Float[np.ndarray, " B"]:
    if sample.units < 2:
        return np.full(resamples, sample.point)
    return sample.resampled(rng.integers(0, sample.units, size=(resamples, sample.units)))


def bootstrap(
    point: float,
    statistic: Callable[[Int[np.ndarray, "B N"]], Float[np.ndarray, " B"]],
    num_units: int,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> Interval:
    """A bootstrap interval of `statistic`, which maps resampled unit indices (B, N) to B values.

    With fewer than two units there is no interval: NaN.
    """
    if num_units < 2 or not np.isfinite(point):
        return Interval(point, float("nan"), float("nan"))
    indices = rng.integers(0, num_units, size=(resamples, num_units))
    return expanded_percentiles(point, statistic(indices), num_units, confidence)


def expanded_percentiles(point: float, values: Float[np.ndarray, " B"], num_units: int, confidence: float) -> Interval:
    """The interval of a statistic from its values on B resamples of N units (Hesterberg, arXiv:1411.5279, sec. 5.3).

    A plain percentile interval is too narrow for few units by sqrt((N-1)/N) and by using normal instead of t quantiles,
    so its nominal level is widened to Phi(sqrt(N/(N-1)) t_{alpha/2, N-1}). Agents come in fives and estimates in tens,
    where this matters. Without a value there is no interval: NaN.
    """
    if num_units < 2 or not (np.isfinite(point) and np.isfinite(values).any()):
        return Interval(point, float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    quantile = special.stdtrit(num_units - 1, tail) * np.sqrt(num_units / (num_units - 1))
    level = float(special.ndtr(quantile))
    low, high = np.nanquantile(values, [level, 1 - level])
    return Interval(point, float(low), float(high))


def standard_error(values: Float[np.ndarray, "*batch N"]) -> Float[np.ndarray, "*batch"]:
    """Standard error of the mean of N independent values: s / sqrt(N), with s from N - 1 degrees of freedom."""
    count = values.shape[-1]
    return np.std(values, axis=-1, ddof=1) / np.sqrt(count)


def rank_correlation(
    x: Float[np.ndarray, "*#batch N"], y: Float[np.ndarray, "*#batch N"]
) -> Float[np.ndarray, "*batch"]:
    """Spearman's correlation, ties at their mean rank; NaN where one of the two is constant."""
    from scipy.stats import rankdata  # half a second, which no worker has to spend

    ranks = [rankdata(values, axis=-1) for values in (x, y)]
    a, b = (rank - rank.mean(axis=-1, keepdims=True) for rank in ranks)
    scale = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    product = (a * b).sum(axis=-1)
    return np.divide(product, scale, out=np.full_like(product, np.nan), where=scale > 0)
