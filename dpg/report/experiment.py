"""The tables of an experiment or of a part of it, with the settings that summarise and draw them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd

from dpg.report.style import COLORS, SeriesStyle, fallback_style
from dpg.runtime import registry
from dpg.runtime.registry import AlgorithmError
from dpg.runtime.schema import Params, Statistics
from dpg.tables.store import Folder, Tables, load
from dpg.tables.training import History


@dataclass(frozen=True)
class Experiment:
    """An experiment, or the part of it (a task, a cell, an agent) whose tables have the values of `key`.

    `experiment[Similarity]` is the table's rows of that part. `timesteps` is T, the pairs of one training iteration;
    `styles` has the labels and looks of the algorithms.
    """

    tables: Tables
    timesteps: int
    statistics: Statistics
    styles: Mapping[str, SeriesStyle] = field(default_factory=dict[str, SeriesStyle])
    key: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __getitem__(self, row: type) -> pd.DataFrame:
        frame = self.tables[row]
        return select(frame, **{column: value for column, value in self.key.items() if column in frame})

    def where(self, **key: Any) -> "Experiment":
        """The part with these values."""
        return replace(self, key={**self.key, **key})

    def only(self, rows: Iterable[type]) -> "Experiment":
        """A copy with these tables only, and of them this part."""
        return replace(self, tables=replace(self.tables, frames={row: self[row] for row in rows}))

    def replace(self, frames: dict[type, pd.DataFrame]) -> "Experiment":
        """A copy with some tables replaced."""
        return replace(self, tables=self.tables.replace(frames))

    def tasks(self) -> Iterator["Experiment"]:
        """Its tasks, those included of which something is not measured."""
        reasons = select(self.tables.reasons, **self.key)
        for env in dict.fromkeys([*distinct(self[History], "env"), *distinct(reasons, "env")]):
            yield self.where(env=env)

    def cells(self) -> Iterator["Experiment"]:
        """Its cells with agents: a task and an algorithm each."""
        return self.parts(self[History], "env", "algorithm")

    def untrained(self) -> Iterator["Experiment"]:
        """Its cells without agents yet."""
        return self.parts(select(self.tables.reasons, stage="train", **self.key), "env", "algorithm")

    def parts(self, rows: pd.DataFrame, *columns: str) -> Iterator["Experiment"]:
        """A part for each combination of values of some columns of a table."""
        for values in rows[[*columns]].drop_duplicates().to_dict("records"):
            yield self.where(**{str(name): value for name, value in values.items()})

    def style(self, algorithm: str) -> SeriesStyle:
        """The label and looks of an algorithm."""
        return self.styles.get(algorithm) or fallback_style(algorithm)

    def label(self, algorithm: str) -> str:
        """The display name of an algorithm."""
        return self.style(algorithm).label

    def missing(self, stage: str) -> str:
        """The reasons for which a stage did not measure all of this part, if any."""
        reasons = self.tables.reasons
        return "; ".join(distinct(select(reasons, stage=stage, **self.key), "reason"))

    def __str__(self) -> str:
        parts = [self.key.get("env"), self.label(self.key["algorithm"]) if "algorithm" in self.key else None]
        return ", ".join(filter(None, parts))


def read(params: Params, folder: Folder) -> Experiment:
    """The experiment of some parameters, from its tables.

    Raises:
        MissingOutputError: tables are missing or not as declared.
    """
    styles = styles_of([*params.algorithms, params.regimes.algorithm], params.modules)
    tables = load(params.envs, params.algorithms, folder)
    return Experiment(tables, params.common.timesteps, params.statistics, styles)


def styles_of(algorithms: Sequence[str], modules: Sequence[str]) -> dict[str, SeriesStyle]:
    """The styles of those algorithms that are registered; `modules` are the user's own.

    Those without a colour of their own get distinct ones.
    """
    styles: dict[str, SeriesStyle] = {}
    free = cycle(COLORS)
    for name in dict.fromkeys(algorithms):
        with suppress(AlgorithmError):
            found = registry.find(name, modules)
            dashes = (0, found.dashes) if found.dashes else "solid"
            styles[name] = SeriesStyle(found.label, found.color or next(free), found.marker, dashes)
    return styles


def select(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows in which every named column has the given value."""
    keep = np.ones(len(table), bool)
    for column, value in values.items():
        keep &= (table[column] == value).to_numpy()
    return table[keep]


def distinct(table: pd.DataFrame, column: str) -> list[Any]:
    """The distinct values of a column, in order of appearance, as plain Python values."""
    return table[column].drop_duplicates().tolist()
