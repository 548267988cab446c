"""How the agent acts: its returns, its exploration, and what its networks see."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from dpg.diagnose import figures
from dpg.diagnose.evidence import CONFIDENCE, RESAMPLES, Evidence, UnmeasuredError
from dpg.diagnose.findings import Effect, check, exactly, worst
from dpg.diagnose.measurements import EpisodeSums
from dpg.diagnose.records import RecordedReturns
from dpg.envs.make import action_space_of
from dpg.numerics.statistics import Interval, all_but_one, wider_interval

NO_RECORD = "the agent's folder has no record of returns (evaluations.npz, *.monitor.csv, or history.csv of a project)"
# Acceptable means, in standard deviations, and ratios of standard deviations: of a normaliser that saw training, of one
# of ours that does nothing, and of an agent that another library trained without one.
KNOWN, LOST, NEVER_THERE = ((-3.0, 3.0), (0.0, 3.0)), ((-1.0, 1.0), (1 / 3, 3.0)), ((-10.0, 10.0), (0.0, 10.0))


@check(
    name="returns",
    question="Does the agent still earn what its training recorded?",
    needs=("returns",),
    rule="found if fresh episodes earn at least 25 % less than the record, with actions of the same kind",
    why="Training and evaluation of one agent differ by less; a loss of a quarter means that it is not the same agent "
    "in the same task.",
    remedies=(
        "Check that the observation normaliser of the end of training is loaded with the agent.",
        "Check the task's version and its wrappers: the dynamics may not be those of training.",
        "Check that the file is the last or the best checkpoint, as the record is.",
    ),
    draw=figures.returns,
)
def returns_against_record(evidence: Evidence) -> Sequence[Effect]:
    """Each record, and fresh episodes with actions of the same kind."""
    if not evidence.records:
        raise UnmeasuredError(NO_RECORD)
    return [_against(evidence, record) for record in evidence.records]


def _against(evidence: Evidence, record: RecordedReturns) -> Effect:
    fresh, then = evidence.returns[record.actions].return_[0], record.returns
    rng = evidence.generator(f"record {record.what}")
    level = abs(float(then.mean())) or 1.0
    resampled = [each[rng.integers(0, len(each), (RESAMPLES, len(each)))].mean(axis=1) for each in (fresh, then)]
    without = [each[all_but_one(len(each))].mean(axis=1) / level for each in (fresh, then)]
    change = float(fresh.mean() - then.mean()) / level
    interval = wider_interval(change, (resampled[0] - resampled[1]) / level, without, CONFIDENCE)
    quantity = f"fresh {record.actions} returns ({fresh.mean():,.5g}) against {record.what} ({then.mean():,.5g})"
    sizes = {"episodes": len(fresh), "recorded": len(then)}
    return Effect(quantity, Interval(*(100 * end for end in interval)), sizes, (-25.0, math.inf), "% of the record")


@check(
    name="exploration",
    question="What does exploration cost?",
    needs=("returns",),
    rule="found if sampled actions earn less than half of what deterministic ones do",
    why="All that training sees comes from sampled actions: an agent that its own noise topples learns about toppling.",
    remedies=(
        "Lower the initial log standard deviation, or the entropy bonus.",
        "Bound the log standard deviations, or let them fall over training.",
    ),
)
def exploration_gap(evidence: Evidence) -> Sequence[Effect]:
    """Sampled less deterministic returns, episode by episode from the same seeds."""
    sampled, deterministic = (evidence.returns[actions].return_[0] for actions in ("sampled", "deterministic"))
    level = abs(float(deterministic.mean())) or 1.0
    gap = evidence.mean(100 * (sampled - deterministic) / level, "exploration")
    plain = [
        Effect(f"{actions} return", evidence.mean(each, actions), {"episodes": len(each)})
        for actions, each in (("sampled", sampled), ("deterministic", deterministic))
    ]
    quantity, unit = "sampled less deterministic return", "% of the deterministic return"
    return [Effect(quantity, gap, {"episodes": len(sampled)}, (-50.0, math.inf), unit), *plain]


def mean_of(sums: EpisodeSums, index: int, rows: Int[np.ndarray, "B n"]) -> Float[np.ndarray, " B"]:
    """The mean of one normalised observation over the pairs of some episodes."""
    return sums.z[rows, index].sum(axis=1) / sums.pairs[rows].sum(axis=1)


def spread_of(sums: EpisodeSums, index: int, rows: Int[np.ndarray, "B n"]) -> Float[np.ndarray, " B"]:
    """Its standard deviation."""
    squared = sums.z_squared[rows, index].sum(axis=1) / sums.pairs[rows].sum(axis=1)
    return np.sqrt(np.maximum(squared - mean_of(sums, index, rows) ** 2, 0))


@check(
    name="normaliser",
    question="Do the networks see observations in the units that they were trained with?",
    needs=("streams",),
    rule="found if the visited observations of a dimension lie 3 stored standard deviations from the stored mean, or "
    "spread 3 times as wide as stored; with a normaliser that does nothing (mean 0, variance 1), if their mean is not "
    "within 1 of 0 or their spread not within a factor 3 of 1; beyond 10 for an agent that came without any",
    why="A running normaliser has seen what the agent visits: means stay within its spread. One that does nothing, on "
    "observations that are not standardised, was lost between training and here, or never there.",
    remedies=(
        "Load the normaliser that was saved with the agent (vecnormalize.pkl, obs_rms).",
        "If training had none: train with one, or scale the observations by hand.",
        "If it is the agent's own: the agent has left the states that its statistics come from; let them forget.",
    ),
    draw=figures.normalizer,
)
def normalizer_drift(evidence: Evidence) -> Sequence[Effect]:
    """Means and standard deviations of normalised observations, a dimension at a time; the worst of each stand."""
    sums, moments = evidence.episodes, evidence.snapshot.state.obs_moments
    is_identity = bool((moments.mean == 0).all() and (moments.variance == 1).all())
    units, dimensions = sums.z.shape
    # Bonferroni: all dimensions together raise as few false alarms as one.
    confidence = 1 - (1 - CONFIDENCE) / (2 * dimensions)
    drift_range, spread_range = KNOWN
    if is_identity:
        drift_range, spread_range = LOST if evidence.snapshot.source is None else NEVER_THERE
    drifts, spreads = [], []
    for index in range(dimensions):
        where, unit = f"observation {index} of {dimensions}", "stored standard deviations"
        drift, spread = (
            evidence.statistic(partial(moment, sums, index), units, f"normaliser {index}", confidence)
            for moment in (mean_of, spread_of)
        )
        drifts.append(Effect(f"mean of {where}", drift, sums.sizes, drift_range, unit))
        spreads.append(Effect(f"spread of {where}", spread, sums.sizes, spread_range, unit))
    clipped = evidence.statistic(
        lambda rows: sums.obs_clipped[rows].sum(axis=1) / sums.pairs[rows].sum(axis=1), units, "clipped observations"
    )
    return [worst(drifts), worst(spreads), Effect("share of observations that are clipped", clipped, sums.sizes)]


@check(
    name="clipped actions",
    question="Does the task execute the actions that the policy draws?",
    needs=("streams",),
    parts=("action bounds",),
    rule="found if more than half of the components of sampled actions lie beyond the bounds",
    why="The policy gradient counts the action that was drawn, the reward that of the bound: beyond it all actions are "
    "one, and their scores are noise. A standard deviation of half of the range clips a third by itself.",
    remedies=(
        "Lower the standard deviations (initial log_std, entropy bonus).",
        "Rescale the actions, or use a squashed (tanh) or Beta policy.",
        "Penalise actions beyond the bounds.",
    ),
)
def clipped_actions(evidence: Evidence) -> Sequence[Effect]:
    """The share of action components outside of the action space."""
    sums = evidence.episodes
    units, actions = sums.clipped.shape

    def share(rows: np.ndarray) -> np.ndarray:
        return sums.clipped[rows].sum(axis=(1, 2)) / (actions * sums.pairs[rows].sum(axis=1))

    interval = evidence.statistic(share, units, "clipped actions")
    return [Effect("share of action components beyond their bounds", interval, sums.sizes, (0.0, 0.5))]


@check(
    name="exploration noise",
    question="Is the noise of the actions of the size of their range?",
    needs=(),
    parts=("action bounds",),
    rule="found if a standard deviation is more than 1.5 times, or below a hundredth of, half of the action's range",
    why="At 1.5 half ranges half of the samples lie beyond the bounds whatever the mean. Below a hundredth nothing is "
    "tried any more, while the scores grow with one over the standard deviation.",
    remedies=(
        "Too wide: lower the initial log_std or the entropy bonus; check that actions are scaled to [-1, 1].",
        "Too narrow: raise the entropy bonus, or bound log_std from below; the agent may have converged too early.",
    ),
)
def deviations(evidence: Evidence) -> Sequence[Effect]:
    """Standard deviations in units of half of the action's range: the policy's own numbers."""
    std, half = action_std(evidence), half_range(evidence)
    effects = [
        Effect(f"standard deviation of action {index}", exactly(float(each)), {}, (0.01, 1.5), "half ranges")
        for index, each in enumerate(std / half)
    ]
    return [worst(effects), *(effect for effect in effects if effect is not worst(effects))]


def action_std(evidence: Evidence) -> np.ndarray:
    """Of the policy, one entry per action."""
    state = evidence.snapshot.state
    return np.exp(state.architecture.policy_layout.unflatten(state.policy)["log_std"][0].astype(np.float64))


def half_range(evidence: Evidence) -> np.ndarray:
    """Half of the distance between the bounds of each action."""
    recipe = evidence.snapshot.recipe
    space = action_space_of(recipe.env_id, recipe.modules)
    return (space.high.astype(np.float64) - space.low) / 2
