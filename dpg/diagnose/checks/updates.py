"""What whole policy updates do to the reward."""

import math
from collections.abc import Sequence

from dpg.diagnose import figures
from dpg.diagnose.evidence import CONFIDENCE, RESAMPLES, Evidence, UnmeasuredError
from dpg.diagnose.findings import Check, Effect
from dpg.probes.gain_tables import interval
from dpg.runtime.schema import Statistics

STATISTICS = Statistics(confidence=CONFIDENCE, resample="estimates", resamples=RESAMPLES)


def update_gains(evidence: Evidence) -> Sequence[Effect]:
    """Of whole updates from batches of training's size."""
    gains = evidence.gains
    if gains is None:
        raise UnmeasuredError(evidence.missing["updates"])
    sizes = {"updates": len(gains.own_gain), "episodes each": gains.before.shape[1], "pairs": int(gains.pairs.sum())}
    effects = []
    for quantity, label, unit in (
        ("relative reward", "change of the return by a whole update", "%"),
        ("lowering share", "share of updates that lower it", ""),
        ("own surrogate", "gain of the surrogate on the update's own batch", ""),
        ("held-out surrogate", "gain of the surrogate on a held-out batch", ""),
    ):
        found = interval([gains], quantity, STATISTICS, evidence.plan.seed)
        acceptable = (0.0, math.inf) if quantity == "relative reward" else None
        effects.append(Effect(label, found, sizes, acceptable, unit))
    return effects


UPDATES = Check(
    name="updates",
    question="Do whole updates raise the reward?",
    needs=("updates",),
    parts=("policy update",),
    measure=update_gains,
    rule="found if whole updates, from batches of training's size, lower the return on average",
    why="Training does this next. A gain on its own batch that a held-out one does not confirm is fitted noise; one "
    " that it confirms while the return falls is a surrogate that misleads.",
    remedies=(
        "Not confirmed: take smaller steps (rate, epochs, clip), or more pairs for each update.",
        "Confirmed, and the return falls: the advantages mislead; see value error and time limit, or lower gamma.",
        "Stop here: the best agent of this recipe may be behind it.",
    ),
    draw=figures.updates,
)
