"""How much whole policy updates vary: many from one snapshot, each from its own batch (paper, fig. 12).

An update is what training would do: T fresh pairs, then the algorithm's epochs and minibatches from the snapshot's own
Adam state (PPO), or its conjugate gradient and line search (TRPO). The updates from one snapshot are a population of
agents that differ only in their batch.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dpg.agent import gaussian, networks
from dpg.agent.snapshot import Snapshot, require
from dpg.learning.batch import prepare
from dpg.learning.update import update_policy
from dpg.numerics.statistics import pairwise_interval
from dpg.numerics.vectors import cosine_matrix
from dpg.probes.collection import (
    STREAMS_AT_ONCE,
    UPDATE_PARTS,
    Rows,
    batch_seeds,
    by_snapshot,
    fresh_streams,
    identity,
    joined,
    probe_seed,
)
from dpg.runtime.schema import Statistics
from dpg.tables.update_step import UpdateAgreement


@dataclass(frozen=True)
class UpdateStepShard:
    """Some updates from one snapshot; the first shard also collects the states on which policies are compared."""

    snapshot: Snapshot
    first_update: int
    num_updates: int
    seed: int

    @property
    def num_streams(self) -> int:
        """Those of the batches, and one for the states."""
        return self.num_updates * self.snapshot.recipe.num_envs + (self.first_update == 0)

    @property
    def num_pairs(self) -> int:
        """Pairs that the shard collects."""
        return self.num_streams * self.snapshot.recipe.common.timesteps


@dataclass(frozen=True)
class UpdatedPolicies:
    """U updated policies, the complete episodes in each batch, and B normalised observations (first shard only)."""

    policy: Float[np.ndarray, "U D"]
    episodes: Int[np.ndarray, " U"]
    obs: Float[np.ndarray, "B O"]


def plan(
    snapshots: Sequence[Snapshot], num_updates: int, seed: int, updates_per_shard: int = STREAMS_AT_ONCE
) -> list[UpdateStepShard]:
    """All updates from every snapshot."""
    for snapshot in snapshots:
        require(snapshot, "a policy update", *UPDATE_PARTS)
    return [
        UpdateStepShard(snapshot, first, min(updates_per_shard, num_updates - first), seed)
        for snapshot in snapshots
        for first in range(0, num_updates, updates_per_shard)
    ]


def measure(shard: UpdateStepShard) -> UpdatedPolicies:
    """Collect the batches of a shard and make its updates."""
    snapshot = shard.snapshot
    state, recipe = snapshot.state, snapshot.recipe
    node = probe_seed(shard.seed, "update_step", snapshot)
    seeds = [node / f"update={shard.first_update + index}" for index in range(shard.num_updates)]
    streams = fresh_streams(snapshot, [each for seed in seeds for each in batch_seeds(recipe, seed / "batch")])
    population = state.copies(shard.num_updates)
    batch = prepare(population, streams, recipe.common, recipe.config)
    updated = update_policy(population, batch, recipe, seeds)
    obs = np.empty((0, state.architecture.obs_dim), np.float32)
    if shard.first_update == 0:
        visited = fresh_streams(snapshot, [node / "states"])
        obs = state.normalize_obs(visited.obs)[0]
    episodes = streams.num_episodes.reshape(shard.num_updates, -1).sum(axis=1)
    return UpdatedPolicies(updated.policy, episodes, obs)


def gather(
    shards: Sequence[UpdateStepShard], results: Iterable[UpdatedPolicies]
) -> Iterator[tuple[Snapshot, UpdatedPolicies]]:
    """All updates of each snapshot."""
    for snapshot, found in by_snapshot(shards, results):
        yield snapshot, joined([result for _, result in found])


def tabulate(found: Iterable[tuple[Snapshot, UpdatedPolicies]], statistics: Statistics, seed: int) -> Rows:
    """The agreement of the updates from every snapshot."""
    return {UpdateAgreement: [agreement(snapshot, updates, statistics, seed) for snapshot, updates in found]}


def agreement(snapshot: Snapshot, updates: UpdatedPolicies, statistics: Statistics, seed: int) -> UpdateAgreement:
    """The row of one snapshot: cosines of the steps, and KL between the updated policies."""
    rng = (probe_seed(seed, "update_step", snapshot) / "bootstrap").generator()
    steps = updates.policy.astype(np.float64) - snapshot.state.policy
    norms = np.linalg.norm(steps, axis=-1)
    moved = norms > 0
    settings = (statistics.confidence, statistics.resamples, rng)
    cosine = pairwise_interval(cosine_matrix(steps[moved]), *settings, cosine=True)
    kl = pairwise_interval(pairwise_kl(snapshot, updates), *settings)
    return UpdateAgreement(
        **identity(snapshot),
        updates=len(steps),
        unmoved=int((~moved).sum()),
        pairs=snapshot.recipe.batch_pairs,
        trajectories=float(updates.episodes.mean()),
        **cosine.columns("cosine", "cosine_"),
        **kl.columns("kl", "kl_"),
        step_norm=float(norms.mean()),
    )


def pairwise_kl(snapshot: Snapshot, updates: UpdatedPolicies) -> Float[np.ndarray, "U U"]:
    """KL between all pairs of updated policies, mean over the states and over both directions."""
    architecture = snapshot.state.architecture
    arrays = architecture.policy_layout.unflatten(updates.policy)
    mean = networks.mlp(arrays, updates.obs[None], architecture.activation).astype(np.float64)
    log_std = arrays["log_std"].astype(np.float64)
    rows = [
        gaussian.kl(mean[index : index + 1], log_std[index : index + 1], mean, log_std).mean(axis=-1)
        for index in range(len(mean))
    ]
    kl = np.stack(rows)
    return (kl + kl.T) / 2
