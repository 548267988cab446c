"""Claims G1 to G5: quality of gradient estimates (paper, section 2.1 and figures 1, 2, 10, 11)."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import optimize, special

from dpg.numerics.statistics import Interval
from dpg.report.aggregate import two_sample_interval
from dpg.report.claims import needs
from dpg.report.claims.claim import (
    LATER,
    NO_LATER,
    NotMeasuredError,
    agents_mean,
    change,
    claim,
    count,
    improvement,
    later,
    required,
)
from dpg.report.claims.simulation import THRESHOLD, SimulatedEffect, Simulation, one_number
from dpg.report.claims.verdicts import Finding, Part, inequality
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.wording import counted
from dpg.runtime.budgets import Budget
from dpg.runtime.ids import family
from dpg.runtime.schema import Statistics
from dpg.tables.checkpoint import Evaluation
from dpg.tables.gradient import Noise, Similarity
from dpg.tables.table import Section
from dpg.tables.training import History

# E cos of two independent estimates is near s / (1 + s), with s the ratio of the gradient's squared length to an
# estimate's expected squared error: below a half there is more noise than gradient.
NOISY = 0.5
# The same s = 1, against the true gradient: E cos is near sqrt(s / (1 + s)).
NOISY_TRUE = math.sqrt(0.5)
# Least reliability of a true gradient: below, it is more noise than signal, and a correction is mostly noise.
RELIABLE = 0.5
GOOD = 0.9  # a cosine that is good enough, as the tables have it
SEVERAL = 3  # several times
SOMETIMES = 0.01
HARD, EASIER = "Humanoid", ("Hopper", "Walker2d")
AT_T = "pairwise cosine at {:,} pairs"
_ESTIMATES_AT_T = needs.t_among("gradient", "sizes")
_LATER_AT_T = (needs.agents("train"), needs.later_studied, _ESTIMATES_AT_T)
_TWO_AT_T = (needs.agents("train"), needs.two_studied, _ESTIMATES_AT_T)


@claim(
    "G1",
    Section.GRADIENTS,
    "Gradient estimates from as many pairs as training uses agree poorly, although the agents improve.",
    rule=f"Mean pairwise cosine of estimates from T pairs below {NOISY}. {LATER}",
    premise="the return rises from the first studied snapshot to the last.",
    why="Two estimates whose noise is as large as the gradient have an expected cosine of a half: below it an estimate "
    "is more noise than gradient. The initial policy is left out because the paper speaks of the time after the first "
    "steps.",
    tables=(Similarity, Evaluation),
    needs=_TWO_AT_T,
    proviso="the return rises",
    simulation=one_number(SimulatedEffect("below", NOISY, 0.2, 0.15)),
)
def poor_agreement(cell: Experiment) -> Finding:
    rows = _later_at_t(cell, "each other").dropna(subset="cosine")
    quantity = f"mean {AT_T.format(cell.timesteps)}"
    part = inequality(
        quantity, agents_mean(rows, "cosine"), "below", NOISY, cell.statistics, _sizes(rows, cell.timesteps)
    )
    return Finding((part, improvement(cell[Evaluation], cell.statistics)))


@claim(
    "G2",
    Section.GRADIENTS,
    "Agreement falls as training goes on.",
    rule="Pairwise cosine at T pairs at the last studied snapshot minus that at the first, for each agent: below 0.",
    why="The paper claims a direction, not a size.",
    tables=(Similarity,),
    needs=_TWO_AT_T,
    simulation=one_number(SimulatedEffect("below", 0.0, -0.4, 0.25)),
)
def falling_agreement(cell: Experiment) -> Finding:
    rows = _at_t(cell, "each other")
    if count(rows, "iteration") < 2:
        raise NotMeasuredError(f"needs two studied snapshots with estimates of {cell.timesteps:,} pairs")
    quantity = f"change of the {AT_T.format(cell.timesteps)}"
    changes = change(rows, "cosine")
    ends = rows["iteration"].isin([rows["iteration"].min(), rows["iteration"].max()])
    sizes = _sizes(rows[ends & rows["agent"].isin(changes.index)], cell.timesteps)
    part = inequality(quantity, changes, "below", 0.0, cell.statistics, sizes)
    return Finding((part,))


def _families(experiment: Experiment) -> dict[str, str]:
    """The experiment's tasks by family."""
    return {family(env): env for env in distinct(experiment[History], "env")}


def _algorithms(experiment: Experiment) -> Iterator[Experiment]:
    """One part for each algorithm; the whole experiment where a task is missing."""
    if not {HARD, *EASIER} <= _families(experiment).keys():
        yield experiment
        return
    for algorithm in distinct(experiment[History], "algorithm"):
        yield experiment.where(algorithm=algorithm)


HARDER, HARDER_SPREAD = -0.2, 0.1  # cosine on Humanoid minus that on another task


def _draw_tasks(budget: Budget, rng: np.random.Generator, where: str, statistics: Statistics) -> Finding:
    """Cosines on three tasks."""
    truths = {HARD: 0.0 if where == THRESHOLD else HARDER} | dict.fromkeys(EASIER, 0.0)
    noise = lambda: HARDER_SPREAD * rng.standard_normal(budget.train.agents)  # noqa: E731
    cosines = {name: pd.Series(0.3 + mean + noise()) for name, mean in truths.items()}
    return Finding(tuple(difference(cosines[HARD], cosines[name], name, 2000, statistics) for name in EASIER))


@claim(
    "G3",
    Section.GRADIENTS,
    "Agreement falls with the complexity of the task.",
    rule="Pairwise cosine at T pairs of one algorithm on Humanoid minus that on Hopper, and minus that on Walker2d: "
    f"both below 0. {LATER}",
    why="The paper sets Humanoid, its hard task, against the other two, and does not order those.",
    tables=(Similarity,),
    parts=_algorithms,
    needs=(needs.tasks(*EASIER, HARD), *_LATER_AT_T),
    simulation=Simulation(lambda budget: f"{counted(budget.train.agents, 'agent')} per task", _draw_tasks),
)
def harder_tasks(part: Experiment) -> Finding:
    envs = _families(part)
    if not {HARD, *EASIER} <= envs.keys():
        needed = f"needs envs Hopper, Walker2d and Humanoid; params has {', '.join(envs.values())}"
        raise NotMeasuredError(part.missing("train") or needed)

    def cosines(name: str) -> "pd.Series[float]":
        rows = later(_at_t(part.where(env=envs[name]), "each other")).dropna(subset="cosine")
        return agents_mean(required(rows, part.missing("train") or part.missing("gradient") or NO_LATER), "cosine")

    compared = (difference(cosines(HARD), cosines(name), name, part.timesteps, part.statistics) for name in EASIER)
    return Finding(tuple(compared))


def difference(hard: pd.Series, easier: pd.Series, name: str, timesteps: int, statistics: Statistics) -> Part:
    """The hard task's mean over agents minus that of an easier one."""
    first, second = hard.to_numpy(float), easier.to_numpy(float)

    def gap(one: Int[np.ndarray, "B N"], other: Int[np.ndarray, "B M"]) -> Float[np.ndarray, " B"]:
        return first[one].mean(axis=-1) - second[other].mean(axis=-1)

    interval = two_sample_interval(gap, len(first), len(second), statistics)
    sizes = {f"agents on {HARD}": len(hard), f"agents on {name}": len(easier)}
    return Part(f"{AT_T.format(timesteps)}, {HARD} minus {name}", interval, "below", 0.0, sizes)


@claim(
    "G4",
    Section.GRADIENTS,
    "At T pairs estimates correlate poorly with the true gradient; a good correlation takes several times as many.",
    rule=f"Cosine with the true gradient, corrected for the latter's own noise, below {NOISY_TRUE:.3f} at T pairs, and "
    f"below {GOOD} at the smallest measured size of at least {SEVERAL} T. {LATER} Snapshots count whose true gradient "
    f"has a reliability of at least {RELIABLE:g}; inconclusive where one has less.",
    why="Noise as large as the gradient gives an expected cosine of 1/sqrt(2) with the truth: the threshold of G1, "
    f"seen from the truth. {GOOD} is good by the paper's curves, and several is at least {SEVERAL}. Corrected, since a "
    "noisy true gradient would lower every cosine and so support the claim. A true gradient of less reliability is "
    "more noise than signal, and a correction for it mostly noise.",
    tables=(Similarity, Noise),
    needs=(*_LATER_AT_T, needs.at_least("gradient", "sizes", SEVERAL)),
    proviso="the true gradients are reliable",
    simulation=one_number(SimulatedEffect("below", NOISY_TRUE, 0.4, 0.15), SimulatedEffect("below", GOOD, 0.6, 0.1)),
)
def poor_correlation(cell: Experiment) -> Finding:
    rows = _later_at_t(cell, "true")
    every, enough = later(select(cell[Similarity], against="true")), SEVERAL * cell.timesteps
    more = min((size for size in distinct(every, "pairs") if size >= enough), default=None)
    if more is None:
        raise NotMeasuredError(f"needs gradient.sizes of at least {SEVERAL} T = {enough:,}")
    noise = later(cell[Noise])
    reliable = noise.loc[noise["reliability"] >= RELIABLE, ["agent", "iteration"]]
    lost = len(noise) - len(reliable)

    def part(at: pd.DataFrame, size: int, threshold: float) -> Part:
        known = at.merge(reliable).dropna(subset="corrected_cosine")
        quantity, cosines = f"corrected cosine with the true gradient at {size:,} pairs", "corrected_cosine"
        return inequality(
            quantity, agents_mean(known, cosines), "below", threshold, cell.statistics, _sizes(known, size)
        )

    parts = (part(rows, cell.timesteps, NOISY_TRUE), part(select(every, pairs=more), more, GOOD))
    caveat = (
        f"the true gradients of {lost} of {len(noise)} snapshots have a reliability below {RELIABLE:g}: raise "
        "gradient.true_pairs"
    )
    return Finding(parts, caveat=caveat if lost else "")


NONPOSITIVE = 0.1  # share of cosines that are not positive: the paper's figures have them from a tenth on
DIMENSIONS = 20  # in which simulated estimates scatter
NODES = 100_000  # pairs of estimates, from which a share is computed


def _draw_cosines(budget: Budget, rng: np.random.Generator, where: str, statistics: Statistics) -> Finding:
    """Gaussian estimates around a gradient whose length gives the wanted share of cosines that are not positive."""
    signal = signal_for(SOMETIMES if where == THRESHOLD else NONPOSITIVE)
    num_agents, repeats = budget.train.agents, budget.gradient.repeats
    snapshots = sum(fraction > 0 for fraction in budget.checkpoint.fractions)
    estimates = rng.standard_normal((num_agents, snapshots, repeats, DIMENSIONS))
    estimates[..., 0] += signal
    pairs = np.triu_indices(repeats, 1)
    cosines = (estimates @ np.swapaxes(estimates, -1, -2))[..., pairs[0], pairs[1]]
    rows = pd.DataFrame(
        {
            "agent": np.repeat(np.arange(num_agents), snapshots),
            "iteration": np.tile(np.arange(snapshots), num_agents),
            "share_nonpositive": (cosines <= 0).mean(axis=-1).ravel(),
            "repeats": repeats,
            "pairs": 2000,
        }
    )
    return Finding((nonpositive_part(rows, 2000, statistics),))


@cache
def signal_for(share: float) -> float:
    """The gradient length, in standard deviations of a component, at which this share of cosines is not positive."""
    first, second = np.random.default_rng(0).standard_normal((2, NODES, DIMENSIONS))
    axis = np.eye(1, DIMENSIONS)
    excess = lambda s: float((np.sum((first + s * axis) * (second + s * axis), axis=-1) <= 0).mean()) - share  # noqa: E731
    return float(optimize.brentq(excess, 0.0, 100.0, xtol=1e-4))


@claim(
    "G5",
    Section.GRADIENTS,
    "Zero and negative correlations occur at T pairs.",
    rule=f"Share of pairwise cosines at T pairs that are zero or negative above {SOMETIMES}. {LATER} The interval is "
    "no narrower than the exact binomial bounds of as many trials as there are independent estimates.",
    why="Sometimes is more than once in a hundred: the paper's 500 iterations would then meet it about five times. "
    "Small shares are skewed: most agents have met none, and their spread says too little.",
    tables=(Similarity,),
    needs=_LATER_AT_T,
    simulation=Simulation(
        lambda budget: f"{counted(budget.train.agents, 'agent')}, {budget.gradient.repeats} estimates", _draw_cosines
    ),
)
def nonpositive(cell: Experiment) -> Finding:
    rows = _later_at_t(cell, "each other").dropna(subset="share_nonpositive")
    return Finding((nonpositive_part(rows, cell.timesteps, cell.statistics),))


def nonpositive_part(rows: pd.DataFrame, timesteps: int, statistics: Statistics) -> Part:
    """The share of cosines that are zero or negative."""
    quantity = f"share of zero or negative pairwise cosines at {timesteps:,} pairs"
    shares = agents_mean(rows, "share_nonpositive")
    part = inequality(quantity, shares, "above", SOMETIMES, statistics, _sizes(rows, timesteps))
    if not math.isfinite(part.effect.low):  # one agent, whose estimates say nothing about another's
        return part
    # Shares near zero are skewed: of few estimates most agents have met none.
    return replace(part, effect=at_least_binomial(part.effect, int(rows["repeats"].sum()), statistics.confidence))


def at_least_binomial(share: Interval, trials: int, confidence: float) -> Interval:
    """The interval of a share, no narrower than the exact binomial bounds (Clopper and Pearson) of the trials.

    Either bound is one-sided at the confidence: the two alone would be an interval at 2 confidence - 1.
    """
    hits = share.mean * trials
    low = float(special.betaincinv(hits, trials - hits + 1, 1 - confidence)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1, trials - hits, confidence)) if hits < trials else 1.0
    return Interval(share.mean, min(share.low, low), max(share.high, high))


def _at_t(cell: Experiment, against: str) -> pd.DataFrame:
    return select(cell[Similarity], against=against, pairs=cell.timesteps)


def _later_at_t(cell: Experiment, against: str) -> pd.DataFrame:
    """Estimates of T pairs at snapshots after the initial policy."""
    at_t = required(_at_t(cell, against), f"needs common.timesteps = {cell.timesteps:,} among gradient.sizes")
    return required(later(at_t), NO_LATER)


def _sizes(rows: pd.DataFrame, pairs: int) -> dict[str, int]:
    """Of the rows that enter: estimates of all agents and snapshots together, and the pairs of each."""
    return {
        "snapshots": count(rows, "iteration"),
        "estimates": int(rows["repeats"].sum()),
        "pairs per estimate": pairs,
    }
