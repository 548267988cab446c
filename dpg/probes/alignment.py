"""Whether surrogate and reward agree on a landscape (paper, fig. 6 to 8).

The independent unit is the trajectory: with common random numbers, one episode number at all points together, since
the points share its initial state and noise; without them, each point's own. All intervals are over these units.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from dpg.numerics.statistics import Interval, on_fishers_scale, rank_correlation, wider_interval
from dpg.probes.collection import Rows
from dpg.probes.landscape_plan import Landscape
from dpg.probes.resolution import resolutions
from dpg.runtime.schema import Statistics
from dpg.tables.landscape import Alignment, LandscapePoint, Resolution, SubsampledPoint


def tabulate(landscapes: Iterable[Landscape], statistics: Statistics) -> tuple[Rows, dict[str, Any]]:
    """The rows of every table by their type, and the arrays behind them by the name of their file.

    Landscapes are taken one at a time: their trajectories are not held together.
    """
    rows: Rows = {LandscapePoint: [], SubsampledPoint: [], Resolution: [], Alignment: []}
    arrays: dict[str, Any] = {}
    for landscape in landscapes:
        rows[LandscapePoint] += points(landscape)
        rows[SubsampledPoint] += concentration(landscape)
        rows[Resolution] += resolutions(landscape, statistics.confidence)
        rows[Alignment].append(align(landscape, statistics))
        arrays |= arrays_of(landscape)
    return rows, arrays


def arrays_of(landscape: Landscape) -> dict[str, Any]:
    """The directions of a landscape, and surrogate and reward at every measured point, by snapshot and regime.

    With a target error, also the error that every point's difference from the snapshot has.
    """
    shard, plane = landscape.shard, landscape.plane
    snapshot = shard.snapshot.name
    name = f"{snapshot}.{shard.update_pairs}"
    found = {"step": plane.step, "surrogate": plane.surrogate, "reward": landscape.reward}
    if landscape.spec.target_error is not None:
        found["difference_se"] = landscape.difference_errors
    common = {"points": shard.points, f"{snapshot}.random": plane.random}
    return common | {f"{name}.{part}": array for part, array in found.items()}


def points(landscape: Landscape) -> list[LandscapePoint]:
    """One row for each point of the grid, from all trajectories."""
    grid, plane, shard = landscape.spec.grid, landscape.plane, landscape.shard
    errors = stats.sem(landscape.returns(), axis=1)
    trajectories, pairs = landscape.counts(), landscape.episodes.length.sum(axis=1)
    return [
        LandscapePoint(
            **landscape.key,
            update_trajectories=plane.trajectories,
            step=float(a),
            random=float(b),
            step_norm=float(np.linalg.norm(plane.step)),
            random_norm=shard.random_norm,
            surrogate=float(plane.surrogate[index]),
            reward=float(landscape.reward[index]),
            reward_se=float(errors[index]),
            trajectories=int(trajectories[index]),
            pairs=int(pairs[index]),
            common_random_numbers=landscape.spec.common_random_numbers,
        )
        for index, (a, b) in enumerate(grid.points)
    ]


def concentration(landscape: Landscape) -> list[SubsampledPoint]:
    """One row for each budget of pairs and point of the grid."""
    rows: list[SubsampledPoint] = []
    for budget, count in zip(landscape.spec.pair_budgets, landscape.trajectories, strict=True):
        returns, trajectories = landscape.returns(count), landscape.counts(count)
        lengths = landscape.episodes.length[:, :count].sum(axis=1)
        means, errors = returns.mean(axis=1), stats.sem(returns, axis=1)
        rows += [
            SubsampledPoint(
                **landscape.key,
                budget_pairs=budget,
                step=float(a),
                random=float(b),
                reward=float(means[index]),
                reward_se=float(errors[index]),
                trajectories=int(trajectories[index]),
                pairs=int(lengths[index]),
            )
            for index, (a, b) in enumerate(landscape.spec.grid.points)
        ]
    return rows


def align(landscape: Landscape, statistics: Statistics) -> Alignment:
    """Surrogate against reward over the grid and along the step, and the gain of the full step."""
    grid, plane, shard = landscape.spec.grid, landscape.plane, landscape.shard
    returns, reward = landscape.returns(), landscape.reward
    rng = (shard.node / "bootstrap").generator()
    resampled = resampled_means(returns, statistics.resamples, rng, paired=landscape.spec.common_random_numbers)
    count = returns.shape[1]
    # Leave out one trajectory at every point. Where points share nothing, this is as valid a unit as any partition.
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
        **landscape.key,
        update_trajectories=plane.trajectories,
        step_norm=float(np.linalg.norm(plane.step)),
        points=len(grid.points),
        step_points=len(grid.along_step),
        trajectories=int(landscape.counts().min()),
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
    """Means of the points over resampled trajectories, which are the same at all points if `paired`."""
    num_points, count = returns.shape
    means = np.empty((resamples, num_points))
    for index in range(resamples):
        weights = np.bincount(rng.integers(0, count, count), minlength=count) / count
        means[index] = returns @ weights
    # Points that share nothing: permuting draws makes the resamples of the points independent.
    return means if paired else rng.permuted(means, axis=0)
