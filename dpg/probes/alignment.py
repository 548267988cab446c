"""Whether surrogate and reward agree, and from how many trajectories the reward can be told (paper, fig. 6 to 8).

The independent unit is the trajectory: with common random numbers, one episode number at all points together, since
they share its initial state and noise; without them, each point's own. Intervals rest on that unit, and the error of a
difference between two points is that of the trajectories' own differences where these are paired.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from dpg.agent.snapshot import filename
from dpg.numerics.statistics import Interval, on_fishers_scale, rank_correlation, standard_error, wider_interval
from dpg.probes.landscape import PlaneShard
from dpg.probes.survey import Landscape, Survey
from dpg.runtime.schema import Statistics
from dpg.tables.landscape import Alignment, LandscapePoint, Resolution, SubsampledPoint


def tabulate(landscapes: Iterable[Landscape], statistics: Statistics) -> tuple[dict[type, list[Any]], dict[str, Any]]:
    """The rows of every table by their type, and the arrays behind them by the name of their file.

    Landscapes are taken one at a time: their trajectories are not held together.
    """
    tables: dict[type, list[Any]] = {row: [] for row in (LandscapePoint, SubsampledPoint, Resolution, Alignment)}
    arrays: dict[str, Any] = {}
    for landscape in landscapes:
        tables[LandscapePoint] += points(landscape)
        tables[SubsampledPoint] += concentration(landscape)
        tables[Resolution] += resolutions(landscape, statistics.confidence)
        tables[Alignment].append(align(landscape, statistics))
        arrays |= arrays_of(landscape)
    return tables, arrays


def arrays_of(landscape: Landscape) -> dict[str, Any]:
    """The directions of a landscape, and what was found at every measured point, named by snapshot and regime."""
    shard, plane = landscape.shard, landscape.plane
    snapshot = filename(shard.snapshot.agent, shard.snapshot.iteration).removesuffix(".safetensors")
    name = f"{snapshot}.{shard.update_pairs}"
    found = {"step": plane.step, "surrogate": plane.surrogate, "reward": landscape.reward}
    common = {"points": shard.points, f"{snapshot}.random": plane.random}
    return common | {f"{name}.{part}": array for part, array in found.items()}


def points(landscape: Landscape) -> list[LandscapePoint]:
    """The rows of the grid, from all trajectories."""
    grid, plane, shard = landscape.survey.grid, landscape.plane, landscape.shard
    errors = standard_error(landscape.episodes.return_)
    pairs = landscape.episodes.length.sum(axis=1)
    return [
        LandscapePoint(
            **_owner(shard),
            update_trajectories=plane.trajectories,
            step=float(a),
            random=float(b),
            step_norm=float(np.linalg.norm(plane.step)),
            random_norm=shard.random_norm,
            surrogate=float(plane.surrogate[index]),
            reward=float(landscape.reward[index]),
            reward_se=float(errors[index]),
            trajectories=landscape.trajectories[-1],
            pairs=int(pairs[index]),
            common_random_numbers=landscape.survey.common_random_numbers,
        )
        for index, (a, b) in enumerate(grid.points)
    ]


def concentration(landscape: Landscape) -> list[SubsampledPoint]:
    """The rows of the grid for every budget of pairs."""
    rows: list[SubsampledPoint] = []
    for budget, count in zip(landscape.survey.pair_budgets, landscape.trajectories, strict=True):
        returns = landscape.episodes.return_[:, :count]
        lengths = landscape.episodes.length[:, :count].sum(axis=1)
        means, errors = returns.mean(axis=1), standard_error(returns)
        rows += [
            SubsampledPoint(
                **_owner(landscape.shard),
                budget_pairs=budget,
                step=float(a),
                random=float(b),
                reward=float(means[index]),
                reward_se=float(errors[index]),
                trajectories=count,
                pairs=int(lengths[index]),
            )
            for index, (a, b) in enumerate(landscape.survey.grid.points)
        ]
    return rows


def resolutions(landscape: Landscape, confidence: float) -> list[Resolution]:
    """What can be told from every budget of pairs."""
    survey, size = landscape.survey, len(landscape.survey.grid.points)
    near = neighbours(survey.grid.shape)
    pairs_of_points = np.triu_indices(size, 1)
    rows: list[Resolution] = []
    for budget, count in zip(survey.pair_budgets, landscape.trajectories, strict=True):
        returns = landscape.episodes.return_[:size, :count]
        means = returns.mean(axis=1)
        squared = (means[:, None] - means) ** 2
        own, shared = (difference_variance(returns, paired=paired) for paired in (False, True))
        known = shared if survey.common_random_numbers else own
        told_own = resolved_alone(squared, known, own, welch_freedom(returns), confidence)
        told_shared = resolved_pairs(squared, shared, np.full(shared.shape, count - 1.0), confidence)
        observed, own_noise, shared_noise = (float(matrix[near].mean()) for matrix in (squared, own, shared))
        # Between independent points there would be the same relief, and the noise of both.
        independent = observed - float(known[near].mean()) + own_noise
        rows.append(
            Resolution(
                **_owner(landscape.shard),
                budget_pairs=budget,
                trajectories=count,
                pairs=float(landscape.episodes.length[:size, :count].sum(axis=1).mean()),
                reward_se=float(np.median(standard_error(returns))),
                point_pairs=len(pairs_of_points[0]),
                own_resolved_share=float(told_own[pairs_of_points].mean()),
                shared_resolved_share=_if_shared(survey, float(told_shared[pairs_of_points].mean())),
                neighbour_std=observed**0.5,
                own_noise_std=own_noise**0.5,
                shared_noise_std=_if_shared(survey, shared_noise**0.5),
                own_noise_share=own_noise / independent if independent > 0 else float("nan"),
                shared_noise_share=_if_shared(survey, shared_noise / observed if observed > 0 else float("nan")),
            )
        )
    return rows


def _if_shared(survey: Survey, value: float) -> float:
    """A number that there is where points share their noise."""
    return value if survey.common_random_numbers else float("nan")


def neighbours(shape: tuple[int, int]) -> tuple[Int[np.ndarray, " K"], Int[np.ndarray, " K"]]:
    """The two ends of every edge of a grid whose points are in row order."""
    numbers = np.arange(shape[0] * shape[1]).reshape(shape)
    ends = [(numbers[:-1].ravel(), numbers[1:].ravel()), (numbers[:, :-1].ravel(), numbers[:, 1:].ravel())]
    first, second = (np.concatenate(side) for side in zip(*ends, strict=True))
    return first, second


def difference_variance(returns: Float[np.ndarray, "G E"], *, paired: bool) -> Float[np.ndarray, "G G"]:
    """The sampling variance of the difference of two points' means, for all pairs of points."""
    covariance = np.atleast_2d(np.cov(returns)) / returns.shape[1]
    own = np.diagonal(covariance)
    shared = covariance if paired else np.diag(own)
    return np.maximum(own[:, None] + own - 2 * shared, 0.0)


def welch_freedom(returns: Float[np.ndarray, "G E"]) -> Float[np.ndarray, "G G"]:
    """Degrees of freedom of the difference of two independent points' means (Welch), for all pairs of points."""
    variance = standard_error(returns) ** 2
    total, squares = variance[:, None] + variance, variance[:, None] ** 2 + variance**2
    count = returns.shape[1]
    fewest = np.full(total.shape, count - 1.0)
    return np.divide((count - 1) * total**2, squares, out=fewest, where=squares > 0)


def resolved_pairs(
    squared: Float[np.ndarray, "G G"],
    variance: Float[np.ndarray, "G G"],
    freedom: Float[np.ndarray, "G G"],
    confidence: float,
) -> Bool[np.ndarray, "G G"]:
    """Which pairs of points differ by more than chance lets them at this confidence (Student's t, two-sided)."""
    quantile = stats.t.ppf((1 + confidence) / 2, freedom)
    return squared > quantile**2 * variance


def resolved_alone(
    squared: Float[np.ndarray, "G G"],
    known: Float[np.ndarray, "G G"],
    own: Float[np.ndarray, "G G"],
    freedom: Float[np.ndarray, "G G"],
    confidence: float,
) -> Float[np.ndarray, "G G"]:
    """The chance of each pair of points to be resolved, were they measured independently of each other.

    Their difference, found with the sampling variance `known`, would have the variance `own`: noise of `own - known` is
    added to it, and the chance taken that the sum exceeds the half width of its interval. Without noise to add it is 0
    or 1.
    """
    difference, error = np.sqrt(squared), np.sqrt(own)
    half = stats.t.ppf((1 + confidence) / 2, freedom) * error
    added = np.sqrt(np.maximum(own - known, 0.0))
    noisy = added > 0
    scale = np.where(noisy, added, 1.0)
    chance = stats.t.cdf((difference - half) / scale, freedom) + stats.t.cdf((-difference - half) / scale, freedom)
    return np.where(noisy, chance, difference > half)


def align(landscape: Landscape, statistics: Statistics) -> Alignment:
    """Surrogate against reward over the grid and along the step, and what the full step gains."""
    grid, plane, shard = landscape.survey.grid, landscape.plane, landscape.shard
    returns, reward = landscape.episodes.return_, landscape.reward
    rng = (shard.node / "bootstrap").generator()
    resampled = resampled_means(returns, statistics.resamples, rng, paired=landscape.survey.common_random_numbers)
    count = returns.shape[1]
    # Without one trajectory at every point: as good a unit where points share nothing, since any partition is.
    without = (returns.sum(axis=1) - returns.T) / (count - 1)

    def interval(statistic: Callable[[Float[np.ndarray, "B M"]], Float[np.ndarray, " B"]]) -> Interval:
        (point,) = statistic(reward[None])
        return wider_interval(float(point), statistic(resampled), [statistic(without)], statistics.confidence)

    def correlation(where: Int[np.ndarray, " K"]) -> Interval:
        return on_fishers_scale(interval(lambda means: rank_correlation(plane.surrogate[None, where], means[:, where])))

    over_grid, over_step = correlation(np.arange(len(grid.points))), correlation(grid.along_step)
    origin, full = grid.origin, grid.full_step
    gain = interval(lambda means: means[:, full] - means[:, origin])
    return Alignment(
        **_owner(shard),
        update_trajectories=plane.trajectories,
        step_norm=float(np.linalg.norm(plane.step)),
        points=len(grid.points),
        step_points=len(grid.along_step),
        trajectories=count,
        pairs=int(landscape.episodes.length.sum()),
        grid_correlation=over_grid.mean,
        grid_correlation_low=over_grid.low,
        grid_correlation_high=over_grid.high,
        step_correlation=over_step.mean,
        step_correlation_low=over_step.low,
        step_correlation_high=over_step.high,
        surrogate_gain=float(plane.surrogate[full] - plane.surrogate[origin]),
        snapshot_reward=float(reward[origin]),
        full_step_reward=float(reward[full]),
        gain=gain.mean,
        gain_low=gain.low,
        gain_high=gain.high,
    )


def resampled_means(
    returns: Float[np.ndarray, "M E"], resamples: int, rng: np.random.Generator, *, paired: bool
) -> Float[np.ndarray, "B M"]:
    """Means of the points over resampled trajectories: the same ones at all points where they are paired."""
    num_points, count = returns.shape
    means = np.empty((resamples, num_points))
    for index in range(resamples):
        weights = np.bincount(rng.integers(0, count, count), minlength=count) / count
        means[index] = returns @ weights
    # Points that share nothing: every resample takes the trajectories of each from another draw.
    return means if paired else rng.permuted(means, axis=0)


def _owner(shard: PlaneShard) -> dict[str, Any]:
    """The columns that a row of a landscape begins with."""
    snapshot = shard.snapshot
    return {
        "env": snapshot.recipe.env_id,
        "algorithm": snapshot.recipe.algorithm,
        "agent": snapshot.agent,
        "iteration": snapshot.iteration,
        "update_pairs": shard.update_pairs,
    }
