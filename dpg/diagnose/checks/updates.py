"""What whole policy updates do to the reward."""

import math
from collections.abc import Sequence

from dpg.diagnose import figures
from dpg.diagnose.evidence import CONFIDENCE, RESAMPLES, Evidence, UnmeasuredError
from dpg.diagnose.findings import Effect, Range, check
from dpg.probes.gain_tables import interval
from dpg.probes.update_gain import Gains
from dpg.runtime.schema import Statistics

STATISTICS = Statistics(confidence=CONFIDENCE, resample="estimates", resamples=RESAMPLES)


def measured_gains(evidence: Evidence) -> Gains:
    """The updates.

    Raises:
        UnmeasuredError: they do nothing.
    """
    assert evidence.updates is not None
    if evidence.updates.unmoved.all():
        raise UnmeasuredError("updates leave the policy where it is: the recipe's learning rate has run out")
    return evidence.updates


def _gain(evidence: Evidence, quantity: str, label: str, acceptable: Range | None = None, unit: str = "") -> Effect:
    """The mean of a quantity over whole updates, which are the units."""
    gains = measured_gains(evidence)
    sizes = {"updates": len(gains.own_gain), "episodes each": gains.before.shape[1], "pairs": int(gains.pairs.sum())}
    return Effect(label, interval([gains], quantity, STATISTICS, evidence.plan.seed), sizes, acceptable, unit)


@check(
    name="updates",
    question="Do whole updates raise the reward?",
    needs=("updates",),
    parts=("policy update",),
    rule="found if whole updates, from batches of training's size, lower the return on average",
    why="Training does this next. Episodes before and after an update are run from the same seeds.",
    remedies=(
        "If the gain of the surrogate is noise (see fitted noise): smaller steps, or more pairs for each update.",
        "If it holds and the return falls: the advantages mislead; see value error and time limit, or lower gamma.",
        "Stop here: the best agent of this recipe may be behind it.",
    ),
    draw=figures.updates,
)
def reward_gains(evidence: Evidence) -> Sequence[Effect]:
    """Of whole updates from batches of training's size."""
    return [
        _gain(evidence, "relative reward", "change of the return by a whole update", (0.0, math.inf), "%"),
        _gain(evidence, "lowering share", "share of updates that lower it"),
    ]


@check(
    name="fitted noise",
    question="Does what an update gains hold on fresh pairs?",
    needs=("updates",),
    parts=("policy update",),
    rule="found if less than a tenth of the surrogate's gain is there on a held-out batch of as many pairs",
    why="An update climbs the surrogate of its own batch. What a fresh batch from the same policy does not show is "
    "fitted noise: it moves the policy, and costs trust region, for nothing.",
    remedies=(
        "Fewer epochs, larger minibatches or a lower rate: they fit the batch less.",
        "More pairs for each update: gradient agreement says how many.",
        "If the return no longer rises, this is what convergence looks like: there is no signal left to fit.",
    ),
    draw=figures.updates,
)
def confirmed_gains(evidence: Evidence) -> Sequence[Effect]:
    """The gain on a held-out batch over that on the update's own."""
    if not measured_gains(evidence).own_gain.mean() > 0:
        raise UnmeasuredError("updates do not raise the surrogate of their own batch: there is no gain to confirm")
    label = "share of the surrogate's gain on an update's own batch that a held-out batch confirms"
    return [
        _gain(evidence, "confirmed share", label, (0.1, math.inf)),
        _gain(evidence, "own surrogate", "gain of the surrogate on the update's own batch"),
        _gain(evidence, "held-out surrogate", "gain of the surrogate on a held-out batch"),
    ]
