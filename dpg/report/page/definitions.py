"""Errors of each agent's value nets by two definitions, and the error of hindsight by one of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from dpg.report.claims.claim import later
from dpg.report.experiment import Experiment, select
from dpg.tables.value import PredictionError


@dataclass(frozen=True)
class ByDefinition:
    """Errors of one agent's value nets on held-out pairs, means over its snapshots after the initial policy.

    `returns` is the 5 % trimmed relative error against the discounted return, and `release` the error by the formula of
    the authors' release. Where the return is known, on `known_share` of the pairs, `hindsight` is the error of the
    return itself by that formula, and `release_known` that of the net.
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
            pairs = own["release_pairs"].sum()
            yield ByDefinition(
                cell=str(cell),
                agent=int(str(agent)),
                returns=own["trimmed_relative_error"].mean(),
                release=own["release_error"].mean(),
                hindsight=own["hindsight_error"].mean(),
                known_share=own["hindsight_pairs"].sum() / pairs if pairs else float("nan"),
                release_known=own["release_error_known"].mean(),
            )
