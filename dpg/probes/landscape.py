"""Reward and surrogate on one plane of parameters (paper, fig. 6 to 8 and 16 to 26; eq. 14, 17).

At snapshot i, theta(a, b) = theta_i + a * step + b * xi: `step` is the algorithm's whole policy update from a batch of
`update_pairs` pairs, its length kept, so that a = 1 is one full step; xi is a Gaussian direction scaled to a given
norm. The surrogate is what the algorithm maximises, on the update's own batch. The reward is the mean return of whole
episodes, whose number is settled beforehand.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float

from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning.batch import prepare
from dpg.learning.update import objective, update_policy
from dpg.numerics.statistics import standard_error
from dpg.probes.collection import fresh_streams, probe_seed
from dpg.runtime.schema import LandscapeBudget, LandscapePlane
from dpg.runtime.seeding import Seed
from dpg.streams import episodes

POINTS_AT_ONCE = 32
MAX_ENVS = 16


@dataclass(frozen=True)
class Grid:
    """Points of the plane, in row order: the step coordinate varies slowest."""

    step_range: tuple[float, float]
    random_range: tuple[float, float]
    shape: tuple[int, int]

    @classmethod
    def of(cls, plane: LandscapePlane, budget: LandscapeBudget) -> "Grid":
        """The grid that the parameters state."""
        return cls(plane.step_range, plane.random_range, budget.grid)

    @cached_property
    def points(self) -> Float[np.ndarray, "G 2"]:
        """Coordinates (a, b) of every point."""
        a = np.linspace(*self.step_range, self.shape[0])
        b = np.linspace(*self.random_range, self.shape[1])
        return np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)


@dataclass(frozen=True)
class PlaneShard:
    """One snapshot: find its directions, and the surrogate on the grid."""

    snapshot: Snapshot
    grid: Grid
    update_pairs: int
    random_norm: float
    seed: int


@dataclass(frozen=True)
class Plane:
    """The directions of one landscape, and the surrogate at every grid point."""

    step: Float[np.ndarray, " D"]
    random: Float[np.ndarray, " D"]
    surrogate: Float[np.ndarray, " G"]


def measure_plane(shard: PlaneShard) -> Plane:
    """One whole policy update from the snapshot, a random direction, and the surrogate on the plane that they span."""
    state, recipe = shard.snapshot.state, shard.snapshot.recipe
    node = probe_seed(shard.seed, "landscape", shard.snapshot)
    count = shard.update_pairs // recipe.common.timesteps
    seeds = [node / "update" / f"stream={index}" for index in range(count)]
    batch = prepare(state, fresh_streams(shard.snapshot, seeds), recipe.common, recipe.config)
    updated = update_policy(state, batch, recipe, [node / "update"])
    step = updated.policy[0].astype(np.float64) - state.policy[0]
    gaussian = (node / "random direction").generator().standard_normal(len(step))
    random = gaussian * (shard.random_norm / np.linalg.norm(gaussian))
    theta = policies(shard.snapshot, shard.grid.points, step, random)
    with torch.no_grad():
        surrogate = np.concatenate(
            [
                objective(state, torch.from_numpy(theta[first : first + POINTS_AT_ONCE]), batch, recipe).numpy()
                for first in range(0, len(theta), POINTS_AT_ONCE)
            ]
        )
    return Plane(step, random, surrogate.astype(np.float64))


def policies(
    snapshot: Snapshot,
    points: Float[np.ndarray, "G 2"],
    step: Float[np.ndarray, " D"],
    random: Float[np.ndarray, " D"],
) -> Float[np.ndarray, "G D"]:
    """theta_i + a * step + b * xi at every point, in the float32 that agents act in."""
    return (snapshot.state.policy + points @ np.stack([step, random])).astype(np.float32)


@dataclass(frozen=True)
class RewardShard:
    """Some grid points of one landscape, and how many episodes to run at each."""

    snapshot: Snapshot
    policies: Float[np.ndarray, "G D"]
    first_point: int
    num_episodes: int
    common_random_numbers: bool
    seed: int


def plan_rewards(
    snapshot: Snapshot,
    theta: Float[np.ndarray, "G D"],
    mean_length: float,
    pairs_per_point: int,
    common_random_numbers: bool,
    seed: int,
    points_per_shard: int = 8,
) -> list[RewardShard]:
    """The shards of one landscape. Episodes a point: what `pairs_per_point` holds at the snapshot's mean length."""
    num_episodes = max(2, math.ceil(pairs_per_point / mean_length))
    return [
        RewardShard(snapshot, theta[first : first + points_per_shard], first, num_episodes, common_random_numbers, seed)
        for first in range(0, len(theta), points_per_shard)
    ]


def measure_rewards(shard: RewardShard) -> episodes.Episodes:
    """Run the episodes of a shard's points."""
    recipe = shard.snapshot.recipe
    node = probe_seed(shard.seed, "landscape", shard.snapshot)
    num_points = len(shard.policies)

    def seeds(point: int) -> list[Seed]:
        owner = node / "reward" if shard.common_random_numbers else node / "reward" / f"point={point}"
        return [owner / f"episode={index}" for index in range(shard.num_episodes)]

    population = shard.snapshot.state.select(np.zeros(num_points, np.int64)).with_policy(shard.policies)
    envs = make_vector(recipe.env_id, min(MAX_ENVS, num_points * shard.num_episodes), recipe.common.env_modules)
    result = episodes.run(
        population,
        envs,
        [seeds(shard.first_point + offset) for offset in range(num_points)],
        clip_actions=recipe.common.clip_actions,
    )
    envs.close()
    return result


@dataclass(frozen=True)
class Point:
    """One row of `landscape.csv`: a grid point. `step` and `random` are the coordinates a and b.

    `reward` is the mean raw return of `trajectories` whole episodes (`pairs` pairs) and `reward_se` its standard error.
    """

    env: str
    algorithm: str
    agent: int
    iteration: int
    update_pairs: int
    step: float
    random: float
    step_norm: float
    random_norm: float
    surrogate: float
    reward: float
    reward_se: float
    trajectories: int
    pairs: int
    common_random_numbers: bool


def tabulate(
    shard: PlaneShard, plane: Plane, results: Sequence[episodes.Episodes], common_random_numbers: bool
) -> list[Point]:
    """The rows of one landscape, from its plane and the episodes of its points in order."""
    returns = np.concatenate([result.return_ for result in results])
    lengths = np.concatenate([result.length for result in results])
    errors = standard_error(returns)
    return [
        Point(
            env=shard.snapshot.recipe.env_id,
            algorithm=shard.snapshot.recipe.algorithm,
            agent=shard.snapshot.agent,
            iteration=shard.snapshot.iteration,
            update_pairs=shard.update_pairs,
            step=float(a),
            random=float(b),
            step_norm=float(np.linalg.norm(plane.step)),
            random_norm=shard.random_norm,
            surrogate=float(plane.surrogate[index]),
            reward=float(returns[index].mean()),
            reward_se=float(errors[index]),
            trajectories=returns.shape[1],
            pairs=int(lengths[index].sum()),
            common_random_numbers=common_random_numbers,
        )
        for index, (a, b) in enumerate(shard.grid.points)
    ]
