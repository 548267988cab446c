"""Returns of snapshots on fresh whole episodes, with sampled and with deterministic actions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dpg.agent.snapshot import Snapshot
from dpg.numerics.statistics import mean_interval
from dpg.probes.collection import fresh_episodes, probe_seed
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed
from dpg.streams.episodes import Episodes
from dpg.tables.checkpoint import Evaluation


@dataclass(frozen=True)
class Shard:
    """One snapshot and one way of acting."""

    snapshot: Snapshot
    actions: str
    num_episodes: int
    seed: int

    @property
    def node(self) -> Seed:
        """The root of everything random in the shard."""
        return probe_seed(self.seed, "evaluation", self.snapshot) / self.actions


def plan(snapshots: Sequence[Snapshot], num_episodes: int, seed: int) -> list[Shard]:
    """Both ways of acting, for every snapshot."""
    return [
        Shard(snapshot, actions, num_episodes, seed)
        for snapshot in snapshots
        for actions in ("sampled", "deterministic")
    ]


def measure(shard: Shard) -> Episodes:
    """Run a shard's episodes."""
    seeds = [shard.node / f"episode={index}" for index in range(shard.num_episodes)]
    return fresh_episodes(shard.snapshot, seeds, deterministic=shard.actions == "deterministic")


def tabulate(shard: Shard, result: Episodes, statistics: Statistics) -> Evaluation:
    """The row of one shard."""
    rng = (shard.node / "bootstrap").generator()
    interval = mean_interval(result.return_[0], statistics.confidence, statistics.resamples, rng)
    return Evaluation(
        env=shard.snapshot.recipe.env_id,
        algorithm=shard.snapshot.recipe.algorithm,
        agent=shard.snapshot.agent,
        iteration=shard.snapshot.iteration,
        actions=shard.actions,
        episodes=shard.num_episodes,
        pairs=int(result.length.sum()),
        mean_return=interval.mean,
        low=interval.low,
        high=interval.high,
        mean_length=float(np.mean(result.length)),
    )
