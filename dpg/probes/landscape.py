"""Reward and surrogate on planes of parameters (paper, fig. 6 to 8 and 16 to 26; eq. 14, 17).

At snapshot i, theta(a, b) = theta_i + a * step + b * xi: `step` is the algorithm's whole policy update from a batch of
`update_pairs` pairs, not rescaled, so that a = 1 is one full step; xi is a Gaussian direction of a given norm, one for
each snapshot. The surrogate is the algorithm's objective on the update's own batch. The reward is the mean return of
whole episodes (`dpg.probes.landscape_plan` says how many). `dpg.probes.alignment` compares the two.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int

from dpg.agent.snapshot import Snapshot
from dpg.learning.batch import Batch
from dpg.learning.update import objective_over, update_policy
from dpg.probes.batches import PAIRS_AT_ONCE, fresh_batch
from dpg.probes.collection import episodes_of, probe_seed
from dpg.runtime.seeding import Seed
from dpg.streams.episodes import Episodes

POINTS_AT_ONCE = 32


@dataclass(frozen=True)
class Grid:
    """Points of the plane, in row order: the step coordinate varies slowest. Zero is among both axes' values."""

    step_range: tuple[float, float]
    random_range: tuple[float, float]
    shape: tuple[int, int]

    @cached_property
    def points(self) -> Float[np.ndarray, "G 2"]:
        """Coordinates (a, b) of every point of the grid."""
        a, b = (
            _axis(*ends, count) for ends, count in zip((self.step_range, self.random_range), self.shape, strict=True)
        )
        return np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)

    @cached_property
    def measured(self) -> Float[np.ndarray, "M 2"]:
        """The points of the grid, then the full step (1, 0) if it is not one of them."""
        extra = [] if self._find(1.0, 0.0, self.points) is not None else [[1.0, 0.0]]
        return np.concatenate([self.points, np.reshape(extra, (-1, 2))])

    @cached_property
    def origin(self) -> int:
        """The index of the snapshot among the measured points."""
        index = self._find(0.0, 0.0, self.points)
        if index is None:
            raise ValueError(f"the origin is not among the points of {self}")
        return index

    @cached_property
    def full_step(self) -> int:
        """The index of one full update step among the measured points."""
        index = self._find(1.0, 0.0, self.measured)
        assert index is not None
        return index

    @cached_property
    def along_step(self) -> Int[np.ndarray, " A"]:
        """The points of the grid with b = 0, in the step's order."""
        return np.flatnonzero(self.points[:, 1] == 0)

    @staticmethod
    def _find(a: float, b: float, points: Float[np.ndarray, "K 2"]) -> int | None:
        found = np.flatnonzero((points == (a, b)).all(axis=1))
        return int(found[0]) if len(found) else None


def _axis(low: float, high: float, count: int) -> Float[np.ndarray, " n"]:
    """Evenly spaced values; those within rounding of a whole number are that number."""
    values = np.linspace(low, high, count)
    whole = np.round(values)
    return np.where(np.abs(values - whole) < 1e-9 * (high - low), whole, values) + 0.0


@dataclass(frozen=True)
class PlaneShard:
    """One snapshot and one regime, of which the directions and the surrogate at the points are computed."""

    snapshot: Snapshot
    points: Float[np.ndarray, "M 2"]
    update_pairs: int
    random_norm: float
    seed: int

    @property
    def num_pairs(self) -> int:
        """Pairs that the shard collects."""
        return self.update_pairs

    @property
    def node(self) -> Seed:
        """The root of everything random in the plane, except the direction that all planes of a snapshot share."""
        return probe_seed(self.seed, "landscape", self.snapshot) / f"update_pairs={self.update_pairs}"

    def __str__(self) -> str:
        return f"{self.snapshot}, update from {self.update_pairs} pairs"


@dataclass(frozen=True)
class Plane:
    """The directions of one landscape, complete episodes in the update's batch, and the surrogate at every point."""

    step: Float[np.ndarray, " D"]
    random: Float[np.ndarray, " D"]
    trajectories: int
    surrogate: Float[np.ndarray, " M"]


def measure_plane(shard: PlaneShard) -> Plane:
    """Make one whole policy update, and compute the surrogate on the plane of its step and a random direction."""
    state, recipe = shard.snapshot.state, shard.snapshot.recipe
    batch, trajectories = update_batch(shard)
    updated = update_policy(state, batch, recipe, [shard.node])
    step = updated.policy[0].astype(np.float64) - state.policy[0]
    random = random_direction(shard.snapshot, shard.random_norm, shard.seed)
    theta = policies(shard.snapshot, shard.points, step, random)
    return Plane(step, random, trajectories, surrogate(shard.snapshot, theta, batch))


@torch.no_grad()
def surrogate(snapshot: Snapshot, theta: Float[np.ndarray, "K D"], batch: Batch) -> Float[np.ndarray, " K"]:
    """The algorithm's objective at other policies, on a batch of the snapshot's."""
    parts = [
        objective_over(snapshot.state, some, batch, snapshot.recipe, PAIRS_AT_ONCE)
        for some in torch.from_numpy(theta).split(POINTS_AT_ONCE)
    ]
    return torch.cat(parts).numpy()


def update_batch(shard: PlaneShard) -> tuple[Batch, int]:
    """The batch of the update, and the complete episodes in it."""
    batch, trajectories = fresh_batch(shard.snapshot, [shard.node], shard.update_pairs)
    return batch, int(trajectories[0])


def random_direction(snapshot: Snapshot, norm: float, seed: int) -> Float[np.ndarray, " D"]:
    """xi: a Gaussian direction of that norm, the same for all regimes of a snapshot."""
    rng = (probe_seed(seed, "landscape", snapshot) / "random direction").generator()
    gaussian = rng.standard_normal(snapshot.state.policy.shape[1])
    return gaussian * (norm / np.linalg.norm(gaussian))


def policies(
    snapshot: Snapshot,
    points: Float[np.ndarray, "K 2"],
    step: Float[np.ndarray, " D"],
    random: Float[np.ndarray, " D"],
) -> Float[np.ndarray, "K D"]:
    """theta_i + a * step + b * xi at every point, in float32, in which agents act."""
    return (snapshot.state.policy + points @ np.stack([step, random])).astype(np.float32)


@dataclass(frozen=True)
class RewardShard:
    """Some points of a plane, as `indices` of the measured points, and some of the episodes at each."""

    plane: PlaneShard
    step: Float[np.ndarray, " D"]
    random: Float[np.ndarray, " D"]
    indices: Int[np.ndarray, " K"]
    first_episode: int
    episodes_per_point: int
    common_random_numbers: bool

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that is measured."""
        return self.plane.snapshot

    @property
    def num_episodes(self) -> int:
        """Episodes at all points together."""
        return len(self.indices) * self.episodes_per_point

    def __str__(self) -> str:
        last = self.first_episode + self.episodes_per_point - 1
        return f"{self.plane}, episodes {self.first_episode} to {last} at points {self.indices.tolist()}"


def measure_rewards(shard: RewardShard) -> Episodes:
    """Run the episodes of a shard."""
    plane, snapshot = shard.plane, shard.snapshot
    common = probe_seed(plane.seed, "landscape", snapshot) / "reward"

    def seeds(index: int) -> list[Seed]:
        owner = common if shard.common_random_numbers else plane.node / "reward" / f"point={index}"
        return [owner / f"episode={shard.first_episode + offset}" for offset in range(shard.episodes_per_point)]

    theta = policies(snapshot, plane.points[shard.indices], shard.step, shard.random)
    return episodes_of(snapshot, theta, [seeds(index) for index in shard.indices.tolist()])
