"""Landscapes around many snapshots: what is measured at each, how it is cut into shards, and put together again.

Every snapshot has a plane for each regime, the pairs that its update is made from. Whole episodes are assigned to the
points beforehand, as many to each; the reward from a smaller budget of pairs is that of the first of them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float

from dpg.agent.snapshot import Snapshot, require
from dpg.probes.collection import UPDATE_PARTS
from dpg.probes.landscape import Grid, Plane, PlaneShard, RewardShard, measure_plane, measure_rewards
from dpg.runtime.progress import Progress
from dpg.runtime.schema import Params
from dpg.runtime.shards import ExecutionContext, map_shards
from dpg.streams.episodes import Episodes

PAIRS_PER_SHARD = 60_000
FEWEST = 2  # trajectories a point: with fewer there is no standard error


@dataclass(frozen=True)
class Survey:
    """What is measured around every snapshot, and from how much.

    `update_pairs` are the regimes. `pair_budgets` increase: the reward of a point is told from each of them, the last
    being all that is collected for it.
    """

    grid: Grid
    update_pairs: tuple[int, ...]
    pair_budgets: tuple[int, ...]
    random_norm: float
    common_random_numbers: bool
    seed: int

    @classmethod
    def of(cls, params: Params) -> "Survey":
        """What the parameters state."""
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
        """Episodes a point that each budget holds, at the mean length of the snapshot's own."""
        return tuple(max(FEWEST, math.ceil(pairs / mean_length)) for pairs in self.pair_budgets)


@dataclass(frozen=True)
class Site:
    """One snapshot: its planes, one a regime; how their rewards are measured, and the trajectories of each budget."""

    shards: list[PlaneShard]
    planes: list[Plane]
    rewards: list[RewardShard]
    trajectories: tuple[int, ...]


@dataclass(frozen=True)
class Landscape:
    """One snapshot and regime: its plane, and E episodes at each of M points, of which a budget has the first."""

    survey: Survey
    shard: PlaneShard
    plane: Plane
    episodes: Episodes
    trajectories: tuple[int, ...]

    @property
    def reward(self) -> Float[np.ndarray, " M"]:
        """The mean return at every point."""
        return self.episodes.return_.mean(axis=1)


def plan_planes(survey: Survey, snapshots: Sequence[Snapshot]) -> list[list[PlaneShard]]:
    """For every snapshot a shard for each regime."""
    for snapshot in snapshots:
        require(snapshot, "a policy update", *UPDATE_PARTS)
    points = survey.grid.measured
    return [
        [PlaneShard(snapshot, points, pairs, survey.random_norm, survey.seed) for pairs in survey.update_pairs]
        for snapshot in snapshots
    ]


def plan_rewards(survey: Survey, shards: list[PlaneShard], planes: list[Plane], mean_length: float) -> Site:
    """How the rewards around one snapshot are measured; its own episodes are `mean_length` pairs long.

    Where there is nothing of the step (a = 0) the regimes have the same policies: the first one's points serve for all.
    """
    trajectories = survey.trajectories(mean_length)
    pairs = trajectories[-1] * mean_length
    parts = np.array_split(np.arange(trajectories[-1]), min(trajectories[-1], math.ceil(pairs / PAIRS_PER_SHARD)))
    rewards: list[RewardShard] = []
    for position, (shard, plane) in enumerate(zip(shards, planes, strict=True)):
        indices = np.flatnonzero(shard.points[:, 0] != 0) if position else np.arange(len(shard.points))
        groups = np.array_split(indices, math.ceil(len(indices) * min(1.0, pairs / PAIRS_PER_SHARD)))
        rewards += [
            RewardShard(shard, plane.step, plane.random, group, int(part[0]), len(part), survey.common_random_numbers)
            for group in groups
            for part in parts
        ]
    return Site(shards, planes, rewards, trajectories)


def explore(
    survey: Survey, snapshots: Sequence[Snapshot], mean_lengths: Sequence[float], context: ExecutionContext, title: str
) -> Iterator[Landscape]:
    """The landscapes of every snapshot in turn, one a regime; `mean_lengths` are those of the snapshots' episodes.

    Progress counts the pairs of updates, then episodes.
    """
    shards = plan_planes(survey, snapshots)
    flat = [shard for some in shards for shard in some]
    with Progress(f"{title}, directions", sum(shard.update_pairs for shard in flat)) as progress:
        planes = map_shards(measure_plane, flat, context, progress=progress, work=lambda shard: shard.update_pairs)
        sites = [
            plan_rewards(survey, some, list(islice(planes, len(some))), length)
            for some, length in zip(shards, mean_lengths, strict=True)
        ]
    rewards = [shard for site in sites for shard in site.rewards]
    with Progress(f"{title}, rewards", sum(shard.total_episodes for shard in rewards), "episodes") as progress:
        work = lambda shard: shard.total_episodes  # noqa: E731
        found = map_shards(measure_rewards, rewards, context, progress=progress, work=work)
        for site in sites:
            yield from gather(survey, site, list(islice(found, len(site.rewards))))


def gather(survey: Survey, site: Site, results: Sequence[Episodes]) -> Iterator[Landscape]:
    """The landscapes of one snapshot, from what its reward shards found."""
    shape = (len(survey.grid.measured), site.trajectories[-1])
    return_, length = np.full(shape, np.nan), np.zeros(shape, np.int64)
    for shard, plane in zip(site.shards, site.planes, strict=True):
        # What the first regime found with nothing of the step stays for the others.
        return_, length = return_.copy(), length.copy()
        for part, result in zip(site.rewards, results, strict=True):
            if part.plane is shard:
                at = np.ix_(part.indices, part.first_episode + np.arange(part.num_episodes))
                return_[at], length[at] = result.return_, result.length
        yield Landscape(survey, shard, plane, Episodes(return_, length), site.trajectories)
