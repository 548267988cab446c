"""How much of a landscape is relief and how much is noise, from each budget of pairs (paper, fig. 6, 25, 26).

The error of a difference between two points is that of the trajectories' own differences where these are paired by
common random numbers.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from dpg.probes.landscape_plan import Landscape, LandscapeSpec
from dpg.tables.landscape import Resolution


def resolutions(landscape: Landscape, confidence: float) -> list[Resolution]:
    """One row for each budget of pairs."""
    spec, size = landscape.spec, len(landscape.spec.grid.points)
    near = neighbours(spec.grid.shape)
    pairs_of_points = np.triu_indices(size, 1)
    rows: list[Resolution] = []
    for budget, count in zip(spec.pair_budgets, landscape.trajectories, strict=True):
        returns, apart = landscape.returns(count)[:size], landscape.own_returns(count)[:size]
        trajectories = landscape.counts(count)[:size]
        fewest, share = np.minimum.outer(trajectories, trajectories), trajectories / count
        means = returns.mean(axis=1)
        squared = (means[:, None] - means) ** 2
        noise, shared = np.diagonal(mean_covariance(apart)), difference_variance(mean_covariance(returns))
        known = shared if spec.common_random_numbers else difference_variance(np.diag(noise))
        # Independent points have all trajectories of the budget, also where fewer were needed. A difference that is not
        # known as well as from those is resolved by what is known.
        own = difference_variance(np.diag(noise * share))
        own_or_known = np.where(fewest < count, np.maximum(own, known), own)
        freedom = welch_freedom(stats.sem(apart, axis=1) ** 2 * share, count)
        freedom = np.where(own_or_known > own, fewest - 1.0, freedom)
        own_resolved = resolved_alone(squared, known, own_or_known, freedom, confidence)
        shared_resolved = resolved_pairs(squared, shared, fewest - 1.0, confidence)
        observed, own_noise, shared_noise = (float(matrix[near].mean()) for matrix in (squared, own, shared))
        # Between independent points: the same relief, and the noise of both.
        independent = observed - float(known[near].mean()) + own_noise
        rows.append(
            Resolution(
                **landscape.key,
                budget_pairs=budget,
                trajectories=int(trajectories.min()),
                pairs=float(landscape.episodes.length[:size, :count].sum(axis=1).mean()),
                reward_se=float(np.median(stats.sem(returns, axis=1))),
                point_pairs=len(pairs_of_points[0]),
                own_resolved_share=float(own_resolved[pairs_of_points].mean()),
                shared_resolved_share=_if_shared(spec, float(shared_resolved[pairs_of_points].mean())),
                neighbour_std=observed**0.5,
                own_noise_std=own_noise**0.5,
                shared_noise_std=_if_shared(spec, shared_noise**0.5),
                own_noise_share=own_noise / independent if independent > 0 else float("nan"),
                shared_noise_share=_if_shared(spec, shared_noise / observed if observed > 0 else float("nan")),
            )
        )
    return rows


def _if_shared(spec: LandscapeSpec, value: float) -> float:
    """The value where points share their noise, else NaN."""
    return value if spec.common_random_numbers else float("nan")


def neighbours(shape: tuple[int, int]) -> tuple[Int[np.ndarray, " K"], Int[np.ndarray, " K"]]:
    """The two ends of every edge of a grid whose points are in row order."""
    numbers = np.arange(shape[0] * shape[1]).reshape(shape)
    ends = [(numbers[:-1].ravel(), numbers[1:].ravel()), (numbers[:, :-1].ravel(), numbers[:, 1:].ravel())]
    first, second = (np.concatenate(side) for side in zip(*ends, strict=True))
    return first, second


def mean_covariance(returns: Float[np.ndarray, "G E"]) -> Float[np.ndarray, "G G"]:
    """The sampling covariance of the points' means."""
    return np.atleast_2d(np.cov(returns)) / returns.shape[1]


def difference_variance(covariance: Float[np.ndarray, "G G"]) -> Float[np.ndarray, "G G"]:
    """The variance of the difference of two points' means, for all pairs of points, from the means' covariance."""
    own = np.diagonal(covariance)
    return np.maximum(own[:, None] + own - 2 * covariance, 0.0)


def welch_freedom(variance: Float[np.ndarray, " G"], count: int) -> Float[np.ndarray, "G G"]:
    """Degrees of freedom of the difference of two independent points' means (Welch), for all pairs of points.

    `variance` is that of a point's mean over `count` trajectories.
    """
    total, squares = variance[:, None] + variance, variance[:, None] ** 2 + variance**2
    fewest = np.full(total.shape, count - 1.0)
    return np.divide((count - 1) * total**2, squares, out=fewest, where=squares > 0)


def resolved_pairs(
    squared: Float[np.ndarray, "G G"],
    variance: Float[np.ndarray, "G G"],
    freedom: Float[np.ndarray, "G G"],
    confidence: float,
) -> Bool[np.ndarray, "G G"]:
    """Which pairs of points differ significantly at this confidence (Student's t, two-sided)."""
    quantile = stats.t.ppf((1 + confidence) / 2, freedom)
    return squared > quantile**2 * variance


def resolved_alone(
    squared: Float[np.ndarray, "G G"],
    known: Float[np.ndarray, "G G"],
    own: Float[np.ndarray, "G G"],
    freedom: Float[np.ndarray, "G G"],
    confidence: float,
) -> Float[np.ndarray, "G G"]:
    """The probability that each pair of points would be resolved if the points were measured independently.

    The difference, measured with the sampling variance `known`, would have the variance `own`. This is the probability
    that the difference with additional noise of variance `own - known` exceeds the half width of its interval; without
    additional noise it is 0 or 1.
    """
    difference, error = np.sqrt(squared), np.sqrt(own)
    half = stats.t.ppf((1 + confidence) / 2, freedom) * error
    added = np.sqrt(np.maximum(own - known, 0.0))
    noisy = added > 0
    scale = np.where(noisy, added, 1.0)
    chance = stats.t.cdf((difference - half) / scale, freedom) + stats.t.cdf((-difference - half) / scale, freedom)
    return np.where(noisy, chance, difference > half)
