"""Operating characteristics of the claims' rules, by simulation (docs/claims.md has the table).

How often does a rule decide wrongly if the truth is on its threshold? How often does it support the claim if the truth
is the paper's effect? Simulated experiments have the sizes of a scale, and are decided by the claims' own intervals and
verdicts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dpg.report.claims import catalog
from dpg.report.claims.simulation import PAPER, THRESHOLD
from dpg.report.claims.verdicts import Verdict
from dpg.runtime.budgets import Budget
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed


@dataclass(frozen=True)
class Characteristics:
    """Shares of simulated experiments, for one rule at one scale; `sizes` describes an experiment.

    `false_supported` and `false_contradicted` are for a truth on the threshold. `power` is the share supported if the
    truth is the paper's effect.
    """

    claim: str
    scale: str
    sizes: str
    false_supported: float
    false_contradicted: float
    power: float


def measure(
    scale: str, budget: Budget, statistics: Statistics, experiments: int, ids: Sequence[str] = ()
) -> Iterator[Characteristics]:
    """The characteristics of these claims, or of all with a simulation, from this many experiments per truth."""
    for name, claim in catalog.claims().items():
        if claim.simulation is None or (ids and name not in ids):
            continue
        shares: dict[str, dict[Verdict, float]] = {}
        for where in (THRESHOLD, PAPER):
            rng = (Seed(0) / "characteristics" / name / scale / where).generator()
            verdicts = [claim.simulation.draw(budget, rng, where, statistics).verdict for _ in range(experiments)]
            shares[where] = {verdict: verdicts.count(verdict) / experiments for verdict in Verdict}
        at_threshold = shares[THRESHOLD]
        yield Characteristics(
            name,
            scale,
            claim.simulation.sizes(budget),
            at_threshold[Verdict.SUPPORTED],
            at_threshold[Verdict.CONTRADICTED],
            shares[PAPER][Verdict.SUPPORTED],
        )


def to_markdown(found: list[Characteristics]) -> str:
    """The table of docs/claims.md."""
    titles = ("claim", "scale", "an experiment has", "false supported", "false contradicted", "power")
    return f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}\n" + "".join(
        f"| {each.claim} | `{each.scale}` | {each.sizes} | {each.false_supported:.1%} | {each.false_contradicted:.1%} "
        f"| {each.power:.0%} |\n"
        for each in found
    )
