"""What a task and the parameters keep from being measured: said before a run, and by the stages in it, in one way.

A reason says what is needed first, and then why; an empty one says that nothing is in the way.
"""

import math
from collections.abc import Iterator, Mapping

from dpg.runtime.schema import Common, Params
from dpg.streams.advantages import horizon

MOST_FURTHER = 100_000  # pairs that a stream is recorded beyond those scored: it is held whole in memory
UNSEEN_SHARE = 0.1  # of the streams for V*, in each of the two sets that it is not fitted to
MIN_PAIRS = 20  # with a known return: fewer say nothing, of the streams to fit as of those held out


def heldout_streams(streams: int) -> int:
    """How many of the streams for V* are held out; as many others decide when its fit stops."""
    return max(1, round(UNSEEN_SHARE * streams))


def value_net(common: Common) -> str:
    """Why there is no value net to measure, or to do without."""
    if common.baseline == "none":
        return "needs common.baseline = value: the agents are trained without a value net"
    return ""


def returns(common: Common, env_id: str, limit: int | None) -> str:
    """Why discounted returns are not known; `limit` is the task's limit of time in pairs, if it has one.

    Where a task truncates episodes before the horizon rule is met, only returns of episodes that terminated would be
    known: the low ones.
    """
    further = horizon(common.gamma)
    if common.time_limit == "bootstrap" and limit is not None and further >= limit:
        lower = "" if limit < 2 else f"common.gamma of at most {_highest(limit - 1):g} or "
        why = f"{env_id} truncates episodes after {limit:,}"
        return f"needs {lower}common.time_limit = terminal: {_known(common, further)}, and {why}"
    if further > MOST_FURTHER:
        needed = f"needs common.gamma of at most {_highest(MOST_FURTHER):g}"
        return f"{needed}: {_known(common, further)}, and no more than {MOST_FURTHER:,} are recorded"
    return ""


def _known(common: Common, further: int) -> str:
    return f"at common.gamma = {common.gamma:.12g} a return is known {further:,} pairs later"


def _highest(further: int) -> float:
    """A gamma, rounded down, whose returns are known after as many further pairs."""
    return math.floor(1e4 * 0.01 ** (1 / further)) / 1e4


def true_values(common: Common, env_id: str, limit: int | None, pairs: int) -> str:
    """Why V* cannot be fitted, or be a baseline, with so many `pairs` for it."""
    streams = pairs // common.timesteps
    heldout = heldout_streams(streams)
    fewest = common.timesteps * min(heldout, streams - 2 * heldout)
    few = f"needs more than true_value.pairs = {pairs:,} in the scale: {fewest} are not {MIN_PAIRS} to fit or hold out"
    return value_net(common) or returns(common, env_id, limit) or (few if fewest < MIN_PAIRS else "")


def unmeasured(params: Params, env_id: str, limit: int | None) -> dict[str, str]:
    """The stages that will measure nothing on a task, each with the reason."""
    common = params.common
    fit = true_values(common, env_id, limit, params.budget.true_value.pairs)
    reasons = {
        "ablation": value_net(common),
        "value": value_net(common) or returns(common, env_id, limit),
        "true_value": fit,
        "baselines": fit,
    }
    return {stage: reason for stage, reason in reasons.items() if reason}


def told(params: Params, limits: Mapping[str, int | None]) -> Iterator[str]:
    """A line for every task and reason, with the stages that it stops; `limits` are the tasks' limits of time."""
    for env_id, limit in limits.items():
        found = unmeasured(params, env_id, limit)
        for reason in dict.fromkeys(found.values()):
            stages = ", ".join(stage for stage, each in found.items() if each == reason)
            yield f"{env_id}: {stages} will not be measured: {reason}"
