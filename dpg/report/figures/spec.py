"""The declaration of a figure: the figures of the paper that it shows, its tables, and the function that draws it.

    NOISE = FigureSpec(
        "fig01_noise", "gradient noise", Section.GRADIENTS, tables=(Noise,), plot=plot, caption=caption, near=1
    )

in a module of `dpg.report.figures` is all that a figure needs. It is drawn once for each combination of values of the
columns `per` in its first table; `plot` and `caption` get the part of the experiment with these values.
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.figure import Figure

from dpg.report import style
from dpg.report.experiment import Experiment, distinct
from dpg.runtime.ids import family, file_name
from dpg.tables.table import Section, table_of

TASKS = ("Humanoid", "Walker2d", "Hopper")
ALGORITHMS = ("ppo", "ppo_m", "trpo")


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper: its number, and the tasks and algorithms that it shows."""

    number: int
    tasks: tuple[str, ...] = TASKS
    algorithms: tuple[str, ...] = ALGORITHMS

    def overlaps(self, envs: list[str], algorithms: list[str]) -> bool:
        """Whether a figure of these tasks and algorithms shows part of it."""
        return any(family(env) in self.tasks for env in envs) and any(name in self.algorithms for name in algorithms)


@dataclass(frozen=True)
class FigureEntry:
    """A drawn figure as data: an entry of `index.json`, which lies next to the files.

    `figure` is the name of its declaration, `numbers` are the paper's figures that it shows in part, and `tables` its
    sources. A figure without `env` covers all tasks, one without `algorithm` all algorithms.
    """

    name: str
    figure: str
    title: str
    section: str
    numbers: list[int]
    env: str | None
    algorithm: str | None
    agent: int | None
    update_pairs: int | None
    tables: list[str]
    caption: str


@dataclass(frozen=True)
class FigureSpec:
    """The declaration of a figure.

    File names begin with `name`. `near` is the figure of the paper that a supplement belongs to; `reference` replaces
    the words that say so.
    """

    name: str
    title: str
    section: Section
    tables: tuple[type, ...]
    plot: Callable[[Experiment], Figure]
    caption: Callable[[Experiment], str]
    paper: tuple[PaperFigure, ...] = ()
    near: int = 0
    reference: str = ""
    per: tuple[str, ...] = ("env",)

    @property
    def number(self) -> float:
        """Its position in the order of the paper's figures."""
        return float(min((figure.number for figure in self.paper), default=self.near + 0.5))

    def draw(self, experiment: Experiment) -> Figure:
        """The figure of a part of an experiment."""
        with style.paper():
            return self.plot(experiment)

    def instances(self, experiment: Experiment) -> "Iterator[FigureInstance]":
        """The figures that the tables allow; none if the first table has no rows."""
        rows = experiment[self.tables[0]]
        parts = experiment.parts(rows, *self.per) if self.per or rows.empty else [experiment]
        return (FigureInstance(self, part) for part in parts)


@dataclass(frozen=True)
class FigureInstance:
    """A declared figure of one part of an experiment, not yet drawn."""

    spec: FigureSpec
    experiment: Experiment

    @property
    def key(self) -> Mapping[str, Any]:
        """The values of the columns `per`."""
        return self.experiment.key

    @property
    def name(self) -> str:
        """The name of its files; agents after the first are named in it."""
        parts = [self.spec.name, file_name(self.key.get("env", "")), self.key.get("algorithm", "")]
        if not self.of_first_agent:
            parts.append(f"agent{self.key['agent']}")
        if "update_pairs" in self.key:
            parts.append(f"N{self.key['update_pairs']}")
        return "_".join(filter(None, parts))

    @property
    def of_first_agent(self) -> bool:
        """Whether it shows the first of its cell's agents, or does not show one agent."""
        if "agent" not in self.key:
            return True
        cell = {name: self.key[name] for name in ("env", "algorithm")}
        rows = replace(self.experiment, key=cell)[self.spec.tables[0]]
        return self.key["agent"] == distinct(rows, "agent")[0]

    def draw(self) -> Figure:
        """The matplotlib figure."""
        return self.spec.draw(self.experiment)

    def rendering(self, formats: Sequence[str], dpi: int) -> "Rendering":
        """Its drawing in these formats, as a shard: with the rows of its own tables only."""
        alone = replace(self, experiment=self.experiment.only(self.spec.tables))
        return Rendering(self.name, alone, tuple(formats), dpi)

    @property
    def caption(self) -> str:
        """Its caption."""
        return self.spec.caption(self.experiment)

    def entry(self) -> FigureEntry:
        """The figure as data."""
        rows = self.experiment[self.spec.tables[0]]
        envs, algorithms = distinct(rows, "env"), distinct(rows, "algorithm")
        numbers = [figure.number for figure in self.spec.paper if figure.overlaps(envs, algorithms)]
        return FigureEntry(
            name=self.name,
            figure=self.spec.name,
            title=f"{self._reference(numbers)}: {self.spec.title}{self._of()}",
            section=self.spec.section,
            numbers=numbers,
            **{name: self.key.get(name) for name in ("env", "algorithm", "agent", "update_pairs")},
            tables=[table_of(row).name for row in self.spec.tables],
            caption=self.caption,
        )

    def _reference(self, numbers: list[int]) -> str:
        if self.spec.reference:
            return self.spec.reference
        if not self.spec.paper:
            return f"Supplement to figure {self.spec.near}"
        if not numbers:
            return f"Like figure {self.spec.paper[0].number}"
        return f"Figure{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"

    def _of(self) -> str:
        """The title's end: task, algorithm, agent and update."""
        parts = [str(self.experiment)]
        if "agent" in self.key:
            parts.append(f"agent {self.key['agent']}")
        if "update_pairs" in self.key:
            parts.append(f"update from {self.key['update_pairs']:,} pairs")
        return "".join(f", {part}" for part in parts if part)


@dataclass(frozen=True)
class Rendering:
    """A figure that is to be drawn and written in some formats."""

    name: str
    figure: FigureInstance
    formats: tuple[str, ...]
    dpi: int

    def __str__(self) -> str:
        return self.name


def render(rendering: Rendering) -> dict[str, bytes]:
    """The files of a figure, by format."""
    gc.disable()  # matplotlib makes so many small objects that looking for garbage takes a sixth of the time
    try:
        return style.render(rendering.figure.draw(), rendering.formats, rendering.dpi)
    finally:
        gc.enable()
