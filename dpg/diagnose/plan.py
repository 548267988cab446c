"""How large every measurement of one agent is, and its jobs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dpg.agent.snapshot import Snapshot
from dpg.diagnose.measurements import (
    EvaluationJob,
    FitJob,
    StatesJob,
    StreamsJob,
    UpdateEpisodesJob,
    UpdatesJob,
    with_common,
)
from dpg.diagnose.tiers import (
    FEWEST_BATCHES,
    FEWEST_HELD,
    FEWEST_ROLLOUTS,
    FEWEST_STATES,
    HELD_NUMBERS,
    MOST_HELD,
    Tier,
)
from dpg.probes import update_gain
from dpg.runtime.budgets import UpdateGainBudget
from dpg.streams.advantages import horizon

AT_ONCE = 8  # episodes, states or streams of a job: what the probes step together


@dataclass(frozen=True)
class Plan:
    """The sizes of a diagnosis of one snapshot, from a tier, the task and the recipe; `length` is an episode's."""

    snapshot: Snapshot
    tier: Tier
    length: int
    seed: int

    @property
    def streams(self) -> int:
        """Whole training batches of them."""
        recipe = self.snapshot.recipe
        size = self.snapshot.state.architecture.policy_layout.size
        most = min(MOST_HELD, max(FEWEST_HELD, HELD_NUMBERS // size)) // recipe.num_envs
        return recipe.num_envs * max(FEWEST_BATCHES, min(most, self.tier.gradient_pairs // recipe.batch_pairs))

    @property
    def states(self) -> tuple[int, int]:
        """States and rollouts from each, within the tier's pairs; (0, 0) if they do not suffice for the fewest."""
        each = horizon(self.snapshot.recipe.common.gamma) + 1
        affordable = self.tier.state_pairs // each
        if affordable >= self.tier.states * self.tier.rollouts:
            return self.tier.states, self.tier.rollouts
        if affordable < FEWEST_STATES * FEWEST_ROLLOUTS:
            return 0, 0
        return affordable // FEWEST_ROLLOUTS, FEWEST_ROLLOUTS

    @property
    def updates(self) -> UpdateGainBudget:
        """Whole updates at the training batch's size."""
        pairs, updates = (self.snapshot.recipe.batch_pairs,), (self.tier.updates,)
        return UpdateGainBudget(updates=updates, update_pairs=pairs, episodes=self.tier.update_episodes)

    def evaluation_jobs(self) -> list[EvaluationJob]:
        """Both ways of acting."""
        return [
            EvaluationJob(self.snapshot, actions, first, count, self.length, self.seed)
            for actions in ("sampled", "deterministic")
            for first, count in blocks(self.tier.episodes, AT_ONCE)
        ]

    def state_jobs(self) -> list[StatesJob]:
        """In blocks."""
        count, rollouts = self.states
        return [StatesJob(self.snapshot, *block, rollouts, self.seed) for block in blocks(count, AT_ONCE)]

    def fit_job(self) -> FitJob:
        """One job: a fit cannot be shared out."""
        return FitJob(self.snapshot, self.tier.fit_pairs, self.seed)

    def stream_jobs(self, fitted: Float[np.ndarray, " D"] | None) -> list[StreamsJob]:
        """In blocks. Where the value net is missing, observations and actions are measured all the same."""
        without_net = "value_net" in self.snapshot.lacks
        agent = with_common(self.snapshot, baseline="none") if without_net else self.snapshot
        return [StreamsJob(agent, *block, fitted, self.seed) for block in blocks(self.streams, AT_ONCE)]

    def update_jobs(self) -> list[UpdatesJob]:
        """As the probe cuts them."""
        return [UpdatesJob(shard) for shard in update_gain.plan_updates([self.snapshot], self.updates, self.seed)]

    def update_episode_jobs(self, updates: Sequence[update_gain.SnapshotUpdates]) -> list[UpdateEpisodesJob]:
        """As the probe cuts them."""
        shards = update_gain.plan_episodes(updates, self.updates, self.seed)
        return [UpdateEpisodesJob(shard, self.length) for shard in shards]


def blocks(count: int, at_once: int) -> Iterator[tuple[int, int]]:
    """First and number of each block of `count` things."""
    return ((first, min(at_once, count - first)) for first in range(0, count, at_once))
