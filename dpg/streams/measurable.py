"""Which measurements a task or the parameters rule out, or a scale leaves out; known before a run, used by the stages.

A reason states first what is needed, then why; it is empty if the measurement is possible.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

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


def ruled_out(params: Params, env_id: str, limit: int | None) -> dict[str, str]:
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


def ablation(params: Params, algorithm: str) -> str:
    """Why agents are not trained once more without a baseline."""
    chosen = params.budget.ablation
    if reason := value_net(params.common):
        return reason
    if chosen.includes(algorithm):
        return ""
    return f"needs {algorithm} among scales.{params.scale}.ablation.algorithms ({_listed(chosen.algorithms)})"


def regimes(params: Params, env_id: str) -> str:
    """Why sample sizes and learning rates are not varied on a task."""
    chosen = params.budget.regimes
    if chosen.includes(env_id):
        return ""
    return f"needs {env_id} among scales.{params.scale}.regimes.envs ({_listed(chosen.envs)})"


def _listed(chosen: Sequence[str]) -> str:
    return ", ".join(chosen) or "none so far"


def not_measured(params: Params, env_id: str, limit: int | None, algorithm: str) -> dict[str, str]:
    """The stages that will not measure anything on a task with an algorithm, with their reasons."""
    left_out = {"ablation": ablation(params, algorithm), "regimes": regimes(params, env_id)}
    return ruled_out(params, env_id, limit) | {stage: reason for stage, reason in left_out.items() if reason}


def messages(params: Params, limits: Mapping[str, int | None]) -> Iterator[str]:
    """A line for every task and reason, with the affected stages; `limits` are the tasks' time limits.

    The line names the algorithms if not all are affected.
    """
    for env_id, limit in limits.items():
        affected: dict[str, dict[str, list[str]]] = {}  # algorithms by reason and stage
        for algorithm in params.algorithms:
            for stage, reason in not_measured(params, env_id, limit, algorithm).items():
                affected.setdefault(reason, {}).setdefault(stage, []).append(algorithm)
        for reason, stages in affected.items():
            algorithms = next(iter(stages.values()))
            which = "" if len(algorithms) == len(params.algorithms) else f", {', '.join(algorithms)}"
            yield f"{env_id}{which}: {', '.join(stages)} will not be measured: {reason}"
