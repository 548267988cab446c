"""Reading the tables of an experiment, validated against their declarations."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import pandas as pd

from dpg.runtime.outputs import MissingOutputError, read_reasons, read_table
from dpg.tables.catalog import catalog
from dpg.tables.table import Table, TableScope, table_of

REASON = ("env", "algorithm", "stage", "reason")

# Where a stage leaves the tables of a task and an algorithm, or of a task where the algorithm is None.
Folder = Callable[[str, str | None, str], Path]


@dataclass(frozen=True)
class Tables:
    """The tables of an experiment by row type, its cells concatenated.

    `reasons` says why a stage did not measure all of a cell, or of a task (`algorithm` is empty): a row for each
    reason. The tables of the stage may lack rows there.
    """

    frames: dict[type, pd.DataFrame]
    reasons: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=[*REASON]))

    def __getitem__(self, row: type) -> pd.DataFrame:
        return self.frames[row]

    def replace(self, frames: dict[type, pd.DataFrame]) -> "Tables":
        """The same with some tables replaced."""
        return replace(self, frames=self.frames | frames)


def load(envs: Sequence[str], algorithms: Sequence[str], folder: Folder) -> Tables:
    """All declared tables of every cell and task.

    Raises:
        MissingOutputError: tables are missing or not as declared; a line for each, and what makes it.
    """
    rows = [row for row in catalog().values() if table_of(row).scope is not TableScope.PIPELINE]
    frames: dict[type, pd.DataFrame] = {}
    problems: list[str] = []
    for row in rows:
        try:
            frames[row] = read(row, envs, algorithms, folder)
        except MissingOutputError as error:
            problems += str(error).splitlines()
    if problems:
        raise MissingOutputError("\n  ".join([f"{len(problems)} of the tables cannot be used:", *problems]))
    reasons = [
        (env, algorithm or "", stage, reason)
        for stage, owners in stages(rows, envs, algorithms).items()
        for env, algorithm in owners
        for reason in read_reasons(folder(env, algorithm, stage))
    ]
    return Tables(frames, pd.DataFrame(reasons, columns=[*REASON]))


def stages(
    rows: Iterable[type], envs: Sequence[str], algorithms: Sequence[str]
) -> dict[str, list[tuple[str, str | None]]]:
    """The stages that write tables, each with the cells, or the tasks (without an algorithm), that it measures."""
    return {table_of(row).stage: _owners(table_of(row), envs, algorithms) for row in rows}


def _owners(table: Table, envs: Sequence[str], algorithms: Sequence[str]) -> list[tuple[str, str | None]]:
    return list(product(envs, algorithms if table.scope is TableScope.CELL else [None]))


def read(row: type, envs: Sequence[str], algorithms: Sequence[str], folder: Folder) -> pd.DataFrame:
    """One table of every cell, or of every task.

    Raises:
        MissingOutputError: as `load`.
    """
    table = table_of(row)
    parts: list[pd.DataFrame] = []
    problems: list[str] = []
    for env, algorithm in _owners(table, envs, algorithms):
        target = "-".join(filter(None, (f"{table.stage}@{env}", algorithm)))
        try:
            parts.append(_checked(table, folder(env, algorithm, table.stage), target))
        except MissingOutputError as error:
            problems.append(str(error))
    if problems:
        raise MissingOutputError("\n".join(problems))
    # Tables without rows have no types of their own, and would change those of the others.
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _checked(table: Table, folder: Path, target: str) -> pd.DataFrame:
    """A table with the declared columns; `target` is the DVC stage that makes it. It may be empty for a reason."""
    path = folder / table.file
    if not path.exists():
        raise MissingOutputError(f"{path} is missing: run `dvc repro {target}` to make it")
    # DVC does not run a stage again whose outputs are as it left them.
    again = f"run `dvc repro --force --single-item {target}` to make it again"
    try:
        frame = read_table(path)
    except ValueError as error:  # empty or truncated
        raise MissingOutputError(f"{path} is not a table ({' '.join(str(error).split())}): {again}") from None
    if problem := table.problem(frame):
        raise MissingOutputError(f"{path} {problem}: {again}")
    if frame.empty and not read_reasons(folder):
        raise MissingOutputError(f"{path} has no rows: {again}")
    return frame
