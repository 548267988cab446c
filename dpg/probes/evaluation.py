"""Returns of snapshots on fresh whole episodes, with sampled and with deterministic actions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dpg.agent.snapshot import Snapshot
from dpg.numerics.statistics import mean_interval
from dpg.probes.collection import Rows, fresh_episodes, identity, probe_seed
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed
from dpg.streams.episodes import Episodes
from dpg.tables.checkpoint import Evaluation


@dataclass(frozen=True)
class EvaluationShard:
    """One snapshot with `sampled` or `deterministic` actions."""

    snapshot: Snapshot
    actions: str
    num_episodes: int
    seed: int

    @property
    def node(self) -> Seed:
        """The root of everything random in the shard."""
        return probe_seed(self.seed, "evaluation", self.snapshot) / self.actions


def plan(snapshots: Sequence[Snapshot], num_episodes: int, seed: int) -> list[EvaluationShard]:
    """Sampled and deterministic actions for every snapshot."""
    return [
        EvaluationShard(snapshot, actions, num_episodes, seed)
        for snapshot in snapshots
        for actions in ("sampled", "deterministic")
    ]


def measure(shard: EvaluationShard) -> Episodes:
    """Run the episodes of a shard."""
    seeds = [shard.node / f"episode={index}" for index in range(shard.num_episodes)]
    return fresh_episodes(shard.snapshot, seeds, deterministic=shard.actions == "deterministic")


def tabulate(shards: Sequence[EvaluationShard], results: Iterable[Episodes], statistics: Statistics) -> Rows:
    """The mean return of every snapshot and kind of action."""
    return {Evaluation: [_evaluation(*found, statistics) for found in zip(shards, results, strict=True)]}


def _evaluation(shard: EvaluationShard, episodes: Episodes, statistics: Statistics) -> Evaluation:
    rng = (shard.node / "bootstrap").generator()
    interval = mean_interval(episodes.return_[0], statistics.confidence, statistics.resamples, rng)
    return Evaluation(
        **identity(shard.snapshot),
        actions=shard.actions,
        episodes=shard.num_episodes,
        pairs=int(episodes.length.sum()),
        **interval.columns("mean_return"),
        mean_length=float(np.mean(episodes.length)),
    )
