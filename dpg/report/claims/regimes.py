"""Claims R1 to R3: sample sizes and learning rates (paper, section 2.1 and figure 3)."""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pandas as pd

from dpg.numerics.statistics import Interval
from dpg.report.claims import rules
from dpg.report.claims.cells import NO_EPISODE, lacking
from dpg.report.claims.verdicts import Finding, Part, Verdict
from dpg.report.regimes import best_rate_ratio, best_rates, decline, late_rise, returns_of_agents, summarize
from dpg.report.style import scientific
from dpg.report.tables import Tables, distinct, interval_over_agents, select
from dpg.runtime.schema import Statistics


def smaller_samples_higher_rate(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """R1, in every task."""
    return _in_every_task(tables, lambda env, task: over_sizes(env, task, statistics, PARTS["R1"]))


def no_linear_scaling(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """R2, in every task."""
    return _in_every_task(tables, lambda env, task: over_sizes(env, task, statistics, PARTS["R2"]))


PartOfRatio = Callable[[tuple[int, int], Interval, dict[str, int]], Part]


def _higher(sizes: tuple[int, int], ratio: Interval, counts: dict[str, int]) -> Part:
    inverse = Interval(1 / ratio.mean, 1 / ratio.high, 1 / ratio.low)
    return Part(f"best rate at T = {sizes[0]:,} over that at {sizes[1]:,}", inverse, "above", 1.0, counts)


def _less_than_linear(sizes: tuple[int, int], ratio: Interval, counts: dict[str, int]) -> Part:
    scaled = Interval(*(value * sizes[0] / sizes[1] for value in ratio))
    quantity = f"best rate at T = {sizes[1]:,} over what linear scaling from {sizes[0]:,} predicts"
    return Part(quantity, scaled, "below", math.sqrt(sizes[0] / sizes[1]), counts)


# What the best rate at the largest of two sample sizes, over that at the smallest, says.
PARTS: Mapping[str, PartOfRatio] = {"R1": _higher, "R2": _less_than_linear}


def over_sizes(env: str, task: pd.DataFrame, statistics: Statistics, decide: PartOfRatio) -> Finding:
    """The best rates at the smallest and the largest T of one task."""
    best = best_rates(summarize(task, statistics)).to_dict("records")
    if len(best) < 2:
        return lacking(env, f"needs two sample sizes; regimes.timesteps has {len(best)}")
    ends = best[0], best[-1]
    if not all(math.isfinite(row["lr"]) for row in ends):
        return lacking(env, NO_EPISODE)
    sizes = ends[0]["timesteps"], ends[1]["timesteps"]
    counts = {"agents a rate": task["agent"].nunique(), "rates": task["lr"].nunique()}
    part = decide(sizes, best_rate_ratio(task, sizes, statistics), counts)
    levelled = (_levelled(task, row, statistics) for row in ends)
    return Finding(env, (part, *levelled), doubt=_doubt(ends, sorted(distinct(task, "lr"))))


def _levelled(task: pd.DataFrame, best: dict[Any, Any], statistics: Statistics) -> Part:
    """The premise that training at one sample size, at its best rate, no longer rises: what is best then is not what
    starts fastest.
    """
    rise = late_rise(select(task, timesteps=best["timesteps"], lr=best["lr"]))
    quantity = f"rise over the last fifth of the training at T = {best['timesteps']:,}, over the final return"
    counts = {"agents": len(rise)}
    return Part(quantity, interval_over_agents(rise, statistics), "below", rules.LEVELLED, counts, premise=True)


def _doubt(ends: tuple[dict[Any, Any], dict[Any, Any]], rates: list[float]) -> str:
    """Why the best of the rates tried may not be the best of all."""
    return "; ".join(
        f"the best rate at T = {row['timesteps']:,}, {scientific(row['lr'])}, is the "
        f"{'lowest' if row['lr'] == rates[0] else 'highest'} tried: a better one may lie beyond, widen regimes.rates"
        for row in ends
        if row["lr"] in {rates[0], rates[-1]}
    )


def peak_then_decline(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """R3, in every task."""
    return _in_every_task(tables, lambda env, task: _peak_then_decline(env, task, statistics))


def _peak_then_decline(env: str, task: pd.DataFrame, statistics: Statistics) -> Finding:
    row = best_rates(summarize(task, statistics)).to_dict("records")[-1]
    if len(set(task["timesteps"])) < 2:
        return lacking(env, "needs two sample sizes: regimes.timesteps")
    if not math.isfinite(row["lr"]):
        return lacking(env, NO_EPISODE)
    rates = sorted(distinct(task, "lr"))
    above = [rate for rate in rates if rate > row["lr"]]
    best = f"{scientific(row['lr'])}, the best at T = {row['timesteps']:,}: regimes.rates"
    if not above:
        return lacking(env, f"needs a rate above {best}")
    if not all(slightly_apart(*pair) for pair in pairwise(rates) if row["lr"] in pair):
        return lacking(env, f"needs rates at most {rules.SLIGHTLY:g} times apart around {best}")
    agents = select(task, timesteps=row["timesteps"], lr=above[0])
    part = decline_part(agents, row["timesteps"], above[0], statistics)
    return lacking(env, _no_decline(agents)) if part.verdict is Verdict.NOT_MEASURED else Finding(env, (part,))


def decline_part(agents: pd.DataFrame, timesteps: int, rate: float, statistics: Statistics) -> Part:
    """How far the agents of one rate end below their peak."""
    quantity = f"decline at T = {timesteps:,}, rate {scientific(rate)}, over the peak return"
    counts = {"agents": agents["agent"].nunique(), "iterations": agents["iteration"].nunique()}
    return Part(quantity, decline(agents, statistics, relative=True), "below", rules.FALLEN, counts)


def slightly_apart(low: float, high: float) -> bool:
    """Whether a rate is only slightly above another."""
    return high / low <= rules.SLIGHTLY * (1 + 1e-9)


def _no_decline(trainings: pd.DataFrame) -> str:
    """Why the trainings of one sample size and rate have no relative decline."""
    ends = returns_of_agents(trainings)
    if ends["final_return"].isna().all():
        return NO_EPISODE
    if ends["peak_return"].isna().all():
        return "needs two agents whose last episodes end: the others say where one peaked (regimes.agents)"
    return "needs a positive return at the peak: a share of any other says nothing"


def _in_every_task(tables: Tables, decide: Callable[[str, pd.DataFrame], Finding]) -> list[Finding]:
    found: list[Finding] = []
    for env in distinct(tables.history, "env"):
        task = select(tables.regimes, env=env)
        found.append(lacking(env, tables.lacks("regimes", env=env)) if task.empty else decide(env, task))
    return found
