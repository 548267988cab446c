"""What the paper has: the values of its parameters, and its figures with what they need."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dpg.report.page.names import parse
from dpg.report.style import look
from dpg.runtime.ids import family
from dpg.runtime.schema import Params

# Table 1, and what the text and the captions state. Of a scale's budget the names stand without `scales.<scale>.`.
VALUES: Mapping[str, Any] = {
    "common.timesteps": 2000,
    "common.gamma": 0.99,
    "common.gae_lambda": 0.95,
    "common.policy_hidden": (64, 64),
    "common.value_hidden": (64, 64),
    "common.time_limit": "terminal",
    "common.baseline": "value",
    "common.value_target": "gae",
    "ppo.lr": 1e-4,
    "ppo.epochs": 10,
    "ppo.minibatches": 32,
    "ppo.clip_eps": 0.2,
    "ppo.entropy_coef": 0.0,
    "ppo.value_lr": 1e-4,
    "ppo.value_epochs": 10,
    "ppo_m.lr": 1e-4,
    "ppo_m.epochs": 10,
    "ppo_m.minibatches": 32,
    "ppo_m.clip_eps": 0.2,
    "ppo_m.entropy_coef": 0.0,
    "ppo_m.value_lr": 1e-4,
    "ppo_m.value_epochs": 10,
    "trpo.max_kl": 0.01,
    "trpo.cg_steps": 10,
    "trpo.cg_damping": 0.1,
    "trpo.fisher_fraction": 0.1,
    "trpo.backtracks": 10,
    "trpo.value_lr": 1e-4,
    "trpo.value_epochs": 10,
    "statistics.confidence": 0.95,
    "statistics.resample": "cosines",
    "landscape.step_range": (0.0, 3.0),
    "landscape.random_range": (0.0, 3.0),
    "landscape.random_norm": 2.0,
    "train.iterations": 500,
    "checkpoint.fractions": (0.0, 0.3, 0.6, 0.9),
    "gradient.repeats": 10,
    "gradient.true_pairs": 1_000_000,
    "update_step.updates": 100,
    "true_value.pairs": 500_000,
    "landscape.update_pairs": (2000, 1_000_000),
    "landscape.pairs_per_point": 1_000_000,
    "regimes.agents": 8,
}


@dataclass(frozen=True)
class Difference:
    """A parameter whose value is not the paper's."""

    name: str
    here: str
    paper: str


def differences(params: Params) -> Iterator[Difference]:
    """The parameters in use that differ from the paper's."""
    shared = params.model_dump(exclude={"scales"})
    unused = {"ppo", "ppo_m", "trpo"} - set(params.algorithms)
    for name, paper in VALUES.items():
        section, key = name.split(".")
        if section in unused:
            continue
        for prefix, values in (("", shared), (f"scales.{params.scale}.", params.budget.model_dump())):
            found = values.get(section)
            if isinstance(found, dict) and key in found and found[key] != paper:
                yield Difference(f"{prefix}{name}", _text(found[key]), _text(paper))


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class PaperFigure:
    """One figure of the paper: what it shows, of which tasks and algorithms, and how the files of ours begin."""

    number: int
    shows: str
    tasks: tuple[str, ...]
    algorithms: tuple[str, ...]
    prefix: str


_ALL = ("ppo", "ppo_m", "trpo")
_TASKS = ("Humanoid", "Walker2d", "Hopper")
_LANDSCAPES = [(task, algorithm) for task in _TASKS for algorithm in _ALL]

FIGURES = (
    PaperFigure(1, "gradient estimates against each other", ("Humanoid",), _ALL, "fig01"),
    PaperFigure(2, "gradient estimates against the true gradient", ("Humanoid",), _ALL, "fig02"),
    PaperFigure(3, "sample sizes and learning rates", ("Humanoid",), ("ppo",), "fig03"),
    PaperFigure(4, "value error on held-out pairs", ("Walker2d",), _ALL, "fig04"),
    PaperFigure(5, "baselines", ("Walker2d",), _ALL, "fig05_baselines"),
    PaperFigure(6, "concentration of the reward landscape", ("Humanoid",), ("trpo",), "fig06"),
    PaperFigure(7, "reward and surrogate landscapes", ("Humanoid",), ("trpo",), "fig07_landscape"),
    PaperFigure(8, "reward and surrogate landscapes", ("Humanoid",), ("ppo",), "fig07_landscape"),
    PaperFigure(9, "rewards over training", _TASKS, _ALL, "fig09"),
    PaperFigure(10, "gradient estimates against each other", ("Hopper", "Walker2d"), _ALL, "fig01"),
    PaperFigure(11, "gradient estimates against the true gradient", ("Hopper", "Walker2d"), _ALL, "fig02"),
    PaperFigure(12, "whole updates against each other", _TASKS, _ALL, "fig12"),
    PaperFigure(13, "value error on training pairs", _TASKS, _ALL, "fig13"),
    PaperFigure(14, "value error on held-out pairs", _TASKS, _ALL, "fig04"),
    PaperFigure(15, "baselines", ("Hopper", "Walker2d"), _ALL, "fig05_baselines"),
    *(
        PaperFigure(number, "reward and surrogate landscapes", (task,), (algorithm,), "fig07_landscape")
        for number, (task, algorithm) in enumerate(_LANDSCAPES, 16)
    ),
    PaperFigure(25, "concentration of the reward landscape", ("Humanoid",), ("trpo",), "fig06"),
    PaperFigure(26, "concentration of the reward landscape", ("Humanoid",), ("ppo",), "fig06"),
)


@dataclass(frozen=True)
class Counterpart:
    """A figure of the paper, those of ours that show as much of it as there is, and what all of it would need."""

    figure: PaperFigure
    names: tuple[str, ...]
    lacks: str


def counterparts(
    names: Sequence[str], params: Params, unmeasured: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Counterpart]:
    """Every figure of the paper, held against the figures that were drawn.

    `unmeasured` says of the beginnings of names why there is none.
    """
    for figure in FIGURES:
        envs = {family(env): env for env in params.envs}
        tasks = [task for task in figure.tasks if task not in envs]
        algorithms = [name for name in figure.algorithms if name not in params.algorithms]
        lacks = " and ".join(
            f"{what} {', '.join(missing)}"
            for what, missing in (("envs", tasks), ("algorithms", [look(name).label for name in algorithms]))
            if missing
        )
        none = len(tasks) == len(figure.tasks) or len(algorithms) == len(figure.algorithms)
        found = (
            [] if none else [name for name in names if name.startswith(figure.prefix) and _fits(name, figure, params)]
        )
        undrawn = unmeasured.get(figure.prefix, "not drawn by this version")
        yield Counterpart(figure, tuple(found), lacks or ("" if found else undrawn))


def _fits(name: str, figure: PaperFigure, params: Params) -> bool:
    """Whether a figure of ours is of one of the paper figure's tasks and algorithms."""
    named = parse(name, params)
    task = named.env and family(named.env)
    return task in {None, *figure.tasks} and named.algorithm in {None, *figure.algorithms}
