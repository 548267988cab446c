"""All declared figures, found in the modules of this package."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache

from dpg.report.experiment import Experiment
from dpg.report.figures.spec import FigureEntry, FigureInstance, FigureSpec
from dpg.tables.catalog import declared
from dpg.tables.table import Section


@cache
def figures() -> tuple[FigureSpec, ...]:
    """The figures by section, in the order of the paper's numbers."""
    found: list[FigureSpec] = declared("dpg.report.figures", lambda value: isinstance(value, FigureSpec))
    return tuple(sorted(found, key=lambda spec: (list(Section).index(spec.section), spec.number)))


def instances(experiment: Experiment) -> list[FigureInstance]:
    """The figures that an experiment's tables allow, in the order of the declarations."""
    return [instance for spec in figures() for instance in spec.instances(experiment)]


def index(entries: Iterable[FigureEntry]) -> str:
    """`index.json`, which lies next to the files of figures and describes each."""
    return json.dumps([asdict(entry) for entry in entries], indent=2) + "\n"
