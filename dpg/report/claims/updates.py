"""Claims G6 and L3 to L6: effects of whole updates (paper, sections 2.1 and 2.3, figures 7, 8, 12, 16 to 24)."""

import pandas as pd

from dpg.report.claims import needs
from dpg.report.claims.claim import LATER, NO_LATER, NO_LATER_CURVE, agents_mean, claim, count, later, required
from dpg.report.claims.gradients import NOISY
from dpg.report.claims.simulation import SimulatedEffect, one_number
from dpg.report.claims.verdicts import Finding, Part, Side, inequality
from dpg.report.experiment import Experiment, select
from dpg.tables.table import Section
from dpg.tables.update_gain import SnapshotGain
from dpg.tables.update_step import UpdateAgreement

ORDERS = 100  # times T in an update: two orders of magnitude
RAISES = "the update raises the surrogate on its own batch."
_TRAINED = needs.agents("train")
_LATE_AND_LARGE = (_TRAINED, needs.later_studied, needs.at_least("update_gain", "update_pairs", ORDERS))
# In percent of the snapshot's return.
_GAIN, _LOSS = SimulatedEffect("above", 0.0, 5.0, 4.0), SimulatedEffect("below", 0.0, -3.0, 4.0)


@claim(
    "G6",
    Section.GRADIENTS,
    "The updates themselves vary as much.",
    rule=f"Mean pairwise cosine of whole updates from T pairs each below {NOISY}. {LATER}",
    why="As for G1.",
    tables=(UpdateAgreement,),
    needs=(_TRAINED, needs.later_in_curve),
    simulation=one_number(SimulatedEffect("below", NOISY, 0.2, 0.15)),
)
def varying_updates(cell: Experiment) -> Finding:
    rows = required(later(cell[UpdateAgreement]), NO_LATER_CURVE).dropna(subset="cosine")
    sizes = {"snapshots": count(rows, "iteration"), "updates": int(rows["updates"].sum())}
    quantity, cosines = "mean pairwise cosine of whole updates", agents_mean(rows, "cosine")
    return Finding((inequality(quantity, cosines, "below", NOISY, cell.statistics, sizes),))


@claim(
    "L3",
    Section.LANDSCAPES,
    "Early in training surrogate and reward align along the step.",
    rule="Reward after a full update minus that of the snapshot, mean over independent updates and agents, at the "
    "first studied snapshot, in every regime of update_gain.update_pairs: above 0.",
    premise=f"in each regime, {RAISES}",
    why="The step that training takes is the full one; beyond it PPO's clipped surrogate falls by construction. Zero "
    "separates gain from loss. The paper sees it in both regimes. At T pairs it is the exact opposite of L4.",
    tables=(SnapshotGain,),
    needs=(_TRAINED,),
    simulation=one_number(_GAIN),
)
def early_alignment(cell: Experiment) -> Finding:
    rows = required(cell[SnapshotGain], "needs updates from a studied snapshot: stage update_gain")
    first = select(rows, iteration=rows["iteration"].min())
    regimes = [_update(cell, some, "above") for _, some in first.groupby("update_pairs")]
    return Finding(tuple(part for parts in regimes for part in parts))


@claim(
    "L4",
    Section.LANDSCAPES,
    "Late in training, with few samples, they do not: the surrogate rises where the reward falls.",
    rule="The exact opposite of L3, from T pairs, at the last studied snapshot: reward after a full update minus that "
    "of the snapshot, below 0.",
    premise=RAISES,
    why="The paper claims a direction. A surface shows one update of one agent; the claim is about updates, and many "
    "decide it.",
    tables=(SnapshotGain,),
    needs=(_TRAINED, needs.later_studied, needs.t_among("update_gain", "update_pairs")),
    simulation=one_number(_LOSS),
)
def late_misalignment(cell: Experiment) -> Finding:
    at_t = select(_late(cell), update_pairs=cell.timesteps)
    required(at_t, f"needs common.timesteps = {cell.timesteps:,} among update_gain.update_pairs")
    return Finding(_update(cell, at_t, "below"))


@claim(
    "L5",
    Section.LANDSCAPES,
    "TRPO's step from many samples aligns again.",
    rule="TRPO: as L3, at the last studied snapshot, for updates from the most pairs of update_gain.update_pairs, at "
    f"least {ORDERS} T.",
    why="As L3. The paper speaks of several orders of magnitude more samples: two at the least.",
    tables=(SnapshotGain,),
    algorithm="trpo",
    needs=_LATE_AND_LARGE,
    simulation=one_number(_GAIN),
)
def trpo_aligns_again(cell: Experiment) -> Finding:
    return _many_pairs(cell, "above")


@claim(
    "L6",
    Section.LANDSCAPES,
    "PPO's does not, even then.",
    rule="PPO: as L4, its premise included, for updates from the most pairs of update_gain.update_pairs, at least "
    f"{ORDERS} T.",
    why="The paper sees the step lead to lower reward even in that regime.",
    tables=(SnapshotGain,),
    algorithm="ppo",
    needs=_LATE_AND_LARGE,
    simulation=one_number(_LOSS),
)
def ppo_does_not(cell: Experiment) -> Finding:
    return _many_pairs(cell, "below")


def _many_pairs(cell: Experiment, side: Side) -> Finding:
    """L5 or L6: the last snapshot, with updates from the most pairs, if these are enough."""
    needed, rows = ORDERS * cell.timesteps, _late(cell)
    most = int(rows["update_pairs"].max())
    enough = rows[rows["update_pairs"] == max(most, needed)]
    required(enough, f"needs update_gain.update_pairs of at least {ORDERS} T = {needed:,}; the most are {most:,}")
    return Finding(_update(cell, enough, side))


def _late(cell: Experiment) -> pd.DataFrame:
    """Gains of updates from the last studied snapshot, which must not be the initial policy."""
    rows = cell[SnapshotGain]
    return required(later(select(rows, iteration=rows["iteration"].max())), NO_LATER)


def _update(cell: Experiment, rows: pd.DataFrame, side: Side) -> tuple[Part, Part]:
    """The gain in reward of updates of one iteration and regime, given that they raise the surrogate."""
    reward, own = select(rows, quantity="reward"), select(rows, quantity="own surrogate")
    update = f"of an update from {int(reward['update_pairs'].iloc[0]):,} pairs"
    sizes = {"updates": int(reward["updates"].sum()), "episodes per update": int(reward["episodes"].min())}
    gain, rise = agents_mean(reward, "mean"), agents_mean(own, "mean")
    return (
        inequality(f"gain in reward {update}", gain, side, 0.0, cell.statistics, sizes),
        inequality(f"gain in the surrogate {update}, own batch", rise, "above", 0.0, cell.statistics, premise=True),
    )
