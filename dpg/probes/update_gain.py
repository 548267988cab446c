"""What a whole policy update does to the reward, and to the surrogate that it climbs (paper, section 2.3).

From snapshot i, K independent batches of N pairs are each put through the algorithm's whole update, from the snapshot's
own optimiser state. Update k leads from theta_i to theta_i + Delta_k, and gains
- in reward J(theta_i + Delta_k) - J(theta_i), the mean over whole episodes that both policies run from the same seeds
  (common random numbers). Every update has episodes of its own: the noise of J(theta_i) is not one that all share;
- in the surrogate on its own batch;
- in the surrogate on a held-out batch of as many fresh pairs.
A gain that the held-out batch does not confirm is fitted noise. One that it confirms and the reward does not is a
surrogate that misleads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Bool, Float, Int

from dpg.agent.snapshot import Snapshot, require
from dpg.envs.make import make_vector
from dpg.learning.update import update_policy
from dpg.probes.batches import fresh_batch, surrogate_gain
from dpg.probes.collection import STREAMS_AT_ONCE, UPDATE_PARTS, probe_seed
from dpg.runtime.budgets import UpdateGainBudget
from dpg.runtime.progress import Progress
from dpg.runtime.seeding import Seed
from dpg.runtime.shards import ExecutionContext, map_shards
from dpg.streams import episodes
from dpg.streams.episodes import Episodes

PAIRS_PER_SHARD = 40_000
EPISODES_PER_SHARD = 200
MAX_ENVS = 32


@dataclass(frozen=True)
class UpdateShard:
    """Some of the updates from one snapshot in one regime: `update_pairs` pairs each, and as many held out."""

    snapshot: Snapshot
    update_pairs: int
    first_update: int
    num_updates: int
    seed: int

    @property
    def seeds(self) -> list[Seed]:
        """The root of everything random in each update."""
        node = probe_seed(self.seed, "update_gain", self.snapshot) / f"update_pairs={self.update_pairs}"
        return [node / f"update={self.first_update + index}" for index in range(self.num_updates)]

    @property
    def num_pairs(self) -> int:
        """Pairs that the shard collects."""
        return 2 * self.num_updates * self.update_pairs

    def __str__(self) -> str:
        last = self.first_update + self.num_updates - 1
        return f"{self.snapshot}, updates {self.first_update} to {last} from {self.update_pairs} pairs"


@dataclass(frozen=True)
class Updates:
    """U updated policies, their gains in the surrogate, and the complete episodes in the batch of each."""

    policy: Float[np.ndarray, "U D"]
    own_gain: Float[np.ndarray, " U"]
    heldout_gain: Float[np.ndarray, " U"]
    trajectories: Int[np.ndarray, " U"]


@dataclass(frozen=True)
class EpisodeShard:
    """Some of the updates of all R regimes: update u of each runs the same episodes, and so does the snapshot."""

    snapshot: Snapshot
    policy: Float[np.ndarray, "R U D"]
    first_update: int
    episodes: int
    seed: int

    @property
    def num_episodes(self) -> int:
        """Of the snapshot and of every regime together."""
        regimes, updates = self.policy.shape[:2]
        return (1 + regimes) * updates * self.episodes

    def __str__(self) -> str:
        last = self.first_update + self.policy.shape[1] - 1
        return f"{self.snapshot}, episodes of updates {self.first_update} to {last}"


@dataclass(frozen=True)
class Gains:
    """K updates from one snapshot in one regime, with E episodes before and after each.

    `unmoved` are the updates that left the policy where it was.
    """

    snapshot: Snapshot
    update_pairs: int
    own_gain: Float[np.ndarray, " K"]
    heldout_gain: Float[np.ndarray, " K"]
    trajectories: Int[np.ndarray, " K"]
    step_norm: Float[np.ndarray, " K"]
    before: Float[np.ndarray, "K E"]
    after: Float[np.ndarray, "K E"]
    pairs: Int[np.ndarray, " K"]

    @property
    def difference(self) -> Float[np.ndarray, "K E"]:
        """What every update adds to the return of each of its episodes."""
        return self.after - self.before

    @property
    def unmoved(self) -> Bool[np.ndarray, " K"]:
        """Which updates left the policy where it was."""
        return self.step_norm == 0


def plan(snapshots: Sequence[Snapshot], budget: UpdateGainBudget, seed: int) -> list[list[list[UpdateShard]]]:
    """For every snapshot and regime the shards of its updates."""
    for snapshot in snapshots:
        require(snapshot, "a policy update", *UPDATE_PARTS)

    def regime(snapshot: Snapshot, pairs: int) -> list[UpdateShard]:
        at_once = max(1, min(STREAMS_AT_ONCE, PAIRS_PER_SHARD // (2 * pairs)))
        return [
            UpdateShard(snapshot, pairs, first, min(at_once, budget.updates - first), seed)
            for first in range(0, budget.updates, at_once)
        ]

    return [[regime(snapshot, pairs) for pairs in budget.update_pairs] for snapshot in snapshots]


def plan_episodes(
    snapshot: Snapshot, policy: Float[np.ndarray, "R K D"], budget: UpdateGainBudget, seed: int
) -> list[EpisodeShard]:
    """The shards of the episodes of one snapshot's updates, in the order of the updates."""
    regimes, updates = policy.shape[:2]
    at_once = max(1, EPISODES_PER_SHARD // ((1 + regimes) * budget.episodes))
    return [
        EpisodeShard(snapshot, policy[:, first : first + at_once], first, budget.episodes, seed)
        for first in range(0, updates, at_once)
    ]


def measure_updates(shard: UpdateShard) -> Updates:
    """Make a shard's updates, as a population, and see what each gains in the surrogate."""
    snapshot, recipe, seeds = shard.snapshot, shard.snapshot.recipe, shard.seeds
    population = snapshot.state.select(np.zeros(shard.num_updates, np.int64))
    batch, trajectories = fresh_batch(snapshot, seeds, shard.update_pairs)
    policy = update_policy(population, batch, recipe, seeds).policy
    own = surrogate_gain(population, policy, batch, recipe)
    # The batch of a large regime takes gigabytes: it is let go before the next one is collected.
    del batch
    heldout, _ = fresh_batch(snapshot, [seed / "held-out" for seed in seeds], shard.update_pairs)
    return Updates(policy, own, surrogate_gain(population, policy, heldout, recipe), trajectories)


def measure_episodes(shard: EpisodeShard) -> Episodes:
    """Run a shard's episodes: of the snapshot, once for every update, then of every regime's updates."""
    snapshot, recipe = shard.snapshot, shard.snapshot.recipe
    regimes, updates, parameters = shard.policy.shape
    node = probe_seed(shard.seed, "update_gain", snapshot) / "reward"
    seeds = [
        [node / f"update={shard.first_update + index}" / f"episode={number}" for number in range(shard.episodes)]
        for index in range(updates)
    ]
    own = np.repeat(snapshot.state.policy, updates, axis=0)
    theta = np.concatenate([own, shard.policy.reshape(regimes * updates, parameters)])
    population = snapshot.state.select(np.zeros(len(theta), np.int64)).with_policy(theta)
    envs = make_vector(recipe.env_id, min(MAX_ENVS, shard.num_episodes), recipe.common.modules)
    result = episodes.run(population, envs, seeds * (1 + regimes), clip_actions=recipe.common.clip_actions)
    envs.close()
    return result


def explore(
    snapshots: Sequence[Snapshot], budget: UpdateGainBudget, seed: int, context: ExecutionContext, title: str
) -> Iterator[Gains]:
    """The gains of every snapshot in turn, one a regime. Progress counts the pairs of updates, then episodes."""
    planned = plan(snapshots, budget, seed)
    shards = [shard for some in planned for regime in some for shard in regime]
    with Progress(f"{title}, updates", sum(shard.num_pairs for shard in shards)) as progress:
        made = map_shards(measure_updates, shards, context, progress=progress, work=lambda shard: shard.num_pairs)
        updates = [[joined(list(islice(made, len(regime)))) for regime in some] for some in planned]
    parts = [
        plan_episodes(snapshot, np.stack([each.policy for each in some]), budget, seed)
        for snapshot, some in zip(snapshots, updates, strict=True)
    ]
    flat = [shard for some in parts for shard in some]
    with Progress(f"{title}, rewards", sum(shard.num_episodes for shard in flat), "episodes") as progress:
        run = map_shards(measure_episodes, flat, context, progress=progress, work=lambda shard: shard.num_episodes)
        for snapshot, some, mine in zip(snapshots, updates, parts, strict=True):
            yield from gather(snapshot, budget.update_pairs, some, mine, list(islice(run, len(mine))))


def joined(parts: Sequence[Updates]) -> Updates:
    """The updates of several shards, one after the other."""
    arrays = ([getattr(part, name) for part in parts] for name in Updates.__dataclass_fields__)
    return Updates(*(np.concatenate(each) for each in arrays))


def gather(
    snapshot: Snapshot,
    regimes: Sequence[int],
    updates: Sequence[Updates],
    shards: Sequence[EpisodeShard],
    results: Sequence[Episodes],
) -> Iterator[Gains]:
    """The gains of one snapshot's updates in every regime, from what its shards of episodes found."""

    def rows(name: str) -> np.ndarray:
        """One a policy, the snapshot's first; of every update, and of every one of its episodes."""
        found = [
            getattr(result, name).reshape(1 + len(regimes), -1, shard.episodes)
            for shard, result in zip(shards, results, strict=True)
        ]
        return np.concatenate(found, axis=1)

    return_, length = rows("return_"), rows("length")
    for index, (pairs, some) in enumerate(zip(regimes, updates, strict=True), 1):
        norm = np.linalg.norm(some.policy.astype(np.float64) - snapshot.state.policy, axis=-1)
        # An update that did not move gains nothing: two runs of one policy may still differ by rounding.
        after = np.where(norm[:, None] == 0, return_[0], return_[index])
        total = (length[0] + length[index]).sum(axis=-1)
        yield Gains(
            snapshot, pairs, some.own_gain, some.heldout_gain, some.trajectories, norm, return_[0], after, total
        )
