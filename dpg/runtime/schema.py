"""The types of `params.yaml`: every section as a frozen object, every value with what is allowed.

`dpg.runtime.config` reads the file into them.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

AlgorithmName = Literal["ppo", "ppo_m", "trpo"]
ScaleName = Literal["smoke", "laptop", "paper"]
FigureFormat = Literal["png", "pdf", "svg"]


def _numeral_to_number(value: object) -> object:
    """YAML 1.1 readers take `1e-05`, which DVC writes, for a string: read such numerals as numbers."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _a_list(example: str) -> BeforeValidator:
    """Take a list for a tuple, and refuse what is neither."""

    def convert(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise PydanticCustomError("list", "must be a list, such as {example}", {"example": example})
        return tuple(value)

    return BeforeValidator(convert)


def _increasing(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if list(values) != sorted(set(values)):
        raise PydanticCustomError("increasing", "must increase from each entry to the next")
    return values


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise PydanticCustomError("distinct", "must not name an entry twice")
    return values


def _gymnasium_id(value: str) -> str:
    # It names folders and DVC stages. Whether there is such a task, `stages.params` finds out by making it.
    if ":" in value:
        raise PydanticCustomError("env", "must not name a module: name it in common.env_modules, and here the id alone")
    if not re.fullmatch(r"(\w[\w-]*/)?\w[\w.-]*", value):
        allowed = (
            "must be a Gymnasium id of letters, digits, _, - and ., with a namespace or not: Hopper-v4, mine/Task-v0"
        )
        raise PydanticCustomError("env", allowed)
    return value


def _in_folders_of_their_own(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if (namespace := value.partition("/")[0]) != value and namespace in values:
            told = "must not hold {namespace} beside {value}: the folder of one would lie in that of the other"
            raise PydanticCustomError("folders", told, {"namespace": namespace, "value": value})
    return values


Real = Annotated[float, BeforeValidator(_numeral_to_number), Field(allow_inf_nan=False)]
# Single precision holds their squares and the inverses of these.
LEAST, MOST = 1e-15, 1e15
Positive = Annotated[Real, Field(gt=0), Field(ge=LEAST, le=MOST)]
NonNegative = Annotated[Real, Field(ge=0, le=MOST)]
Fraction = Annotated[Real, Field(gt=0, le=1)]
Discount = Annotated[Real, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Sizes = Annotated[
    tuple[Annotated[int, Field(ge=2)], ...],
    _a_list("[1000, 2000]"),
    AfterValidator(_increasing),
    Field(min_length=1),
]
Hidden = Annotated[tuple[Count, ...], _a_list("[64, 64]")]
Bounded = Annotated[Real, Field(ge=-MOST, le=MOST)]
Range = Annotated[tuple[Bounded, Bounded], _a_list("[0.0, 3.0]"), AfterValidator(_increasing)]
EnvId = Annotated[str, AfterValidator(_gymnasium_id)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Common(_Section):
    """What all the algorithms share (paper, Table 1)."""

    timesteps: Annotated[int, Field(ge=2)]
    gamma: Discount
    gae_lambda: Annotated[Real, Field(ge=0, le=1)]
    policy_hidden: Hidden
    value_hidden: Hidden
    time_limit: Literal["bootstrap", "terminal"]
    clip_actions: bool
    baseline: Literal["value", "none"]
    value_target: Literal["gae", "returns", "td"]
    env_modules: Annotated[tuple[str, ...], _a_list("[my_package.tasks]")]
    divergence_kl: Positive


class Algorithm(_Section):
    """What every algorithm's block holds: the value fit, and the extras that PPO-M and TRPO switch off."""

    value_lr: NonNegative
    value_epochs: Annotated[int, Field(ge=0)]
    value_minibatches: Count
    adam_eps: Positive
    reward_scaling: bool
    reward_clip: Positive | None
    obs_clip: Positive | None
    init: Literal["orthogonal", "xavier"]
    anneal: bool
    value_clip: Positive | None


class PPO(Algorithm):
    """Proximal policy optimisation, and PPO-M, which has the extras off (paper, Table 1)."""

    lr: NonNegative
    epochs: Count
    minibatches: Count
    clip_eps: Positive
    entropy_coef: NonNegative


class TRPO(Algorithm):
    """Trust region policy optimisation (paper, Table 1)."""

    max_kl: Positive
    cg_steps: Count
    cg_damping: NonNegative
    fisher_fraction: Fraction
    backtracks: Count
    accept_ratio: Annotated[Real, Field(ge=0, lt=1)]


class Statistics(_Section):
    """How intervals are made."""

    confidence: Annotated[Real, Field(gt=0, lt=1)]
    resample: Literal["estimates", "cosines"]
    resamples: Annotated[int, Field(ge=100)]


class TrueValue(_Section):
    """How the true value function is fitted (paper, fig. 5)."""

    lr: Positive
    minibatch: Count
    max_epochs: Count
    patience: Count


class LandscapePlane(_Section):
    """The plane that a landscape spans (paper, fig. 6 to 8)."""

    step_range: Range
    random_range: Range
    random_norm: Positive
    common_random_numbers: bool


class Figures(_Section):
    """How figures are written."""

    formats: Annotated[
        tuple[FigureFormat, ...],
        _a_list("[png, pdf]"),
        AfterValidator(_distinct),
        Field(min_length=1),
    ]
    dpi: Annotated[int, Field(ge=30, le=1200)]


class TrainBudget(_Section):
    """Agents of a cell, the groups that they train in, and how long."""

    agents: Count
    group_size: Count
    iterations: Count
    snapshot_every: Count


class CheckpointBudget(_Section):
    """Which snapshots are studied, as fractions of the training, and how they are evaluated."""

    fractions: Annotated[
        tuple[Annotated[Real, Field(ge=0, lt=1)], ...],
        _a_list("[0.0, 0.5]"),
        AfterValidator(_increasing),
        Field(min_length=1),
    ]
    curve_every: Count
    eval_episodes: Annotated[int, Field(ge=2)]


class GradientBudget(_Section):
    """Sample sizes of the gradient estimates, in pairs."""

    repeats: Annotated[int, Field(ge=3)]
    sizes: Sizes
    true_pairs: Count


class UpdateStepBudget(_Section):
    """Whole updates from one snapshot, each from a batch of its own."""

    updates: Annotated[int, Field(ge=3)]


class UpdateGainBudget(_Section):
    """Whole updates from one snapshot in every regime, and the episodes that policies before and after each run."""

    updates: Annotated[int, Field(ge=2)]
    update_pairs: Sizes
    episodes: Annotated[int, Field(ge=2)]


class ValueBudget(_Section):
    """Pairs on which value predictions are scored."""

    heldout_pairs: Count


class TrueValueBudget(_Section):
    """Pairs that the true value function is fitted to, and states from which fresh rollouts give a second opinion."""

    pairs: Count
    states: Annotated[int, Field(ge=3)]
    rollouts: Annotated[int, Field(ge=2)]


class BaselinesBudget(_Section):
    """Sample sizes of the gradient estimates that baselines are compared by, in pairs."""

    repeats: Annotated[int, Field(ge=3)]
    sizes: Sizes


class LandscapeBudget(_Section):
    """Grid points, the pairs behind each, and fewer pairs that its reward is told from as well."""

    agents: Count
    grid: Annotated[
        tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=2)]],
        _a_list("[7, 7]"),
    ]
    update_pairs: Annotated[
        tuple[Count, ...], _a_list("[2000, 10000]"), AfterValidator(_increasing), Field(min_length=1)
    ]
    pairs_per_point: Count
    concentration: Annotated[tuple[Count, ...], _a_list("[500, 1000]"), AfterValidator(_increasing)]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.concentration and self.concentration[-1] >= self.pairs_per_point:
            raise _mismatch(
                "concentration",
                list(self.concentration),
                f"must each be less than pairs_per_point ({self.pairs_per_point})",
            )
        return self


class RegimesBudget(_Section):
    """Sample regimes: pairs per iteration x learning rates, with equal total pairs."""

    agents: Count
    group_size: Count
    timesteps: Sizes
    rates: Annotated[
        tuple[Positive, ...], _a_list("[1.0e-4, 3.0e-4]"), AfterValidator(_increasing), Field(min_length=1)
    ]
    total_pairs: Count

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for timesteps in self.timesteps:
            if self.total_pairs % timesteps:
                raise _mismatch(
                    "total_pairs", self.total_pairs, f"must be a multiple of each of timesteps ({timesteps} is not met)"
                )
        return self


class Budget(_Section):
    """One scale: a budget for every stage."""

    train: TrainBudget
    checkpoint: CheckpointBudget
    gradient: GradientBudget
    update_step: UpdateStepBudget
    update_gain: UpdateGainBudget
    value: ValueBudget
    true_value: TrueValueBudget
    baselines: BaselinesBudget
    landscape: LandscapeBudget
    regimes: RegimesBudget

    @model_validator(mode="after")
    def _agree(self) -> Self:
        train, checkpoint = self.train, self.checkpoint
        if train.iterations % train.snapshot_every:
            raise _mismatch(
                "train.snapshot_every",
                train.snapshot_every,
                f"must divide train.iterations ({train.iterations})",
            )
        available = range(0, train.iterations, train.snapshot_every)
        chosen = nearest(checkpoint.fractions, available, train.iterations)
        if len(chosen) < len(checkpoint.fractions):
            raise _mismatch(
                "checkpoint.fractions",
                list(checkpoint.fractions),
                f"must each have a snapshot of its own; the nearest of every {train.snapshot_every} of "
                f"{train.iterations} iterations are {chosen}",
            )
        if checkpoint.curve_every % train.snapshot_every:
            raise _mismatch(
                "checkpoint.curve_every",
                checkpoint.curve_every,
                f"must be a multiple of train.snapshot_every ({train.snapshot_every})",
            )
        if self.landscape.agents > train.agents:
            raise _mismatch("landscape.agents", self.landscape.agents, f"must be at most train.agents ({train.agents})")
        if self.gradient.true_pairs < self.gradient.sizes[-1]:
            raise _mismatch(
                "gradient.true_pairs",
                self.gradient.true_pairs,
                f"must be at least the largest of gradient.sizes ({self.gradient.sizes[-1]})",
            )
        return self


class Scales(_Section):
    """The three budgets."""

    smoke: Budget
    laptop: Budget
    paper: Budget


class Params(_Section):
    """The whole of `params.yaml`."""

    scale: ScaleName
    seed: Annotated[int, Field(ge=0)]
    envs: Annotated[
        tuple[EnvId, ...],
        _a_list("[Hopper-v4]"),
        AfterValidator(_distinct),
        AfterValidator(_in_folders_of_their_own),
        Field(min_length=1),
    ]
    algorithms: Annotated[
        tuple[AlgorithmName, ...],
        _a_list("[ppo]"),
        AfterValidator(_distinct),
        Field(min_length=1),
    ]
    common: Common
    ppo: PPO
    ppo_m: PPO
    trpo: TRPO
    statistics: Statistics
    true_value: TrueValue
    landscape: LandscapePlane
    figures: Figures
    scales: Scales

    @property
    def budget(self) -> Budget:
        """The budget of the chosen scale."""
        return getattr(self.scales, self.scale)

    def algorithm(self, name: AlgorithmName) -> PPO | TRPO:
        """The block of the algorithm called `name`."""
        return getattr(self, name)

    @model_validator(mode="after")
    def _estimates_are_of_whole_streams(self) -> Self:
        timesteps = self.common.timesteps
        for stage in ("gradient", "baselines"):
            for size in getattr(self.budget, stage).sizes:
                if size > timesteps and size % timesteps:
                    raise _mismatch(
                        f"scales.{self.scale}.{stage}.sizes",
                        size,
                        f"beyond common.timesteps, sizes must be multiples of it ({timesteps})",
                    )
        return self

    @model_validator(mode="after")
    def _collections_are_of_whole_streams(self) -> Self:
        timesteps, budget = self.common.timesteps, self.budget
        multiple = f"must be a multiple of common.timesteps ({timesteps})"
        halves = f"must be a multiple of twice common.timesteps ({2 * timesteps}): two halves of whole streams"
        three_sets = f"{multiple}, and three streams at least: one to fit, one to stop by, one held out"
        fitted = budget.true_value.pairs
        for name, pairs, right, allowed in (
            (
                "gradient.true_pairs",
                budget.gradient.true_pairs,
                budget.gradient.true_pairs % (2 * timesteps) == 0,
                halves,
            ),
            ("value.heldout_pairs", budget.value.heldout_pairs, budget.value.heldout_pairs % timesteps == 0, multiple),
            ("true_value.pairs", fitted, fitted % timesteps == 0 and fitted >= 3 * timesteps, three_sets),
            *(
                (f"{stage}.update_pairs", pairs, pairs % timesteps == 0, multiple)
                for stage in ("update_gain", "landscape")
                for pairs in getattr(budget, stage).update_pairs
            ),
        ):
            if not right:
                raise _mismatch(f"scales.{self.scale}.{name}", pairs, allowed)
        return self

    @model_validator(mode="after")
    def _grids_hold_their_origin(self) -> Self:
        for axis, points in zip(("step_range", "random_range"), self.budget.landscape.grid, strict=True):
            low, high = getattr(self.landscape, axis)
            if not holds_zero(low, high, points):
                raise _mismatch(
                    f"landscape.{axis}", [low, high], f"must have 0 among its {points} evenly spaced points"
                )
        return self

    @model_validator(mode="after")
    def _minibatches_hold_pairs(self) -> Self:
        timesteps = self.common.timesteps
        for name in get_args(AlgorithmName):
            block = getattr(self, name)
            for key in ("minibatches", "value_minibatches"):
                if getattr(block, key, 1) > timesteps:
                    raise _mismatch(
                        f"{name}.{key}", getattr(block, key), f"must be at most common.timesteps ({timesteps})"
                    )
        fewest = self.budget.regimes.timesteps[0]
        for key in ("minibatches", "value_minibatches"):
            if getattr(self.ppo, key) > fewest:
                raise _mismatch(
                    f"scales.{self.scale}.regimes.timesteps",
                    list(self.budget.regimes.timesteps),
                    f"must each be at least ppo.{key} ({getattr(self.ppo, key)})",
                )
        return self


def holds_zero(low: float, high: float, points: int) -> bool:
    """Whether 0 is among so many evenly spaced points between the two, ends included."""
    position = -low / (high - low) * (points - 1)
    return low <= 0 <= high and abs(position - round(position)) < 1e-9


def nearest(fractions: Sequence[float], available: Sequence[int], iterations: int) -> list[int]:
    """The available iterations closest to fractions of the training, each once."""
    chosen = (min(available, key=lambda iteration: abs(iteration - f * iterations)) for f in fractions)
    return sorted(set(chosen))


def _mismatch(name: str, value: object, allowed: str) -> PydanticCustomError:
    return PydanticCustomError("mismatch", "{allowed}", {"allowed": allowed, "name": name, "value": str(value)})
