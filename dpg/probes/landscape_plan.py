"""What is measured of the landscapes around snapshots: a round of shards for planes, then rounds for the rewards.

Every snapshot has a plane for each regime, the pairs from which its update is made. The reward of a point is the mean
return of whole episodes. Without a target error there is one round, in which every point gets the same number, fixed in
advance. With one, further rounds add batches of episodes to the points whose error is above it: the error of a point's
difference from the snapshot. The rule looks at these errors alone, and its scale comes from other episodes. What a
round has depends on the results of those before it, not on workers, so that a run resumes from its finished shards.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dpg.agent.snapshot import Snapshot, require
from dpg.numerics.unequal_counts import completed, counts, difference_errors
from dpg.probes.collection import UPDATE_PARTS, by_snapshot, identity
from dpg.probes.landscape import Grid, Plane, PlaneShard, RewardShard
from dpg.runtime.schema import Params
from dpg.streams.episodes import Episodes

PAIRS_PER_SHARD = 60_000
MIN_TRAJECTORIES = 2  # for each point; one has no standard error
BATCH = 32  # episodes that are added together
# Episodes before the first comparison with the target error. Returns are skewed: a few that happen to lie close
# together have a small error and a mean off to one side, so stopping on them biases the means (docs/landscapes.md).
FIRST_ROUND = 2 * BATCH
GROWTH = 4  # a round adds about this part of what a point has, so that there are few rounds


@dataclass(frozen=True)
class LandscapeSpec:
    """What is measured around every snapshot.

    `update_pairs` are the regimes. `pair_budgets` increase: the reward of a point is reported for each of them, and the
    last is all that is collected for it, or the most if there is a `target_error`: the standard error of a point's
    difference from the snapshot, relative to the snapshot's mean return, at which the point gets no further episodes.
    """

    grid: Grid
    update_pairs: tuple[int, ...]
    pair_budgets: tuple[int, ...]
    random_norm: float
    common_random_numbers: bool
    seed: int
    target_error: float | None = None

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
            plane.target_error,
        )

    def trajectories(self, mean_length: float) -> tuple[int, ...]:
        """Episodes of a point in each budget, if episodes have this mean length."""
        return tuple(max(MIN_TRAJECTORIES, math.ceil(pairs / mean_length)) for pairs in self.pair_budgets)

    def schedule(self, trajectories: tuple[int, ...]) -> tuple[int, ...]:
        """Episodes after each round of a point that is in all of them.

        The first round has all budgets but the last in full, so that these mean the same with any target.
        """
        *smaller, most = trajectories
        if self.target_error is None:
            return (most,)
        after = [min(most, math.ceil(max((FIRST_ROUND, *smaller)) / BATCH) * BATCH)]
        while after[-1] < most:
            after.append(min(most, after[-1] + BATCH * max(1, after[-1] // (GROWTH * BATCH))))
        return tuple(after)


class EvaluationMeans(NamedTuple):
    """Means over episodes of a snapshot that are not the landscape's: their length in pairs, and their return."""

    length: float
    return_: float


@dataclass(frozen=True)
class Landscape:
    """One plane around a snapshot, and the first episodes at each of its M points, of which a budget has the first.

    The snapshot has the most, E; a point with fewer has returns NaN and lengths 0 for the rest.
    """

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
        return self.returns().mean(axis=1)

    @property
    def difference_errors(self) -> Float[np.ndarray, " M"]:
        """The standard error of every point's difference from the snapshot, which the target is compared with."""
        spec = self.spec
        return difference_errors(self.episodes.return_, spec.grid.origin, paired=spec.common_random_numbers)

    def counts(self, first: int | None = None) -> Int[np.ndarray, " M"]:
        """Episodes of every point, among the first ones."""
        return counts(self.episodes.return_[:, :first])

    def returns(self, first: int | None = None) -> Float[np.ndarray, "M N"]:
        """Returns of the first episodes, completed for points that have fewer than the snapshot (`completed`).

        With common random numbers the snapshot's own are the control.
        """
        known = self.episodes.return_[:, :first]
        return completed(known, known[self.spec.grid.origin] if self.spec.common_random_numbers else None)

    def own_returns(self, first: int | None = None) -> Float[np.ndarray, "M N"]:
        """As `returns`, for points that share nothing."""
        return completed(self.episodes.return_[:, :first], None)


@dataclass(frozen=True)
class SnapshotPlan:
    """The planes around one snapshot, one for each regime, and how rewards on them are measured.

    `trajectories` are the episodes of a point in each budget; `open_points` those of each plane that the next round
    measures, `found` the results of the rounds before it.
    """

    spec: LandscapeSpec
    shards: list[PlaneShard]
    planes: list[Plane]
    evaluated: EvaluationMeans
    open_points: list[Int[np.ndarray, " _"]]
    found: tuple[tuple[RewardShard, Episodes], ...] = ()
    rounds: int = 0

    @cached_property
    def trajectories(self) -> tuple[int, ...]:
        """Episodes of a point in each budget."""
        return self.spec.trajectories(self.evaluated.length)

    @cached_property
    def schedule(self) -> tuple[int, ...]:
        """Episodes after each round of a point that is in all of them."""
        return self.spec.schedule(self.trajectories)

    @cached_property
    def rewards(self) -> list[RewardShard]:
        """The shards of the next round; none if no point needs it."""
        if self.rounds == len(self.schedule) or not any(map(len, self.open_points)):
            return []
        first, last = (0, *self.schedule)[self.rounds : self.rounds + 2]
        pairs = (last - first) * self.evaluated.length
        parts = np.array_split(np.arange(first, last), min(last - first, math.ceil(pairs / PAIRS_PER_SHARD)))
        return [
            RewardShard(
                shard, plane.step, plane.random, group, int(part[0]), len(part), self.spec.common_random_numbers
            )
            for shard, plane, indices in zip(self.shards, self.planes, self.open_points, strict=True)
            for group in np.array_split(indices, max(1, math.ceil(len(indices) * min(1.0, pairs / PAIRS_PER_SHARD))))
            if len(group)
            for part in parts
        ]

    @property
    def more_may_follow(self) -> bool:
        """Whether the next round decides on another one."""
        return bool(self.rewards) and self.rounds + 1 < len(self.schedule)

    def after(self, results: Sequence[tuple[RewardShard, Episodes]]) -> "SnapshotPlan":
        """The plan after the results of its round: points that meet the target are measured no further."""
        if not self.rewards:
            return self
        tolerance = (self.spec.target_error or 0.0) * abs(self.evaluated.return_)
        found, origin = (*self.found, *results), self.spec.grid.origin
        open_points = [
            indices[landscape.difference_errors[indices] > tolerance]
            for indices, landscape in zip(self.open_points, self.landscapes(results), strict=True)
        ]
        if any(map(len, open_points)):
            open_points[0] = np.union1d(open_points[0], [origin])  # what the others are compared with
        return replace(self, open_points=open_points, found=found, rounds=self.rounds + 1)

    def landscapes(self, results: Sequence[tuple[RewardShard, Episodes]]) -> Iterator[Landscape]:
        """The landscape of every regime, from all rounds before this one and the results of this one."""
        parts = (*self.found, *results)
        size = max(part.first_episode + part.episodes_per_point for part, _ in parts)
        return_ = np.full((len(self.spec.grid.measured), size), np.nan)
        length = np.zeros(return_.shape, np.int64)
        for shard, plane in zip(self.shards, self.planes, strict=True):
            # Regimes share their policies at a = 0, of which the first one has the episodes.
            shared = (shard.points[:, 0] == 0)[:, None]
            return_, length = np.where(shared, return_, np.nan), np.where(shared, length, 0)
            for part, result in parts:
                if part.plane is shard:
                    at = np.ix_(part.indices, part.first_episode + np.arange(part.episodes_per_point))
                    return_[at], length[at] = result.return_, result.length
            yield Landscape(self.spec, shard, plane, Episodes(return_, length), self.trajectories)


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
    spec: LandscapeSpec, shards: Sequence[PlaneShard], planes: Iterable[Plane], evaluated: Sequence[EvaluationMeans]
) -> list[SnapshotPlan]:
    """How the rewards around every snapshot are measured, given its own evaluation."""
    plans: list[SnapshotPlan] = []
    for (_, found), means in zip(by_snapshot(shards, planes), evaluated, strict=True):
        own, made = map(list, zip(*found, strict=True))
        # Regimes share their policies at a = 0: the points of the first one serve all.
        points = [np.flatnonzero((shard.points[:, 0] != 0) | (position == 0)) for position, shard in enumerate(own)]
        plans.append(SnapshotPlan(spec, own, made, means, points))
    return plans


def measure(
    plans: Sequence[SnapshotPlan], run: Callable[[list[RewardShard], str], Iterable[Episodes]]
) -> Iterator[Landscape]:
    """The landscapes of every snapshot, one for each regime; `run(shards, name)` yields a round's results in order.

    A round is of all snapshots together. Results of the last one are taken one snapshot at a time.
    """
    for number in count(1):
        name = "rewards" if number == 1 else f"rewards, round {number}"
        shards = [shard for plan in plans for shard in plan.rewards]
        found = _by_plan(plans, zip(shards, run(shards, name) if shards else (), strict=True))
        if not any(plan.more_may_follow for plan in plans):
            for plan, results in found:
                yield from plan.landscapes(results)
            return
        plans = [plan.after(results) for plan, results in found]


def _by_plan(
    plans: Sequence[SnapshotPlan], results: Iterator[tuple[RewardShard, Episodes]]
) -> Iterator[tuple[SnapshotPlan, list[tuple[RewardShard, Episodes]]]]:
    for plan in plans:
        yield plan, list(islice(results, len(plan.rewards)))
    next(results, None)  # ends the iterator that they come from, and its progress
