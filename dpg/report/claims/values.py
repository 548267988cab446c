"""Claims V1 and V2: errors of value nets (paper, section 2.2 and figures 4, 13, 14)."""

import math

import pandas as pd

from dpg.report.aggregate import interval_over_agents
from dpg.report.claims import needs
from dpg.report.claims.claim import LATER, NO_LATER_CURVE, agents_mean, claim, count, later, required
from dpg.report.claims.simulation import SimulatedEffect, one_number
from dpg.report.claims.verdicts import Finding, Part, inequality, spread
from dpg.report.experiment import Experiment, select
from dpg.runtime.schema import Statistics
from dpg.tables.table import Section
from dpg.tables.value import PredictionError

LOW_ERROR = 0.25
ERROR = "trimmed_relative_error"
_LATER = (needs.agents("train"), needs.later_in_curve)


@claim(
    "V1",
    Section.VALUES,
    "Value nets fit their own target well, and that generalises to pairs that they have not seen.",
    rule=f"Relative error against V_old + A_GAE, 5 % trimmed, below {LOW_ERROR}, on training pairs and on held-out "
    f"ones. {LATER}",
    why="Half of the 50 % that the paper calls high. Trimmed, since targets near zero make the plain mean explode.",
    tables=(PredictionError,),
    needs=_LATER,
    simulation=one_number(*[SimulatedEffect("below", LOW_ERROR, 0.1, 0.03)] * 2),
)
def fits_its_target(cell: Experiment) -> Finding:
    rows = required(later(cell[PredictionError]), NO_LATER_CURVE)

    def part(split: str, where: str) -> Part:
        own = select(rows, split=split, target="gae")
        quantity = f"relative error against its own target on {where} pairs"
        return inequality(quantity, agents_mean(own, ERROR), "below", LOW_ERROR, cell.statistics, _sizes(own))

    return Finding((part("train", "training"), part("heldout", "held-out")))


@claim(
    "V2",
    Section.VALUES,
    "They are far, some 50 %, from the true returns.",
    rule=f"Relative error against the discounted return, 5 % trimmed, on held-out pairs: above {LOW_ERROR}, and above "
    f"that against their own target. {LATER}",
    why="Half of 50 %, as for V1. The second part is the drop between the two that the paper points at.",
    tables=(PredictionError,),
    needs=_LATER,
    simulation=one_number(SimulatedEffect("above", LOW_ERROR, 0.5, 0.1), SimulatedEffect("above", 0.0, 0.4, 0.1)),
)
def misses_the_returns(cell: Experiment) -> Finding:
    rows = required(later(cell[PredictionError]), NO_LATER_CURVE)
    returns, own = (select(rows, split="heldout", target=target) for target in ("returns", "gae"))
    errors, sizes = agents_mean(returns, ERROR), _sizes(returns)
    more = (errors - agents_mean(own, ERROR)).dropna()
    quantity = "relative error against the returns on held-out pairs"
    parts = (
        inequality(quantity, errors, "above", LOW_ERROR, cell.statistics, sizes),
        inequality(f"{quantity}, minus that against its own target", more, "above", 0.0, cell.statistics, sizes),
    )
    return Finding(parts, note=_by_release(returns, cell.statistics))


def _by_release(returns: pd.DataFrame, statistics: Statistics) -> str:
    """The errors of the same nets, and of a predictor that knows the returns, by the authors' formula."""
    net, known, hindsight = (
        interval_over_agents(agents_mean(returns, column), statistics)
        for column in ("release_error", "release_error_known", "hindsight_error")
    )
    if not math.isfinite(net.mean):
        return ""
    text = f"by the formula of the authors' release the nets' error is {spread(net)}"
    if not math.isfinite(hindsight.mean):
        return text
    text += f", and that of a predictor that knows the returns {spread(hindsight)}"
    share = returns["hindsight_pairs"].sum() / returns["release_pairs"].sum()
    if share < 1:
        text += f" (on the {share:.1%} of the pairs whose return is known; the nets' error there is {spread(known)})"
    return f"{text}: so part of the paper's 50 % may come from its definition"


def _sizes(rows: pd.DataFrame) -> dict[str, int]:
    rows = rows.dropna(subset=ERROR)
    return {"snapshots": count(rows, "iteration"), "pairs": int(rows["pairs"].sum())}
