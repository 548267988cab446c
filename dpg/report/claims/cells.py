"""What the claims share: the cells of an experiment, one number an agent, and means over agents."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from dpg.report.claims.verdicts import Finding, Part
from dpg.report.style import look
from dpg.report.tables import Tables, distinct, interval_over_agents, select
from dpg.runtime.schema import Statistics

NO_EPISODE = "needs episodes that end within a batch: in the last iterations no episode ended"
NO_LATER = "needs a studied snapshot after iteration 0: scales.<scale>.checkpoint.fractions"


@dataclass(frozen=True)
class Cell:
    """One task and algorithm."""

    env: str
    algorithm: str

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The cell's rows."""
        return select(table, env=self.env, algorithm=self.algorithm)

    def lacks(self, tables: Tables, stage: str) -> str:
        """Why a stage measured nothing of the cell, if there was something in the way."""
        return tables.lacks(stage, env=self.env, algorithm=self.algorithm)

    def __str__(self) -> str:
        return f"{self.env}, {look(self.algorithm).label}"


def cells(history: pd.DataFrame) -> Iterator[Cell]:
    """The cells of an experiment, in their order."""
    for env, algorithm in history[["env", "algorithm"]].drop_duplicates().itertuples(index=False):
        yield Cell(env, algorithm)


def later(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of snapshots after the initial policy."""
    return rows[rows["iteration"] > 0]


def agents_mean(rows: pd.DataFrame, column: str) -> pd.Series:
    """One number an agent: the mean over its rows that have one."""
    return rows.groupby("agent")[column].mean().dropna()


def change(rows: pd.DataFrame, column: str) -> pd.Series:
    """One number an agent: its value at the last iteration of the rows minus that at the first."""
    wide = rows.pivot(index="agent", columns="iteration", values=column)  # noqa: PD010 - a double row is an error
    return (wide[wide.columns.max()] - wide[wide.columns.min()]).dropna()


def inequality(
    quantity: str,
    values: pd.Series,
    side: Literal["below", "above"],
    edge: float,
    statistics: Statistics,
    **sizes: int,
) -> Part:
    """A part about the mean of one value an agent; the interval resamples agents, and so all that lies below them."""
    interval = interval_over_agents(values, statistics)
    return Part(quantity, interval, side, edge, {"agents": len(values)} | sizes)


def improvement(evaluation: pd.DataFrame, statistics: Statistics) -> Part:
    """The premise that agents improve: their evaluated returns rise from the first studied snapshot to the last."""
    rows = select(evaluation, actions="sampled")
    values = change(rows, "mean_return")
    sizes = {"agents": len(values), "episodes": int(rows["episodes"].sum())}
    interval = interval_over_agents(values, statistics)
    return Part("rise of the return over training", interval, "above", 0.0, sizes, premise=True)


def span(rows: pd.DataFrame, column: str) -> int:
    """How many different values."""
    return len(distinct(rows, column))


def lacking(where: object, what: str) -> Finding:
    """A claim that is not measured here."""
    return Finding(str(where), lacks=what)
