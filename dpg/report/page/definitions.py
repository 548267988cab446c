"""How far value nets are from the returns by two definitions, and what one makes of hindsight, agent by agent."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from dpg.report.claims.cells import cells, later
from dpg.report.tables import Tables, select


@dataclass(frozen=True)
class ByDefinition:
    """Errors of one agent's value nets on held-out pairs, means over its snapshots after the initial policy.

    `returns` is the 5 % trimmed relative error against the discounted return, `release` the error by the formula of the
    authors' release, `hindsight` what that formula gives for the return itself, on `known_share` of the formula's
    pairs, and `release_known` the net's on the same.
    """

    cell: str
    agent: int
    returns: float
    release: float
    hindsight: float
    known_share: float
    release_known: float


def by_definition(tables: Tables) -> Iterator[ByDefinition]:
    """A row an agent that has snapshots after the initial policy."""
    for cell in cells(tables.history):
        rows = select(later(cell.of(tables.value)), split="heldout", target="returns")
        for agent, own in rows.groupby("agent"):
            yield ByDefinition(str(cell), int(str(agent)), *_numbers(own))


def _numbers(rows: pd.DataFrame) -> tuple[float, float, float, float, float]:
    columns = ("trimmed_relative_error", "release_error", "hindsight_error", "release_error_known")
    returns, release, hindsight, known = (float(rows[column].mean()) for column in columns)
    pairs = int(rows["release_pairs"].sum())
    share = int(rows["hindsight_pairs"].sum()) / pairs if pairs else float("nan")
    return returns, release, hindsight, share, known
