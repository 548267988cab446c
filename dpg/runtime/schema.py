"""The sections of `params.yaml` as frozen objects. `dpg.runtime.config` reads the file into them."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dpg.runtime.budgets import Budget
from dpg.runtime.errors import UserError
from dpg.runtime.fields import (
    ALL,
    MOST_COUNT,
    AtLeastTwo,
    Count,
    Discount,
    EnvId,
    Hidden,
    NonNegative,
    ParamsSection,
    Positive,
    Range,
    Real,
    Rule,
    a_list,
    distinct,
    in_separate_folders,
)

ScaleName = Annotated[str, Field(pattern=r"^[A-Za-z][\w-]*$")]
FigureFormat = Literal["png", "pdf", "svg"]
MINIBATCHES = ("minibatches", "value_minibatches")  # parameters that cut an iteration's pairs


class Common(ParamsSection):
    """What all the algorithms share (paper, Table 1)."""

    timesteps: AtLeastTwo
    gamma: Discount
    gae_lambda: Annotated[Real, Field(ge=0, le=1)]
    policy_hidden: Hidden
    value_hidden: Hidden
    time_limit: Literal["bootstrap", "terminal"]
    clip_actions: bool
    baseline: Literal["value", "none"]
    value_target: Literal["gae", "returns", "td"]
    divergence_kl: Positive


class AlgorithmConfig(ParamsSection):
    """The parameters of every algorithm: the value fit, and the extras that PPO-M and TRPO switch off."""

    value_lr: NonNegative
    value_epochs: Annotated[int, Field(ge=0, le=MOST_COUNT)]
    value_minibatches: Count
    adam_eps: Positive
    reward_scaling: bool
    reward_clip: Positive | None
    obs_clip: Positive | None
    init: Literal["orthogonal", "xavier"]
    anneal: bool
    value_clip: Positive | None


class Statistics(ParamsSection):
    """How intervals are made."""

    confidence: Annotated[Real, Field(gt=0, lt=1)]
    resample: Literal["estimates", "cosines"]
    resamples: Annotated[int, Field(ge=100, le=1_000_000)]


# Outside a pipeline, where no `params.yaml` states them.
STATISTICS = Statistics(confidence=0.95, resample="estimates", resamples=1000)


class TrueValue(ParamsSection):
    """How the true value function is fitted (paper, fig. 5)."""

    lr: Positive
    minibatch: Count
    max_epochs: Count
    patience: Count


class LandscapePlane(ParamsSection):
    """The plane that a landscape spans (paper, fig. 6 to 8)."""

    step_range: Range
    random_range: Range
    random_norm: Positive
    common_random_numbers: bool
    target_error: Positive | None = None


class Figures(ParamsSection):
    """How figures are written."""

    formats: Annotated[tuple[FigureFormat, ...], a_list("[png, pdf]"), AfterValidator(distinct), Field(min_length=1)]
    dpi: Annotated[int, Field(ge=30, le=1200)]


class Regimes(ParamsSection):
    """Which algorithm the sample regimes train (paper, fig. 3)."""

    algorithm: str


class Params(ParamsSection):
    """The whole of `params.yaml`, but for the blocks of algorithms, which `config.parse` adds as further fields."""

    scale: str
    seed: Annotated[int, Field(ge=0)]
    envs: Annotated[
        tuple[EnvId, ...],
        a_list("[Hopper-v4]"),
        AfterValidator(distinct),
        AfterValidator(in_separate_folders),
        Field(min_length=1),
    ]
    algorithms: Annotated[tuple[str, ...], a_list("[ppo]"), AfterValidator(distinct), Field(min_length=1)]
    modules: Annotated[tuple[str, ...], a_list("[my_package.tasks]"), AfterValidator(distinct)]
    common: Common
    regimes: Regimes
    statistics: Statistics
    true_value: TrueValue
    landscape: LandscapePlane
    figures: Figures
    scales: Annotated[dict[ScaleName, Budget], Field(min_length=1)]

    @property
    def budget(self) -> Budget:
        """The budget of the chosen scale."""
        return self.scales[self.scale]

    @property
    def blocks(self) -> dict[str, AlgorithmConfig]:
        """The block of each algorithm that has one, by its name."""
        names = (name for name in type(self).model_fields if name not in Params.model_fields)
        return {name: getattr(self, name) for name in names}

    def algorithm(self, name: str) -> AlgorithmConfig:
        """The block of the algorithm called `name`.

        Raises:
            UserError: there is none.
        """
        if name not in self.blocks:
            raise UserError(f"params.yaml has no block of an algorithm {name!r}; it has {', '.join(self.blocks)}")
        return self.blocks[name]

    def _rules(self) -> Iterator[Rule]:
        yield from self._rules_of_sizes()
        yield from self._rules_of_grids()
        yield from self._rules_of_algorithms()

    def _rules_of_sizes(self) -> Iterator[Rule]:
        """Collections are of whole streams, and so are estimates from more than one."""
        timesteps, budget, scale = self.common.timesteps, self.budget, f"scales.{self.scale}"
        for stage in ("gradient", "baselines"):
            for size in getattr(budget, stage).sizes:
                allowed = f"beyond common.timesteps, sizes must be multiples of it ({timesteps})"
                yield size <= timesteps or size % timesteps == 0, f"{scale}.{stage}.sizes", size, allowed
        multiple = f"must be a multiple of common.timesteps ({timesteps})"
        halves = f"must be a multiple of twice common.timesteps ({2 * timesteps}): two halves of whole streams"
        three_sets = f"{multiple}, and three streams at least: one to fit, one to stop by, one held out"
        true, heldout, fitted = budget.gradient.true_pairs, budget.value.heldout_pairs, budget.true_value.pairs
        yield true % (2 * timesteps) == 0, f"{scale}.gradient.true_pairs", true, halves
        yield heldout % timesteps == 0, f"{scale}.value.heldout_pairs", heldout, multiple
        yield fitted % timesteps == 0 and fitted >= 3 * timesteps, f"{scale}.true_value.pairs", fitted, three_sets
        for stage in ("update_gain", "landscape"):
            for pairs in getattr(budget, stage).update_pairs:
                yield pairs % timesteps == 0, f"{scale}.{stage}.update_pairs", pairs, multiple

    def _rules_of_grids(self) -> Iterator[Rule]:
        for axis, points in zip(("step_range", "random_range"), self.budget.landscape.grid, strict=True):
            low, high = getattr(self.landscape, axis)
            allowed = f"must have 0 among its {points} evenly spaced points"
            yield holds_zero(low, high, points), f"landscape.{axis}", [low, high], allowed

    def _rules_of_algorithms(self) -> Iterator[Rule]:
        timesteps, scale = self.common.timesteps, f"scales.{self.scale}"
        for name, block in self.blocks.items():
            for key in MINIBATCHES:
                cut = getattr(block, key, 1)
                yield cut <= timesteps, f"{name}.{key}", cut, f"must be at most common.timesteps ({timesteps})"
        for name in self.budget.ablation.algorithms:
            allowed = f"must be of algorithms with a block in params.yaml: {', '.join(self.blocks)}"
            yield name in (ALL, *self.blocks), f"{scale}.ablation.algorithms", name, allowed
        name, sizes = self.regimes.algorithm, self.budget.regimes.timesteps
        block = self.algorithm(name)
        able = ", ".join(other for other, each in self.blocks.items() if hasattr(each, "lr"))
        allowed = f"must be an algorithm with a learning rate (lr): {able or 'none has one'}"
        yield hasattr(block, "lr"), "regimes.algorithm", name, allowed
        for key in MINIBATCHES:
            allowed = f"must each be at least {name}.{key} ({getattr(block, key, 1)})"
            yield getattr(block, key, 1) <= sizes[0], f"{scale}.regimes.timesteps", sizes, allowed


def holds_zero(low: float, high: float, points: int) -> bool:
    """Whether 0 is one of `points` evenly spaced points from the first end to the last."""
    position = -low / (high - low) * (points - 1)
    return low <= 0 <= high and abs(position - round(position)) < 1e-9
