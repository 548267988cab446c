"""Which measurements a task and the parameters rule out; checked before a run and by the stages.

A reason states first what is needed, then why; it is empty if the measurement is possible.
"""

import math
from collections.abc import Iterator, Mapping

from dpg.runtime.schema import Common, Params
from dpg.streams.advantages import horizon

MAX_EXTRA_PAIRS = 100_000  # recorded beyond the scored pairs of a stream, which is held in memory
UNSEEN_SHARE = 0.1  # of the streams for V*, in each of the stopping and the held-out set
MIN_PAIRS = 20  # with a known return, in each of the three sets of streams for V*


def heldout_streams(streams: int) -> int:
    """How many of the streams for V* are held out; the stopping set has as many."""
    return max(1, round(UNSEEN_SHARE * streams))


def value_net(common: Common) -> str:
    """Why there is no value net to measure or to remove."""
    if common.baseline == "none":
        return "needs common.baseline = value: the agents are trained without a value net"
    return ""


def returns(common: Common, env_id: str, limit: int | None) -> str:
    """Why discounted returns are not known; `limit` is the task's time limit in pairs, if it has one.

    If the task truncates episodes before H pairs, only the returns of terminated episodes, the low ones, are known.
    """
    further = horizon(common.gamma)
    if common.time_limit == "bootstrap" and limit is not None and further >= limit:
        lower = "" if limit < 2 else f"common.gamma of at most {_highest(limit - 1):g} or "
        why = f"{env_id} truncates episodes after {limit:,}"
        return f"needs {lower}common.time_limit = terminal: {_known(common, further)}, and {why}"
    if further > MAX_EXTRA_PAIRS:
        needed = f"needs common.gamma of at most {_highest(MAX_EXTRA_PAIRS):g}"
        return f"{needed}: {_known(common, further)}, and no more than {MAX_EXTRA_PAIRS:,} are recorded"
    return ""


def _known(common: Common, further: int) -> str:
    return f"at common.gamma = {common.gamma:.12g} a return is known {further:,} pairs later"


def _highest(further: int) -> float:
    """The highest gamma, rounded down, with H <= `further`."""
    return math.floor(1e4 * 0.01 ** (1 / further)) / 1e4


def true_values(common: Common, env_id: str, limit: int | None, pairs: int) -> str:
    """Why V* cannot be fitted to `pairs` pairs, nor be a baseline."""
    streams = pairs // common.timesteps
    heldout = heldout_streams(streams)
    fewest = common.timesteps * min(heldout, streams - 2 * heldout)
    few = f"needs more than true_value.pairs = {pairs:,} in the scale: {fewest} are not {MIN_PAIRS} to fit or hold out"
    return value_net(common) or returns(common, env_id, limit) or (few if fewest < MIN_PAIRS else "")


def unmeasured(params: Params, env_id: str, limit: int | None) -> dict[str, str]:
    """The stages that cannot measure anything on a task, with their reasons."""
    common = params.common
    fit = true_values(common, env_id, limit, params.budget.true_value.pairs)
    reasons = {
        "ablation": value_net(common),
        "value": value_net(common) or returns(common, env_id, limit),
        "true_value": fit,
        "baselines": fit,
    }
    return {stage: reason for stage, reason in reasons.items() if reason}


def messages(params: Params, limits: Mapping[str, int | None]) -> Iterator[str]:
    """A line for every task and reason, with the affected stages; `limits` are the tasks' time limits."""
    for env_id, limit in limits.items():
        found = unmeasured(params, env_id, limit)
        for reason in dict.fromkeys(found.values()):
            stages = ", ".join(stage for stage, each in found.items() if each == reason)
            yield f"{env_id}: {stages} will not be measured: {reason}"
