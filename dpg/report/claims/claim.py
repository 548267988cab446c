"""The declaration of a claim: a decorator on the function that decides it.

    @claim(
        "G2",
        Section.GRADIENTS,
        "Agreement falls as training goes on.",
        rule="Pairwise cosine at T pairs at the last studied snapshot minus that at the first: below 0.",
        why="The paper claims a direction, not a size.",
        tables=(Similarity,),
        needs=(needs.agents("train"), needs.two_studied),
        simulation=one_number(SimulatedEffect("below", 0.0, -0.4, 0.25)),
    )
    def falling_agreement(cell: Experiment) -> Finding: ...

in a module of `dpg.report.claims` is all that a claim needs. The function gets one cell or one task at a time, and
raises `NotMeasuredError`, or calls `required`, where that lacks what the rule needs.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pandas as pd

from dpg.report.claims.needs import Need, algorithm_in_use
from dpg.report.claims.simulation import Simulation
from dpg.report.claims.verdicts import Finding, Part, inequality
from dpg.report.experiment import Experiment, distinct, select
from dpg.runtime.schema import Statistics
from dpg.tables.table import Section, table_of

LATER = "Snapshots after the initial policy, one value per agent, their mean."
NO_EPISODE = "needs episodes that end within a batch: in the last iterations no episode ended"
NO_LATER = "needs a studied snapshot after iteration 0: scales.<scale>.checkpoint.fractions"
NO_LATER_CURVE = "needs a snapshot of the curve after iteration 0"

Decide = Callable[[Experiment], Finding]


class NotMeasuredError(Exception):
    """A claim cannot be decided here; the message says what is missing."""


@dataclass(frozen=True)
class Claim:
    """The declaration of a claim.

    It is decided from `tables`. `decide` gets one of the experiment's `parts` at a time: a cell, a task, or all of it;
    for a claim about one `algorithm`, only that algorithm's cells. Before a run, `needs` list what the parameters lack,
    and `proviso` names the outcome on which the decision depends. `simulation` measures the rule's error rates.
    """

    id: str
    section: Section
    statement: str
    rule: str
    why: str
    tables: tuple[type, ...]
    decide: Decide
    parts: Callable[[Experiment], Iterable[Experiment]]
    needs: tuple[Need, ...]
    proviso: str
    simulation: Simulation | None
    algorithm: str

    def findings(self, experiment: Experiment) -> tuple[Finding, ...]:
        """The findings of all parts of the experiment; a part without rows has the reason that a stage left."""
        found = [self._finding(part) for part in self.parts(experiment) if self._covers(part)]
        if self.parts is Experiment.cells:
            untrained = filter(self._covers, experiment.untrained())
            found += [Finding(where=str(cell), missing=cell.missing("train")) for cell in untrained]
        return tuple(found) or (Finding(where="all cells", missing=f"needs {self.algorithm} among algorithms"),)

    def _covers(self, part: Experiment) -> bool:
        return self.algorithm in {"", part.key.get("algorithm")}

    def _finding(self, part: Experiment) -> Finding:
        where, missing = str(part) or "all tasks", self._unmeasured(part)
        try:
            return Finding(where=where, missing=missing) if missing else replace(self.decide(part), where=where)
        except NotMeasuredError as error:
            return Finding(where=where, missing=str(error))

    def _unmeasured(self, part: Experiment) -> str:
        """Why tables of the claim have no rows for a part of the experiment; empty if all have."""
        stages = dict.fromkeys(table_of(row).stage for row in self.tables if part[row].empty)
        return "; ".join(dict.fromkeys(part.missing(stage) or f"{stage} has no rows" for stage in stages))


def claim(
    id: str,  # noqa: A002 - the field's name
    section: Section,
    statement: str,
    *,
    rule: str,
    why: str,
    tables: tuple[type, ...],
    premise: str = "",
    parts: Callable[[Experiment], Iterable[Experiment]] = Experiment.cells,
    needs: tuple[Need, ...] = (),
    proviso: str = "",
    simulation: Simulation | None = None,
    algorithm: str = "",
) -> Callable[[Decide], Claim]:
    """Declare a claim that the decorated function decides; `premise` is appended to the rule."""
    needs = (algorithm_in_use(algorithm), *needs) if algorithm else needs
    rule = f"{rule} Premise: {premise}" if premise else rule

    def declare(decide: Decide) -> Claim:
        return Claim(id, section, statement, rule, why, tables, decide, parts, needs, proviso, simulation, algorithm)

    return declare


def later(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of snapshots after the initial policy."""
    return rows[rows["iteration"] > 0]


def agents_mean(rows: pd.DataFrame, column: str) -> "pd.Series[float]":
    """The mean of a column for each agent, without NaN."""
    return rows.groupby("agent")[column].mean().dropna()


def change(rows: pd.DataFrame, column: str) -> "pd.Series[float]":
    """The change of a column from the first iteration to the last, for each agent."""
    wide = rows.pivot(index="agent", columns="iteration", values=column)  # noqa: PD010 - a double row is an error
    return (wide[wide.columns.max()] - wide[wide.columns.min()]).dropna()


def improvement(evaluation: pd.DataFrame, statistics: Statistics) -> Part:
    """The premise that agents improve: their evaluated returns rise from the first studied snapshot to the last.

    Raises:
        NotMeasuredError: the two are the same.
    """
    rows = select(evaluation, actions="sampled")
    if count(rows, "iteration") < 2:
        raise NotMeasuredError("needs two studied snapshots: scales.<scale>.checkpoint.fractions")
    quantity, episodes = "rise of the return over training", int(rows["episodes"].sum())
    values = change(rows, "mean_return")
    return inequality(quantity, values, "above", 0.0, statistics, {"episodes": episodes}, premise=True)


def count(rows: pd.DataFrame, column: str) -> int:
    """The number of different values in a column."""
    return len(distinct(rows, column))


def required(rows: pd.DataFrame, missing: str) -> pd.DataFrame:
    """The rows of a table.

    Raises:
        NotMeasuredError: there are none; `missing` says what is needed.
    """
    if rows.empty:
        raise NotMeasuredError(missing)
    return rows
