"""Claims R1 to R3: sample sizes and learning rates (paper, section 2.1 and figure 3)."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from dpg.numerics.statistics import Interval
from dpg.report.claims import needs
from dpg.report.claims.claim import NO_EPISODE, NotMeasuredError, claim, count
from dpg.report.claims.simulation import THRESHOLD, Simulation
from dpg.report.claims.verdicts import Finding, Part, Verdict, inequality
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.regimes import best_rate_ratio, best_rates, decline, late_rise, returns_of_agents
from dpg.report.wording import counted, scientific
from dpg.runtime.budgets import Budget
from dpg.runtime.schema import Statistics
from dpg.tables.table import Section
from dpg.tables.training import RegimeHistory

SLIGHTLY = 1.5  # times: the widest step of the paper's own grid of rates
FALLEN = -0.05
LEVELLED = 0.1
_TWO_SIZES = (needs.regimes_trained, needs.two_sizes, needs.agents("regimes"))
_LEVEL_INSIDE = "the best rates lie inside the range, and training levels off"

# Simulated: a rate twice too high or too low costs a tenth of the return. Agents differ by a tenth at all rates
# together, and by half of that at each rate.
COST, SHARED, OWN = 0.1, 0.1, 0.05
HIGHER = 2.0  # the best rate at the smallest T over that at the largest
FALLS, FALLS_SPREAD = -0.2, 0.1  # of the peak return
ITERATIONS = 25


Compare = Callable[[tuple[int, int], Interval, dict[str, int]], Part]  # sample sizes, ratio of best rates, counts


def _sizes(budget: Budget) -> str:
    return f"{counted(budget.regimes.agents, 'agent')} per rate, {len(budget.regimes.rates)} rates"


def _draw_rates(
    compare: Compare, budget: Budget, rng: np.random.Generator, where: str, statistics: Statistics
) -> Finding:
    """Level returns over the rates of the budget, around optima in the middle of its range."""
    tried = budget.regimes
    sizes = (tried.timesteps[0], tried.timesteps[-1])
    at_threshold = 1.0 if compare is _with_largest else 1 / math.sqrt(sizes[1] / sizes[0])
    ratio = at_threshold if where == THRESHOLD else HIGHER  # smallest over largest
    middle = math.sqrt(tried.rates[0] * tried.rates[-1])
    optima = dict(zip(sizes, (middle * math.sqrt(ratio), middle / math.sqrt(ratio)), strict=True))
    rows: list[dict[str, float]] = []
    for size, optimum in optima.items():
        shared = SHARED * rng.standard_normal(tried.agents)
        for rate in tried.rates:
            level = 1 - COST * math.log2(rate / optimum) ** 2
            returns = level + shared + OWN * rng.standard_normal(tried.agents)
            rows += [
                {"timesteps": size, "lr": rate, "agent": agent, "iteration": i, "mean_return": 1000 * value}
                for agent, value in enumerate(returns)
                for i in range(5)
            ]
    return _over_sizes(compare, pd.DataFrame(rows).assign(env="simulated"), statistics)


def _with_largest(sizes: tuple[int, int], ratio: Interval, counts: dict[str, int]) -> Part:
    """R1: the best rate at the smallest sample size over that at the largest."""
    inverse = Interval(1 / ratio.mean, 1 / ratio.high, 1 / ratio.low)
    return Part(f"best rate at T = {sizes[0]:,} over that at {sizes[1]:,}", inverse, "above", 1.0, counts)


def _with_linear_scaling(sizes: tuple[int, int], ratio: Interval, counts: dict[str, int]) -> Part:
    """R2: the best rate at the largest sample size over the one that linear scaling predicts."""
    small, large = sizes
    scaled = Interval(*(value * small / large for value in ratio))
    quantity = f"best rate at T = {large:,} over what linear scaling from {small:,} predicts"
    return Part(quantity, scaled, "below", math.sqrt(small / large), counts)


@claim(
    "R1",
    Section.GRADIENTS,
    "The best learning rate is higher for small samples than for large ones.",
    rule="Best rate at the smallest T over the best at the largest: above 1. Returns are means over the last fifth of "
    "the training; the best rate is where a parabola in the rate's logarithm through the best rate tried and its two "
    "neighbours is highest; agents are resampled at each T and the best is found anew. Inconclusive where the best "
    "rate tried is the lowest or highest.",
    premise="at both T, at the best rate, the last fifth of the training adds less than "
    f"{LEVELLED:g} of the final return.",
    why="The paper claims a direction. The optimum may lie beyond a rate at the end of the range. Where training still "
    "rises, the best rate is the one that starts fastest, and a larger T has had fewer updates to start with: a tenth "
    "in a fifth of the training is half of what a training that rises evenly from zero to its end adds.",
    tables=(RegimeHistory,),
    parts=Experiment.tasks,
    needs=(*_TWO_SIZES, needs.three_rates),
    proviso=_LEVEL_INSIDE,
    simulation=Simulation(_sizes, partial(_draw_rates, _with_largest)),
)
def smaller_samples_higher_rate(task: Experiment) -> Finding:
    return _best_rates(_with_largest, task)


@claim(
    "R2",
    Section.GRADIENTS,
    "Scaling the rate linearly with the batch does not hold.",
    rule="Best rate at the largest T over the one that linear scaling predicts from the best at the smallest: below "
    "sqrt(T_smallest / T_largest). Otherwise as R1.",
    why="The threshold is scaling with the square root, half-way (in logarithms) between linear scaling and none.",
    tables=(RegimeHistory,),
    parts=Experiment.tasks,
    needs=(*_TWO_SIZES, needs.three_rates),
    proviso=_LEVEL_INSIDE,
    simulation=Simulation(_sizes, partial(_draw_rates, _with_linear_scaling)),
)
def no_linear_scaling(task: Experiment) -> Finding:
    return _best_rates(_with_linear_scaling, task)


def _best_rates(compare: Compare, task: Experiment) -> Finding:
    return _over_sizes(compare, task[RegimeHistory], task.statistics)


def _over_sizes(compare: Compare, task: pd.DataFrame, statistics: Statistics) -> Finding:
    """A comparison of the best rates at the smallest and the largest T of one task."""
    returns = returns_of_agents(task)
    best = _best_tried(returns)
    if len(best) < 2:
        raise NotMeasuredError(f"needs two sample sizes; regimes.timesteps has {len(best)}")
    ends = best[0], best[-1]
    if not all(math.isfinite(row["lr"]) for row in ends):
        raise NotMeasuredError(NO_EPISODE)
    sizes = ends[0]["timesteps"], ends[1]["timesteps"]
    counts = {"agents per rate": task["agent"].nunique(), "rates": task["lr"].nunique()}
    part = compare(sizes, best_rate_ratio(returns, sizes, statistics), counts)
    levelled = (_levelled(returns, row, statistics) for row in ends)
    return Finding((part, *levelled), caveat=_caveat(ends, sorted(distinct(task, "lr"))))


def _best_tried(returns: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rate with the highest mean final return at each sample size, in increasing order of size."""
    means = returns.groupby(["env", "timesteps", "lr"])["final_return"].mean()
    return best_rates(means.reset_index()).to_dict("records")


def _levelled(returns: pd.DataFrame, best: dict[Any, Any], statistics: Statistics) -> Part:
    """The premise that training at the best rate has levelled off: else the best rate may just start fastest."""
    rise = late_rise(select(returns, timesteps=best["timesteps"], lr=best["lr"]))
    quantity = f"rise over the last fifth of the training at T = {best['timesteps']:,}, over the final return"
    return inequality(quantity, rise, "below", LEVELLED, statistics, premise=True)


def _caveat(ends: tuple[dict[Any, Any], dict[Any, Any]], rates: list[float]) -> str:
    """The caveat that the best rate tried is at an end of the range."""
    return "; ".join(
        f"the best rate at T = {row['timesteps']:,}, {scientific(row['lr'])}, is the "
        f"{'lowest' if row['lr'] == rates[0] else 'highest'} tried: a better one may lie beyond, widen regimes.rates"
        for row in ends
        if row["lr"] in {rates[0], rates[-1]}
    )


def _draw_curves(budget: Budget, rng: np.random.Generator, where: str, statistics: Statistics) -> Finding:
    """Curves that rise to a plateau, fall, and stay there, each longer than the window that smooths them."""
    num_agents = budget.regimes.agents
    fall = FALLEN if where == THRESHOLD else FALLS
    level = 1 + SHARED * rng.standard_normal(num_agents)
    ends = fall + FALLS_SPREAD * rng.standard_normal(num_agents) / 2
    x = np.linspace(0, 1, ITERATIONS)
    shape = np.clip(x / 0.2, 0, 1) + np.clip((x - 0.6) / 0.1, 0, 1) * ends[:, None]
    curves = 1000 * level[:, None] * shape * (1 + OWN * rng.standard_normal((num_agents, ITERATIONS)))
    rows = [
        {"agent": agent, "iteration": i, "mean_return": value}
        for agent, curve in enumerate(curves)
        for i, value in enumerate(curve)
    ]
    return Finding((decline_part(pd.DataFrame(rows).assign(lr=1e-4), 20_000, 1e-4, statistics),))


@claim(
    "R3",
    Section.GRADIENTS,
    "With large samples, rates slightly above the best peak and then decline.",
    rule="At the largest T, with the next rate above the best: final return minus the return at the peak, over the "
    f"latter, below {FALLEN}. Where an agent peaked is taken from the other agents' mean curve. Not measured where the "
    f"best rate's neighbours are more than {SLIGHTLY:g} times apart from it.",
    why="An agent's own maximum is one over noise, and would show a decline always. Less than a twentieth is no "
    "deterioration that the paper's figure would show. Its rates lie a quarter to a half above each other: "
    f"{SLIGHTLY:g} times is the most that may be called slightly, whatever the outcome.",
    tables=(RegimeHistory,),
    parts=Experiment.tasks,
    needs=(*_TWO_SIZES, needs.rates_within(SLIGHTLY)),
    proviso="a rate above the best was tried",
    simulation=Simulation(_sizes, _draw_curves),
)
def peak_then_decline(task: Experiment) -> Finding:
    regimes = task[RegimeHistory]
    if count(regimes, "timesteps") < 2:
        raise NotMeasuredError("needs two sample sizes: regimes.timesteps")
    row = _best_tried(returns_of_agents(regimes))[-1]
    above = _rate_above(sorted(distinct(regimes, "lr")), row["lr"], row["timesteps"])
    trainings = select(regimes, timesteps=row["timesteps"], lr=above)
    part = decline_part(trainings, row["timesteps"], above, task.statistics)
    if part.verdict is Verdict.NOT_MEASURED:
        raise NotMeasuredError(_no_decline(trainings))
    return Finding((part,))


def _rate_above(rates: list[float], best: float, timesteps: int) -> float:
    """The next of the rates above the best, if it is only slightly higher."""
    if not math.isfinite(best):
        raise NotMeasuredError(NO_EPISODE)
    where = f"{scientific(best)}, the best at T = {timesteps:,}: regimes.rates"
    if best == rates[-1]:
        raise NotMeasuredError(f"needs a rate above {where}")
    if not all(needs.within(SLIGHTLY, *pair) for pair in pairwise(rates) if best in pair):
        raise NotMeasuredError(f"needs rates at most {SLIGHTLY:g} times apart around {where}")
    return min(rate for rate in rates if rate > best)


def decline_part(trainings: pd.DataFrame, timesteps: int, rate: float, statistics: Statistics) -> Part:
    """The decline of the agents of one rate from their peak."""
    quantity = f"decline at T = {timesteps:,}, rate {scientific(rate)}, over the peak return"
    counts = {"agents": trainings["agent"].nunique(), "iterations": trainings["iteration"].nunique()}
    return Part(quantity, decline(trainings, statistics, relative=True), "below", FALLEN, counts)


def _no_decline(trainings: pd.DataFrame) -> str:
    """The reason that the trainings of one sample size and rate have no relative decline."""
    ends = returns_of_agents(trainings)
    if ends["final_return"].isna().all():
        return NO_EPISODE
    if ends["peak_return"].isna().all():
        return "needs two agents whose last episodes end: the others say where one peaked (regimes.agents)"
    return "needs a positive return at the peak: a share of any other says nothing"
