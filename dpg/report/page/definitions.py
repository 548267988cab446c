"""Errors of value nets against the returns by two definitions, and of hindsight by one of them, for each agent."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from dpg.report.claims.claim import later
from dpg.report.experiment import Experiment, select
from dpg.tables.value import PredictionError


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


def by_definition(experiment: Experiment) -> Iterator[ByDefinition]:
    """One row per agent that has snapshots after the initial policy."""
    for cell in experiment.cells():
        rows = select(later(cell[PredictionError]), split="heldout", target="returns")
        for agent, own in rows.groupby("agent"):
            yield ByDefinition(str(cell), int(str(agent)), *_numbers(own))


def _numbers(rows: pd.DataFrame) -> tuple[float, float, float, float, float]:
    columns = ("trimmed_relative_error", "release_error", "hindsight_error", "release_error_known")
    returns, release, hindsight, known = (float(rows[column].mean()) for column in columns)
    pairs = int(rows["release_pairs"].sum())
    share = int(rows["hindsight_pairs"].sum()) / pairs if pairs else float("nan")
    return returns, release, hindsight, share, known
