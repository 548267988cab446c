"""The paper's values of parameters, and which of its figures an experiment shows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpg.report.figures import catalog
from dpg.report.figures.spec import ALGORITHMS, FigureEntry, PaperFigure
from dpg.runtime.ids import family
from dpg.runtime.schema import Params

# From table 1, the text and the captions. Names of a scale's budget omit `scales.<scale>.`.
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
    unused = set(ALGORITHMS) - set(params.algorithms)
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
class PaperCoverage:
    """A figure of the paper, the names of ours that show some of it, and what is missing for the rest."""

    figure: PaperFigure
    shows: str
    names: tuple[str, ...]
    missing: str


def coverage(
    entries: Sequence[FigureEntry], params: Params, label: Callable[[str], str], unmeasured: Mapping[str, str]
) -> Iterator[PaperCoverage]:
    """Every figure of the paper, with the drawn figures that show it.

    `unmeasured` says why figures were not drawn, by the name of their declaration.
    """
    tasks = {family(env) for env in params.envs}
    declared = [(figure, spec) for spec in catalog.figures() for figure in spec.paper]
    for figure, spec in sorted(declared, key=lambda pair: pair[0].number):
        missing = {
            "envs": [task for task in figure.tasks if task not in tasks],
            "algorithms": [label(name) for name in figure.algorithms if name not in params.algorithms],
        }
        found = tuple(each.name for each in entries if each.figure == spec.name and figure.number in each.numbers)
        needs = " and ".join(f"{what} {', '.join(names)}" for what, names in missing.items() if names)
        undrawn = "" if found else unmeasured.get(spec.name, "not drawn by this version")
        yield PaperCoverage(figure, spec.title, found, needs or undrawn)
