"""A scale's budget: how much of its work each stage does. Sizes are in state-action pairs unless they say otherwise."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from dpg.runtime.fields import (
    ALL,
    AtLeastThree,
    AtLeastTwo,
    Count,
    EnvId,
    GridPoints,
    ParamsSection,
    Positive,
    Real,
    Rule,
    Sizes,
    a_list,
    all_or_a_list,
    distinct,
    increasing,
)


class TrainBudget(ParamsSection):
    """Agents of a cell, how many a worker trains together at most, and how long."""

    agents: Count
    group_size: Count
    iterations: Count
    snapshot_every: Count


class AblationBudget(ParamsSection):
    """The algorithms whose agents are trained once more without a baseline."""

    algorithms: Annotated[tuple[str, ...], all_or_a_list("[ppo]"), AfterValidator(distinct)]

    def includes(self, algorithm: str) -> bool:
        """Whether the algorithm's agents are trained once more."""
        return not {ALL, algorithm}.isdisjoint(self.algorithms)


class CheckpointBudget(ParamsSection):
    """Which snapshots are studied, as fractions of the training, and how they are evaluated."""

    fractions: Annotated[
        tuple[Annotated[Real, Field(ge=0, lt=1)], ...],
        a_list("[0.0, 0.5]"),
        AfterValidator(increasing),
        Field(min_length=1),
    ]
    curve_every: Count
    eval_episodes: AtLeastTwo

    def studied(self, available: Sequence[int], iterations: int) -> list[int]:
        """The iterations, among those with a snapshot, that gradients and landscapes are measured at."""
        return nearest(self.fractions, available, iterations)

    def curve(self, available: Sequence[int]) -> list[int]:
        """The iterations, among those with a snapshot, that curves over training are measured at."""
        return [iteration for iteration in available if iteration % self.curve_every == 0]


class GradientBudget(ParamsSection):
    """Sample sizes of the gradient estimates, in pairs."""

    repeats: AtLeastThree
    sizes: Sizes
    true_pairs: Count


class UpdateStepBudget(ParamsSection):
    """Whole updates from one snapshot, each from a batch of its own."""

    updates: AtLeastThree


class UpdateGainBudget(ParamsSection):
    """Whole updates from one snapshot in each regime, and the episodes that policies before and after each run."""

    updates: Annotated[tuple[AtLeastTwo, ...], a_list("[12, 2]"), Field(min_length=1)]
    update_pairs: Sizes
    episodes: AtLeastTwo

    def _rules(self) -> Iterator[Rule]:
        allowed = f"must have one number for each of update_pairs ({list(self.update_pairs)})"
        yield len(self.updates) == len(self.update_pairs), "updates", self.updates, allowed


class ValueBudget(ParamsSection):
    """Pairs on which value predictions are scored."""

    heldout_pairs: Count


class TrueValueBudget(ParamsSection):
    """Pairs that the true value function is fitted to, and states from which fresh rollouts check it."""

    pairs: Count
    states: AtLeastThree
    rollouts: AtLeastTwo


class BaselinesBudget(ParamsSection):
    """Sample sizes of the gradient estimates that baselines are compared by, in pairs."""

    repeats: AtLeastThree
    sizes: Sizes


class LandscapeBudget(ParamsSection):
    """Grid points, pairs per point, and smaller numbers of pairs for estimates of the same rewards."""

    agents: Count
    grid: Annotated[tuple[GridPoints, GridPoints], a_list("[7, 7]")]
    update_pairs: Annotated[tuple[Count, ...], a_list("[2000, 10000]"), AfterValidator(increasing), Field(min_length=1)]
    pairs_per_point: Count
    concentration: Annotated[tuple[Count, ...], a_list("[500, 1000]"), AfterValidator(increasing)]

    def _rules(self) -> Iterator[Rule]:
        right = all(pairs < self.pairs_per_point for pairs in self.concentration)
        yield (
            right,
            "concentration",
            self.concentration,
            f"must each be less than pairs_per_point ({self.pairs_per_point})",
        )


class RegimesBudget(ParamsSection):
    """Sample regimes: pairs per iteration x learning rates, with equal total pairs, on some tasks."""

    envs: Annotated[tuple[EnvId, ...], all_or_a_list("[Humanoid-v4]"), AfterValidator(distinct)]
    agents: Count
    group_size: Count
    timesteps: Sizes
    rates: Annotated[tuple[Positive, ...], a_list("[1.0e-4, 3.0e-4]"), AfterValidator(increasing), Field(min_length=1)]
    total_pairs: Count

    def includes(self, env_id: str) -> bool:
        """Whether the task's regimes are trained."""
        return not {ALL, env_id}.isdisjoint(self.envs)

    def _rules(self) -> Iterator[Rule]:
        for timesteps in self.timesteps:
            allowed = f"must be a multiple of each of timesteps ({timesteps} is not met)"
            yield self.total_pairs % timesteps == 0, "total_pairs", self.total_pairs, allowed


class Budget(ParamsSection):
    """One scale: a budget for every stage."""

    train: TrainBudget
    ablation: AblationBudget
    checkpoint: CheckpointBudget
    gradient: GradientBudget
    update_step: UpdateStepBudget
    update_gain: UpdateGainBudget
    value: ValueBudget
    true_value: TrueValueBudget
    baselines: BaselinesBudget
    landscape: LandscapeBudget
    regimes: RegimesBudget

    def _rules(self) -> Iterator[Rule]:
        train, checkpoint, gradient, agents = self.train, self.checkpoint, self.gradient, self.landscape.agents
        iterations, every = train.iterations, train.snapshot_every
        allowed = f"must divide train.iterations ({iterations})"
        yield iterations % every == 0, "train.snapshot_every", every, allowed
        chosen = checkpoint.studied(range(0, iterations, every), iterations)
        allowed = "must each have a snapshot of its own; "
        allowed += f"the nearest of every {every} of {iterations} iterations are {chosen}"
        yield len(chosen) == len(checkpoint.fractions), "checkpoint.fractions", checkpoint.fractions, allowed
        allowed = f"must be a multiple of train.snapshot_every ({every})"
        yield checkpoint.curve_every % every == 0, "checkpoint.curve_every", checkpoint.curve_every, allowed
        yield agents <= train.agents, "landscape.agents", agents, f"must be at most train.agents ({train.agents})"
        allowed = f"must be at least the largest of gradient.sizes ({gradient.sizes[-1]})"
        yield gradient.true_pairs >= gradient.sizes[-1], "gradient.true_pairs", gradient.true_pairs, allowed


def nearest(fractions: Sequence[float], available: Sequence[int], iterations: int) -> list[int]:
    """The available iterations closest to fractions of the training, each once."""
    chosen = (min(available, key=lambda iteration: abs(iteration - f * iterations)) for f in fractions)
    return sorted(set(chosen))
