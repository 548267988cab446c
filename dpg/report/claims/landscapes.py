"""Claims L1 and L2: noise of the reward landscape (paper, section 2.3 and figures 6, 25, 26)."""

import pandas as pd

from dpg.report.claims import needs
from dpg.report.claims.claim import LATER, NO_LATER, agents_mean, claim, count, later, required
from dpg.report.claims.simulation import SimulatedEffect, one_number
from dpg.report.claims.verdicts import Finding, Part, Side, inequality
from dpg.report.experiment import Experiment, select
from dpg.tables.landscape import Resolution
from dpg.tables.table import Section

HALF = 0.5
MANY = 10  # times T per point
_LATER_AT_T = (needs.agents("landscape"), needs.later_studied, needs.t_among("landscape", "update_pairs"))


@claim(
    "L1",
    Section.LANDSCAPES,
    "With few trajectories the reward landscape cannot tell good points from bad.",
    rule=f"Share of pairs of grid points whose order is resolved from T pairs per point below {HALF}, on landscapes of "
    f"updates from T pairs, with the errors of points that do not share their noise. {LATER}",
    why="Below a half, the order of most pairs of points is unknown. A trainer's policies meet states and action noise "
    "of their own; where points share both, more pairs are resolved than a trainer could resolve. The paper's "
    "low-sample panel has T = 2,000.",
    tables=(Resolution,),
    needs=(*_LATER_AT_T, needs.few_pairs_per_point),
    simulation=one_number(SimulatedEffect("below", HALF, 0.2, 0.1), of=lambda budget: budget.landscape.agents),
)
def few_cannot_tell(cell: Experiment) -> Finding:
    rows = _resolutions(cell)
    least = rows[rows["budget_pairs"] <= cell.timesteps]
    required(least, f"needs landscape.concentration of {cell.timesteps:,}")
    return Finding((_resolved(cell, least, "below"),), caveat=_one_agent(_largest(least)))


@claim(
    "L2",
    Section.LANDSCAPES,
    "With many it is smooth.",
    rule=f"From the most pairs per point, at least {MANY} T: share of resolved pairs of points above {HALF}, and noise "
    f"in the squared differences of neighbours below {HALF}, with errors as for L1. {LATER}",
    why="The order of most pairs of points is known, and most of the difference between neighbours is terrain. The "
    "paper's panels have 1, 10 and 50 times T.",
    tables=(Resolution,),
    needs=(*_LATER_AT_T, needs.at_least("landscape", "pairs_per_point", MANY)),
    simulation=one_number(
        SimulatedEffect("above", HALF, 0.8, 0.1),
        SimulatedEffect("below", HALF, 0.2, 0.1),
        of=lambda budget: budget.landscape.agents,
    ),
)
def many_are_smooth(cell: Experiment) -> Finding:
    needed, rows = MANY * cell.timesteps, _resolutions(cell)
    enough = rows[rows["budget_pairs"] >= needed]
    required(enough, f"needs landscape.pairs_per_point of at least {MANY} T = {needed:,}")
    at = _largest(enough)
    quantity = f"noise in the differences of neighbours from {_pairs(at)}"
    noise = inequality(quantity, agents_mean(at, "own_noise_share"), "below", HALF, cell.statistics, _points(at))
    return Finding((_resolved(cell, enough, "above"), noise), caveat=_one_agent(at))


def _resolutions(cell: Experiment) -> pd.DataFrame:
    """The resolution of landscapes at later snapshots, around updates from T pairs."""
    return required(select(later(cell[Resolution]), update_pairs=cell.timesteps), NO_LATER)


def _largest(rows: pd.DataFrame) -> pd.DataFrame:
    return select(rows, budget_pairs=rows["budget_pairs"].max())


def _pairs(at: pd.DataFrame) -> str:
    return f"{at['budget_pairs'].iloc[0]:,} pairs each"


def _resolved(cell: Experiment, rows: pd.DataFrame, side: Side) -> Part:
    """The share of pairs of points that the largest of some budgets resolves."""
    at = _largest(rows)
    quantity = f"share of pairs of points resolved from {_pairs(at)}"
    return inequality(quantity, agents_mean(at, "own_resolved_share"), side, HALF, cell.statistics, _points(at))


def _points(rows: pd.DataFrame) -> dict[str, int]:
    return {
        "snapshots": count(rows, "iteration"),
        "pairs of points": int(rows["point_pairs"].min()),
        "trajectories per point, at least": int(rows["trajectories"].min()),
    }


def _one_agent(rows: pd.DataFrame) -> str:
    """The caveat that one agent's landscapes decide nothing."""
    return "" if count(rows, "agent") > 1 else "one agent has no interval: raise landscape.agents to 2 or more"
