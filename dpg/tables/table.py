"""How a table is declared: a dataclass is its row, and the annotations are its columns with their units.

    @table("gradient/noise.csv", Section.GRADIENTS, per="studied snapshot")
    class Noise(AgentSnapshot):
        \"\"\"The true gradient of a snapshot, and its quality.\"\"\"

        true_pairs: Annotated[int, "pairs", "behind the true gradient"]

A declaration in a module of `dpg.tables` is all that a table needs: stages write it with `write`, `dpg.tables.catalog`
finds it, `dpg.tables.store` reads and validates it, the report shows it in its section, and `docs/tables.md`
describes it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, dataclass_transform

if TYPE_CHECKING:  # workers import the rows, and have no need of 80 MB of pandas
    import pandas as pd

Row = TypeVar("Row", bound=type)


class Section(StrEnum):
    """Sections of the report, in the order of the paper's text."""

    GRADIENTS = "Gradient estimates"
    VALUES = "Value prediction"
    LANDSCAPES = "Optimization landscapes"
    REWARDS = "Rewards"
    FURTHER = "Further figures"


class TableScope(StrEnum):
    """What one file of a table covers."""

    CELL = "cell"  # a task and an algorithm
    TASK = "task"
    PIPELINE = "pipeline"


@dataclass(frozen=True)
class Column:
    """A column: its type, its unit (`-` for none), and what it means."""

    name: str
    type: type
    unit: str
    meaning: str

    def accepts(self, values: "pd.Series[Any]") -> bool:
        """Whether values that were read are of the column's type; a blank number is NaN."""
        from pandas.api import types

        dtype = values.dtype
        if self.type is bool:
            return types.is_bool_dtype(dtype)
        if self.type is str:
            return types.is_string_dtype(dtype) or bool(values.isna().all())
        whole = types.is_integer_dtype(dtype)
        return whole if self.type is int else whole or types.is_float_dtype(dtype)


@dataclass(frozen=True)
class Table:
    """A declared table. There is one row for each `per`."""

    row: type
    stage: str
    file: str
    section: Section
    per: str
    scope: TableScope

    @property
    def name(self) -> str:
        """Stage and file, as users name it."""
        return f"{self.stage}/{self.file}"

    @property
    def columns(self) -> list[Column]:
        """The columns in their order."""
        return columns_of(self.row)

    def problem(self, frame: "pd.DataFrame") -> str:
        """What is wrong with the columns of a table that was read, in words; empty if nothing is. More are allowed."""
        if missing := [column.name for column in self.columns if column.name not in frame]:
            return f"has no column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        if frame.empty:
            return ""
        wrong = [column for column in self.columns if not column.accepts(frame[column.name])]
        return "; ".join(f"column {each.name} must be of type {each.type.__name__}" for each in wrong)


def columns_of(row: type) -> list[Column]:
    """The annotated columns of a row type, or of a base of row types."""
    return [Column(each.name, each.type.__origin__, *each.type.__metadata__) for each in fields(row)]  # pyright: ignore


@dataclass_transform(frozen_default=True)
def table(name: str, section: Section, *, per: str, scope: TableScope = TableScope.CELL) -> Callable[[Row], Row]:
    """Make a class, every field `Annotated[type, unit, meaning]`, the dataclass of a row of the table `stage/file`."""
    stage, _, file = name.partition("/")

    def declare(row: Row) -> Row:
        row = dataclass(frozen=True)(row)
        row.__table__ = Table(row, stage, file, section, per, scope)  # pyright: ignore
        return row

    return declare


def is_table(row: object) -> bool:
    """Whether something is a row type that is declared as a table itself, not by a base."""
    return isinstance(row, type) and "__table__" in vars(row)


def table_of(row: type) -> Table:
    """The declaration of a row type."""
    return vars(row)["__table__"]


def write(row: type, rows: "Sequence[Any] | pd.DataFrame", folder: Path) -> "pd.DataFrame":
    """Write a table of a stage into its folder, and return it: rows of the declared type, or a frame of its columns.

    Raises:
        ValueError: a frame has other columns than are declared.
    """
    import pandas as pd

    from dpg.runtime.outputs import write_table

    declared = table_of(row)
    names = [column.name for column in declared.columns]
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame([asdict(each) for each in rows], columns=names)
    if list(frame) != names:
        raise ValueError(
            f"{declared.name}: columns {', '.join(map(str, frame))} are not the declared {', '.join(names)}"
        )
    return write_table(frame, folder / declared.file)


def write_all(rows: Mapping[type, Sequence[Any]], folder: Path) -> "dict[type, pd.DataFrame]":
    """Write the tables of a stage into its folder, and return them by row type."""
    return {row: write(row, some, folder) for row, some in rows.items()}


@dataclass(frozen=True)
class Cell:
    """The columns that every row begins with."""

    env: Annotated[str, "-", "the cell's task"]
    algorithm: Annotated[str, "-", "the cell's algorithm"]


@dataclass(frozen=True)
class AgentSnapshot(Cell):
    """The columns that name one snapshot of one agent."""

    agent: Annotated[int, "-", "which of the cell's agents (seeds), from 0"]
    iteration: Annotated[int, "-", "the snapshot: the iteration that starts from it"]
