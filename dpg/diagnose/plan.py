"""Sample sizes of a diagnosis: a few declared tiers, so that results never depend on the clock without saying so.

The largest tier is taken that the measured rate of this machine fits into the time asked for, and its name is printed.
The same tier gives the same bytes. What a tier means for one agent also depends on its task and recipe.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dpg.agent.snapshot import Snapshot
from dpg.probes.true_value import MIN_STREAMS, FitShard
from dpg.runtime.budgets import UpdateGainBudget
from dpg.runtime.errors import UserError
from dpg.runtime.schema import TrueValue
from dpg.streams.advantages import horizon


@dataclass(frozen=True)
class Tier:
    """The sizes of every measurement.

    Whole `episodes` for each way of acting; pairs for gradient estimates and for the fit of V*; `states` that are set,
    with `rollouts` from each while both take no more than `state_pairs`; whole updates, with `update_episodes` each.
    """

    name: str
    episodes: int
    gradient_pairs: int
    states: int
    rollouts: int
    state_pairs: int
    fit_pairs: int
    updates: int
    update_episodes: int


TIERS = (
    Tier("xs", 8, 24_000, 12, 4, 150_000, 16_000, 4, 4),
    Tier("s", 16, 50_000, 16, 6, 150_000, 30_000, 6, 6),
    Tier("m", 24, 100_000, 24, 8, 200_000, 60_000, 8, 8),
    Tier("l", 32, 200_000, 40, 8, 300_000, 100_000, 10, 12),
    Tier("xl", 48, 500_000, 64, 10, 600_000, 200_000, 16, 20),
    Tier("xxl", 96, 1_500_000, 128, 16, 1_500_000, 400_000, 24, 32),
)
# A mean over fewer says nothing that an interval could hold.
FEWEST_BATCHES = 8
# Streams whose gradients are held at once: of a small network many, of a large one fewer.
FEWEST_HELD, MOST_HELD, HELD_NUMBERS = 64, 256, 1_500_000
FEWEST_STATES, FEWEST_ROLLOUTS = 8, 4
AT_ONCE = 8  # episodes, states or streams of a block: what the probes step together
FIT = TrueValue(lr=1e-3, minibatch=512, max_epochs=40, patience=4)


def named(name: str) -> Tier:
    """The tier of this name.

    Raises:
        UserError: there is none.
    """
    for tier in TIERS:
        if tier.name == name:
            return tier
    raise UserError(f"--tier {name}: must be one of {', '.join(tier.name for tier in TIERS)}")


@dataclass(frozen=True)
class DiagnosisPlan:
    """The sizes of a diagnosis of one snapshot; `length` is what an episode is expected to have, in pairs."""

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
    def rollout_pairs(self) -> int:
        """Of a rollout that runs to the horizon."""
        return horizon(self.snapshot.recipe.common.gamma) + 1

    @property
    def states(self) -> tuple[int, int]:
        """States and rollouts from each, within the tier's pairs; (0, 0) if they do not suffice for the fewest."""
        affordable = self.tier.state_pairs // self.rollout_pairs
        if affordable >= self.tier.states * self.tier.rollouts:
            return self.tier.states, self.tier.rollouts
        if affordable < FEWEST_STATES * FEWEST_ROLLOUTS:
            return 0, 0
        return affordable // FEWEST_ROLLOUTS, FEWEST_ROLLOUTS

    @property
    def state_pairs(self) -> int:
        """Of a state: the stream that it is drawn from, and its rollouts if they run to the horizon."""
        return self.snapshot.recipe.common.timesteps + self.states[1] * self.rollout_pairs

    @property
    def fit(self) -> FitShard:
        """The fit of V*, from whole streams."""
        timesteps = self.snapshot.recipe.common.timesteps
        streams = max(2 * MIN_STREAMS, self.tier.fit_pairs // timesteps)
        return FitShard(self.snapshot, streams * timesteps, FIT, self.seed)

    @property
    def updates(self) -> UpdateGainBudget:
        """Whole updates at the training batch's size."""
        pairs, updates = (self.snapshot.recipe.batch_pairs,), (self.tier.updates,)
        return UpdateGainBudget(updates=updates, update_pairs=pairs, episodes=self.tier.update_episodes)


def blocks(count: int) -> Iterator[tuple[int, int]]:
    """First and number of each block of `count` episodes, states or streams."""
    return ((first, min(AT_ONCE, count - first)) for first in range(0, count, AT_ONCE))
