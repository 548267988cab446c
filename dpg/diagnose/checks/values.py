"""The value net against true values: means of fresh rollouts from states that are set in the simulator."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from dpg.diagnose import figures
from dpg.diagnose.evidence import Evidence, UnmeasuredError
from dpg.diagnose.findings import Effect, Range, check
from dpg.diagnose.measurements import OTHER_LIMIT
from dpg.numerics.ratios import ratio
from dpg.numerics.statistics import root
from dpg.probes import state_errors

Rows = Int[np.ndarray, "B n"]
LEAST_UNIT_RATIO = 3.0  # of the reward units: nearer ones cannot be distinguished
LARGEST_ERROR = 0.5


def _effect(
    evidence: Evidence, quantity: str, measure: state_errors.Measure, acceptable: Range, *, rooted: bool = False
) -> Effect:
    """A measure of the value net's values, the true ones and their standard errors; states are the units."""
    found = evidence.states
    assert found is not None
    value, mean, error = found.value, found.mean, found.error
    interval = evidence.statistic(lambda rows: measure(value[rows], mean[rows], error[rows]), len(mean), quantity)
    sizes = {"states": len(mean), "rollouts each": found.own.shape[1], "pairs": found.pairs}
    return Effect(quantity, root(interval) if rooted else interval, sizes, acceptable)


@check(
    name="reward unit",
    question="Is the value net in the reward units that the recipe says?",
    needs=("states",),
    parts=("value net", "reward normaliser"),
    rule="found if the slope of the net's values on the true ones is nearer to the ratio of the units than to 1, on a "
    "logarithmic scale",
    why="Advantages are made of rewards and values: in two units they are rewards alone, or the value net alone.",
    remedies=(
        "Scale rewards by the statistics that the value net was trained with, or not at all, as in training.",
        "When going on with training: load the reward normaliser with the agent, and keep it on.",
    ),
)
def reward_unit(evidence: Evidence) -> Sequence[Effect]:
    """Where the net's slope lies between the two units, on a logarithmic scale."""
    state, config = evidence.snapshot.state, evidence.snapshot.recipe.config
    scale = float(state.return_moments.std[0, 0])
    if max(scale, 1 / scale) < LEAST_UNIT_RATIO:
        raise UnmeasuredError(f"raw and scaled rewards differ by a factor of {scale:.3g}: too similar to distinguish")
    away = math.log(scale) if config.reward_scaling else -math.log(scale)

    def position(value: np.ndarray, mean: np.ndarray, error: np.ndarray) -> np.ndarray:
        slope = ratio((value * mean).mean(axis=-1), state_errors.squared_value(mean, error))
        return np.log(np.where(slope > 0, slope, np.nan)) / away

    declared, other = ("scaled", "raw") if config.reward_scaling else ("raw", "scaled")
    quantity = f"unit of the value net: 0 is {declared} rewards, as declared, 1 is {other} (a factor of {scale:.3g})"
    return [_effect(evidence, quantity, position, (-math.inf, 0.5))]


@check(
    name="value error",
    question="Does the value net know what states are worth?",
    needs=("states",),
    parts=("value net",),
    rule="found if the error is more than half of the values themselves",
    why="Half is what the paper reports as far from the truth (arXiv:1811.02553, section 2.2); a fit that works is at "
    "a tenth to a fifth.",
    remedies=(
        "Train the value net more: more epochs, a higher rate, a larger net; check that it is trained at all.",
        "Check the units of rewards, and whether the observation normaliser is the one of training.",
        "Check gamma: a net of another discount is off by the ratio of the horizons.",
    ),
    draw=figures.values,
)
def value_error(evidence: Evidence) -> Sequence[Effect]:
    """Root mean square error over that of the true values."""
    quantity = "root mean square error, relative to that of the true values"
    return [_effect(evidence, quantity, state_errors.squared_relative_error, (0.0, LARGEST_ERROR), rooted=True)]


@check(
    name="value bias",
    question="Is the value net too high or too low throughout?",
    needs=("states",),
    parts=("value net",),
    rule="found if the mean error is more than a quarter of the size of the values",
    why="Within an episode a constant error falls out of the normalised advantage; where an episode terminates it does "
    "not: ends look too bad, or too good, by all of it.",
    remedies=(
        "Too low while returns rise: the value net lags; train it more for each batch.",
        "Too high or low for good: check what follows a termination or a time limit, and the units of rewards.",
    ),
)
def value_bias(evidence: Evidence) -> Sequence[Effect]:
    """Mean error over the root mean square of the true values."""

    def bias(value: np.ndarray, mean: np.ndarray, error: np.ndarray) -> np.ndarray:
        size = np.sqrt(np.maximum(state_errors.squared_value(mean, error), 0))
        return ratio((value - mean).mean(axis=-1), size)

    return [_effect(evidence, "mean error, relative to the size of the true values", bias, (-0.25, 0.25))]


@check(
    name="explained variance",
    question="Does the value net tell good states from bad?",
    needs=("states",),
    wants=("streams",),
    parts=("value net",),
    rule="found if it explains less than a quarter of the variance of the true values over visited states",
    why="Differences between states are all that a baseline takes out of the gradient's noise. The variance that logs "
    "print is that of targets made with the net itself, and flatters it.",
    remedies=(
        "Train the value net more, or give it a network of its own.",
        "Check that the observation tells states apart: a net cannot see what is not in it, such as the time left.",
        "Near the end of training states may be worth the same: then little is left to explain, and little is lost.",
    ),
    draw=figures.values,
)
def explained_variance(evidence: Evidence) -> Sequence[Effect]:
    """Of the true values over states; and of V + A(lambda) over the pairs of streams, as training logs have it."""
    quantity = "share of the variance of the true values over states"
    found = [_effect(evidence, quantity, state_errors.explained_variance, (0.25, math.inf))]
    if evidence.streams is not None:
        sums = evidence.episodes

        def logged(rows: Rows) -> Float[np.ndarray, " B"]:
            pairs = sums.pairs[rows].sum(axis=1)
            (error, error2), (target, target2) = (
                (first[rows].sum(axis=1) / pairs, second[rows].sum(axis=1) / pairs)
                for first, second in ((sums.error, sums.error_squared), (sums.target, sums.target_squared))
            )
            return 1 - ratio(error2 - error**2, target2 - target**2)

        interval = evidence.statistic(logged, len(sums.pairs), "logged explained variance")
        found.append(Effect("of the value net's own targets, as training logs have it", interval, sums.sizes))
    return found


@check(
    name="time limit",
    question="Was the value net trained with the definition of a time limit that the recipe says?",
    needs=("states",),
    parts=("value net",),
    rule="found if the net fits the other definition better, at states from which a rollout can meet the limit",
    why="A limit that the agent does not see makes the same state worth two things. Where training cuts the return "
    "there, values near the limit are too low, and so are the advantages of actions that keep the agent alive.",
    remedies=(
        "Bootstrap where an episode was truncated (Gymnasium's `truncated`, SB3's TimeLimit.truncated).",
        "If the limit is part of the task: put the time left into the observation, and set time_limit to terminal.",
    ),
)
def time_limits(evidence: Evidence) -> Sequence[Effect]:
    """Squared relative errors under both definitions, at states from which a rollout can meet the limit."""
    found = evidence.states
    assert found is not None
    chosen = np.flatnonzero(found.reaches_limit)
    if len(chosen) < 3:
        raise UnmeasuredError(
            f"from {len(chosen)} of {len(found.own)} states a rollout can meet a time limit within the horizon: "
            "both definitions agree for this agent"
        )
    own_name = evidence.snapshot.recipe.common.time_limit
    value = found.value[chosen]
    own, other = (
        (each.mean(axis=1), np.asarray(stats.sem(each, axis=-1))) for each in (found.own[chosen], found.other[chosen])
    )

    def relative(truth: tuple[np.ndarray, np.ndarray], rows: Rows) -> Float[np.ndarray, " B"]:
        size = state_errors.squared_value(own[0][rows], own[1][rows])
        return ratio(state_errors.squared_error(value[rows], truth[0][rows], truth[1][rows]), size)

    whole = np.arange(len(chosen))[None]
    if min(relative(own, whole)[0], relative(other, whole)[0]) > LARGEST_ERROR**2:
        raise UnmeasuredError("the value net fits neither definition: see value error")
    sizes = {"states": len(chosen), "rollouts each": found.own.shape[1]}
    gap = evidence.statistic(lambda rows: relative(own, rows) - relative(other, rows), len(chosen), "time limits")
    both = [
        Effect(f"relative error if time limits {verb}", root(evidence.statistic(
            lambda rows, truth=truth: relative(truth, rows), len(chosen), name
        )), sizes)
        for name, verb, truth in (
            (own_name, DEFINITIONS[own_name], own), (OTHER_LIMIT[own_name], DEFINITIONS[OTHER_LIMIT[own_name]], other)
        )
    ]  # fmt: skip
    quantity = f"squared relative error under the agent's own definition ({own_name}) less that under the other"
    return [Effect(quantity, gap, sizes, (-math.inf, 0.0)), *both]


DEFINITIONS = {"bootstrap": "are not part of the task (bootstrap)", "terminal": "end it for good (terminal)"}
