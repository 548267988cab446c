"""What is measured of the landscapes around snapshots, in two rounds of shards: planes, then rewards at their points.

Every snapshot has a plane for each regime, the pairs from which its update is made. Every point gets the same number of
whole episodes, fixed in advance; the reward from a smaller budget of pairs is the mean of the first of them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from dpg.agent.snapshot import Snapshot, require
from dpg.probes.collection import UPDATE_PARTS, by_snapshot, identity
from dpg.probes.landscape import Grid, Plane, PlaneShard, RewardShard
from dpg.runtime.schema import Params
from dpg.streams.episodes import Episodes

PAIRS_PER_SHARD = 60_000
MIN_TRAJECTORIES = 2  # for each point; one has no standard error


@dataclass(frozen=True)
class LandscapeSpec:
    """What is measured around every snapshot.

    `update_pairs` are the regimes. `pair_budgets` increase: the reward of a point is reported for each of them, and the
    last is all that is collected for it.
    """

    grid: Grid
    update_pairs: tuple[int, ...]
    pair_budgets: tuple[int, ...]
    random_norm: float
    common_random_numbers: bool
    seed: int

    @classmethod
    def of(cls, params: Params) -> "LandscapeSpec":
        """The specification in the parameters."""
        plane, budget = params.landscape, params.budget.landscape
        return cls(
            Grid(plane.step_range, plane.random_range, budget.grid),
            budget.update_pairs,
            (*budget.concentration, budget.pairs_per_point),
            plane.random_norm,
            plane.common_random_numbers,
            params.seed,
        )

    def trajectories(self, mean_length: float) -> tuple[int, ...]:
        """Episodes of a point in each budget, if episodes have this mean length."""
        return tuple(max(MIN_TRAJECTORIES, math.ceil(pairs / mean_length)) for pairs in self.pair_budgets)


@dataclass(frozen=True)
class SnapshotPlan:
    """The planes around one snapshot, one for each regime, and the shards that measure rewards on them.

    `trajectories` are the episodes of a point in each budget.
    """

    spec: LandscapeSpec
    shards: list[PlaneShard]
    planes: list[Plane]
    rewards: list[RewardShard]
    trajectories: tuple[int, ...]


@dataclass(frozen=True)
class Landscape:
    """One plane around a snapshot, and E episodes at each of its M points, of which a budget has the first."""

    spec: LandscapeSpec
    shard: PlaneShard
    plane: Plane
    episodes: Episodes
    trajectories: tuple[int, ...]

    @property
    def key(self) -> dict[str, Any]:
        """The columns that identify the plane in a table."""
        return {**identity(self.shard.snapshot), "update_pairs": self.shard.update_pairs}

    @property
    def reward(self) -> Float[np.ndarray, " M"]:
        """The mean return at every point."""
        return self.episodes.return_.mean(axis=1)


def plan_planes(spec: LandscapeSpec, snapshots: Sequence[Snapshot]) -> list[PlaneShard]:
    """One shard for each snapshot and regime."""
    for snapshot in snapshots:
        require(snapshot, "a policy update", *UPDATE_PARTS)
    return [
        PlaneShard(snapshot, spec.grid.measured, pairs, spec.random_norm, spec.seed)
        for snapshot in snapshots
        for pairs in spec.update_pairs
    ]


def plan_rewards(
    spec: LandscapeSpec, shards: Sequence[PlaneShard], planes: Iterable[Plane], mean_lengths: Sequence[float]
) -> list[SnapshotPlan]:
    """How the rewards around every snapshot are measured, whose own episodes have the mean length in `mean_lengths`."""
    found = by_snapshot(shards, planes)
    return [_plan_snapshot(spec, list(own), length) for (_, own), length in zip(found, mean_lengths, strict=True)]


def _plan_snapshot(spec: LandscapeSpec, planes: list[tuple[PlaneShard, Plane]], mean_length: float) -> SnapshotPlan:
    """Regimes share their policies at a = 0: the points of the first one serve all."""
    trajectories = spec.trajectories(mean_length)
    pairs = trajectories[-1] * mean_length
    parts = np.array_split(np.arange(trajectories[-1]), min(trajectories[-1], math.ceil(pairs / PAIRS_PER_SHARD)))
    rewards: list[RewardShard] = []
    for position, (shard, plane) in enumerate(planes):
        indices = np.flatnonzero(shard.points[:, 0] != 0) if position else np.arange(len(shard.points))
        groups = np.array_split(indices, math.ceil(len(indices) * min(1.0, pairs / PAIRS_PER_SHARD)))
        rewards += [
            RewardShard(shard, plane.step, plane.random, group, int(part[0]), len(part), spec.common_random_numbers)
            for group in groups
            for part in parts
        ]
    return SnapshotPlan(spec, [shard for shard, _ in planes], [plane for _, plane in planes], rewards, trajectories)


def gather(plans: Sequence[SnapshotPlan], results: Iterable[Episodes]) -> Iterator[Landscape]:
    """The landscapes of every snapshot, one for each regime, from the results of all reward shards in order."""
    shards = [shard for plan in plans for shard in plan.rewards]
    for plan, (_, found) in zip(plans, by_snapshot(shards, results), strict=True):
        yield from _landscapes(plan, list(found))


def _landscapes(plan: SnapshotPlan, results: list[tuple[RewardShard, Episodes]]) -> Iterator[Landscape]:
    shape = (len(plan.spec.grid.measured), plan.trajectories[-1])
    return_, length = np.full(shape, np.nan), np.zeros(shape, np.int64)
    for shard, plane in zip(plan.shards, plan.planes, strict=True):
        # The first regime's returns at a = 0 remain for the others.
        return_, length = return_.copy(), length.copy()
        for part, result in results:
            if part.plane is shard:
                at = np.ix_(part.indices, part.first_episode + np.arange(part.episodes_per_point))
                return_[at], length[at] = result.return_, result.length
        yield Landscape(plan.spec, shard, plane, Episodes(return_, length), plan.trajectories)
