"""The paper's values of parameters, and which of its figures an experiment shows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from dpg.report.figures import catalog
from dpg.report.figures.spec import ALGORITHMS, FigureEntry, PaperFigure
from dpg.runtime.ids import family
from dpg.runtime.schema import Params

VALUES: Mapping[str, Mapping[str, Any]] = YAML(typ="safe").load(Path(__file__).with_name("paper.yaml"))


@dataclass(frozen=True)
class Difference:
    """A parameter whose value is not the paper's."""

    name: str
    here: str
    paper: str


def differences(params: Params) -> Iterator[Difference]:
    """The parameters in use that differ from the paper's."""
    unused = set(ALGORITHMS) - set(params.algorithms)
    shared, budget = params.model_dump(mode="json", exclude={"scales"}), params.budget.model_dump(mode="json")
    for section, values in VALUES.items():
        for prefix, ours in (("", shared), (f"scales.{params.scale}.", budget)):
            found = ours.get(section) if section not in unused else None
            for key, paper in values.items():
                if isinstance(found, dict) and key in found and found[key] != paper:
                    yield Difference(f"{prefix}{section}.{key}", _text(found[key]), _text(paper))


def _text(value: Any) -> str:
    if isinstance(value, list):
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
    entries: Sequence[FigureEntry], params: Params, label: Callable[[str], str], unmeasured: Mapping[int, str]
) -> Iterator[PaperCoverage]:
    """Every figure of the paper, with the drawn figures that show it.

    `unmeasured` says, by the number of the paper's figure, what of it was not measured.
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
        undrawn = unmeasured.get(figure.number, "" if found else "not drawn by this version")
        yield PaperCoverage(figure, spec.title, found, needs or undrawn)
