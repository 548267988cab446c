"""The gain of whole policy updates in reward, and in the surrogate that they maximise (paper, section 2.3).

From snapshot i, the algorithm's whole update is made from each of K independent batches of N pairs, always from the
snapshot's own optimiser state. K may differ between regimes: updates from more pairs differ less, and cost more. Update
k leads from theta_i to theta_i + Delta_k, and gains
- in reward J(theta_i + Delta_k) - J(theta_i), the mean over whole episodes that both policies run from the same seeds
  (common random numbers). Every update has its own episodes, so that the noise of J(theta_i) is not shared;
- in the surrogate on its own batch;
- in the surrogate on a held-out batch of as many fresh pairs.
A gain that the held-out batch does not confirm is fitted noise. If the held-out batch confirms it and the reward does
not, the surrogate is misleading.

There are two rounds of shards: updates, then episodes before and after them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int

from dpg.agent.snapshot import Snapshot, require
from dpg.learning.update import update_policy
from dpg.probes.batches import fresh_batch, surrogate_gain
from dpg.probes.collection import STREAMS_AT_ONCE, UPDATE_PARTS, by_snapshot, episodes_of, joined, probe_seed
from dpg.runtime.budgets import UpdateGainBudget
from dpg.runtime.seeding import Seed
from dpg.streams.episodes import Episodes

PAIRS_PER_SHARD = 40_000
EPISODES_PER_SHARD = 200


@dataclass(frozen=True)
class UpdateShard:
    """Some updates from one snapshot in one regime: `update_pairs` pairs for each, and as many held out."""

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
    """U updated policies, their gains in the surrogate, and the complete episodes in each batch."""

    policy: Float[np.ndarray, "U D"]
    own_gain: Float[np.ndarray, " U"]
    heldout_gain: Float[np.ndarray, " U"]
    trajectories: Int[np.ndarray, " U"]


@dataclass(frozen=True)
class EpisodeShard:
    """Some updates of all regimes: update u of each and the snapshot run the same episodes.

    Regimes may have different numbers of updates, the first of `policies` the first regime's.
    """

    snapshot: Snapshot
    policies: tuple[Float[np.ndarray, "_ D"], ...]
    first_update: int
    episodes: int
    seed: int

    @property
    def num_updates(self) -> tuple[int, ...]:
        """Updates of every regime."""
        return tuple(map(len, self.policies))

    @property
    def num_episodes(self) -> int:
        """Episodes of the snapshot, as many as of the regime with the most updates, and of every regime."""
        return (max(self.num_updates) + sum(self.num_updates)) * self.episodes

    def __str__(self) -> str:
        last = self.first_update + max(self.num_updates) - 1
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
        """The gain of every update in each of its episodes."""
        return self.after - self.before

    @property
    def unmoved(self) -> Bool[np.ndarray, " K"]:
        """Which updates left the policy where it was."""
        return self.step_norm == 0


@dataclass(frozen=True)
class SnapshotUpdates:
    """The updates from one snapshot by their regime, the pairs from which they are made."""

    snapshot: Snapshot
    regimes: dict[int, Updates]

    @property
    def policies(self) -> tuple[Float[np.ndarray, "_ D"], ...]:
        """The updated policies of every regime."""
        return tuple(updates.policy for updates in self.regimes.values())


def plan_updates(snapshots: Sequence[Snapshot], budget: UpdateGainBudget, seed: int) -> list[UpdateShard]:
    """The updates of every snapshot and regime."""
    for snapshot in snapshots:
        require(snapshot, "a policy update", *UPDATE_PARTS)
    shards: list[UpdateShard] = []
    for snapshot, (pairs, updates) in product(snapshots, zip(budget.update_pairs, budget.updates, strict=True)):
        at_once = max(1, min(STREAMS_AT_ONCE, PAIRS_PER_SHARD // (2 * pairs)))
        shards += [
            UpdateShard(snapshot, pairs, first, min(at_once, updates - first), seed)
            for first in range(0, updates, at_once)
        ]
    return shards


def measure_updates(shard: UpdateShard) -> Updates:
    """Make the updates of a shard as a population, and compute the gain of each in the surrogate."""
    snapshot, recipe, seeds = shard.snapshot, shard.snapshot.recipe, shard.seeds
    population = snapshot.state.copies(shard.num_updates)
    batch, trajectories = fresh_batch(snapshot, seeds, shard.update_pairs)
    policy = update_policy(population, batch, recipe, seeds).policy
    own = surrogate_gain(population, policy, batch, recipe)
    # The batch of a large regime takes gigabytes: free it before the next one is collected.
    del batch
    heldout, _ = fresh_batch(snapshot, [seed / "held-out" for seed in seeds], shard.update_pairs)
    return Updates(policy, own, surrogate_gain(population, policy, heldout, recipe), trajectories)


def gather_updates(shards: Sequence[UpdateShard], results: Iterable[Updates]) -> Iterator[SnapshotUpdates]:
    """All updates of each snapshot."""
    for snapshot, found in by_snapshot(shards, results):
        parts: dict[int, list[Updates]] = {}
        for shard, result in found:
            parts.setdefault(shard.update_pairs, []).append(result)
        yield SnapshotUpdates(snapshot, {pairs: joined(some) for pairs, some in parts.items()})


def plan_episodes(updates: Sequence[SnapshotUpdates], budget: UpdateGainBudget, seed: int) -> list[EpisodeShard]:
    """The episodes of all updates, in their order."""
    shards: list[EpisodeShard] = []
    for each in updates:
        policies = each.policies
        at_once = max(1, EPISODES_PER_SHARD // ((1 + len(policies)) * budget.episodes))
        shards += [
            EpisodeShard(
                each.snapshot,
                tuple(policy[first : first + at_once] for policy in policies),
                first,
                budget.episodes,
                seed,
            )
            for first in range(0, max(map(len, policies)), at_once)
        ]
    return shards


def measure_episodes(shard: EpisodeShard) -> Episodes:
    """Run the episodes of a shard: those of the snapshot for every update, then those of every regime's updates."""
    snapshot, updates = shard.snapshot, max(shard.num_updates)
    node = probe_seed(shard.seed, "update_gain", snapshot) / "reward"
    seeds = [
        [node / f"update={shard.first_update + index}" / f"episode={number}" for number in range(shard.episodes)]
        for index in range(updates)
    ]
    theta = np.concatenate([np.repeat(snapshot.state.policy, updates, axis=0), *shard.policies])
    of_regimes = [each for count in shard.num_updates for each in seeds[:count]]
    return episodes_of(snapshot, theta, seeds + of_regimes)


def gather(
    updates: Sequence[SnapshotUpdates], shards: Sequence[EpisodeShard], results: Iterable[Episodes]
) -> Iterator[Gains]:
    """The gains of the updates of every snapshot and regime, from the results of all their episodes."""
    for each, (_, found) in zip(updates, by_snapshot(shards, results), strict=True):
        yield from _gains(each, list(found))


def _gains(updates: SnapshotUpdates, results: list[tuple[EpisodeShard, Episodes]]) -> Iterator[Gains]:
    def rows(name: str) -> list[np.ndarray]:
        """The snapshot's (most K, E), then every regime's (K, E)."""
        parts = [
            np.split(getattr(result, name), np.cumsum([max(shard.num_updates), *shard.num_updates[:-1]]))
            for shard, result in results
        ]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    snapshot, (before, *returns), (length, *lengths) = updates.snapshot, rows("return_"), rows("length")
    for (pairs, some), return_, further in zip(updates.regimes.items(), returns, lengths, strict=True):
        own, count = before[: len(return_)], len(return_)
        norm = np.linalg.norm(some.policy.astype(np.float64) - snapshot.state.policy, axis=-1)
        # An update that did not move gains nothing, although two runs of one policy may differ by rounding.
        after = np.where(norm[:, None] == 0, own, return_)
        total = (length[:count] + further).sum(axis=-1)
        yield Gains(snapshot, pairs, some.own_gain, some.heldout_gain, some.trajectories, norm, own, after, total)
