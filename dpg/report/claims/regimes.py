"""Claims R1 to R3: sample sizes and learning rates (paper, section 2.1 and figure 3)."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from dpg.numerics.statistics import Interval
from dpg.report.claims import rules
from dpg.report.claims.cells import lacking
from dpg.report.claims.verdicts import Finding, Part, Verdict
from dpg.report.regimes import best_rate_ratio, best_rates, decline, summarize
from dpg.report.style import scientific
from dpg.report.tables import Tables, distinct, select
from dpg.runtime.schema import Statistics


def smaller_samples_higher_rate(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """R1, in every task."""

    def decide(sizes: tuple[int, int], ratio: Interval, counts: dict[str, int]) -> Part:
        inverse = Interval(1 / ratio.mean, 1 / ratio.high, 1 / ratio.low)
        return Part(f"best rate at T = {sizes[0]:,} over that at {sizes[1]:,}", inverse, "above", 1.0, counts)

    return _over_sizes(tables, statistics, decide)


def no_linear_scaling(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """R2, in every task."""

    def decide(sizes: tuple[int, int], ratio: Interval, counts: dict[str, int]) -> Part:
        scaled = Interval(*(value * sizes[0] / sizes[1] for value in ratio))
        quantity = f"best rate at T = {sizes[1]:,} over what linear scaling from {sizes[0]:,} predicts"
        return Part(quantity, scaled, "below", math.sqrt(sizes[0] / sizes[1]), counts)

    return _over_sizes(tables, statistics, decide)


def _over_sizes(
    tables: Tables, statistics: Statistics, decide: Callable[[tuple[int, int], Interval, dict[str, int]], Part]
) -> list[Finding]:
    found: list[Finding] = []
    for env, task in _tasks(tables):
        best = best_rates(summarize(task, statistics)).to_dict("records")
        if len(best) < 2:
            found.append(lacking(env, f"needs two sample sizes; regimes.timesteps has {len(best)}"))
            continue
        ends = best[0], best[-1]
        sizes = ends[0]["timesteps"], ends[1]["timesteps"]
        counts = {"agents a rate": task["agent"].nunique(), "rates": task["lr"].nunique()}
        part = decide(sizes, best_rate_ratio(task, sizes, statistics), counts)
        found.append(Finding(env, (part,), doubt=_doubt(ends, sorted(distinct(task, "lr")))))
    return found


def _doubt(ends: tuple[dict[Any, Any], dict[Any, Any]], rates: list[float]) -> str:
    """Why the best of the rates tried may not be the best of all."""
    told = [
        f"the best rate at T = {row['timesteps']:,}, {scientific(row['lr'])}, is the "
        f"{'lowest' if row['lr'] == rates[0] else 'highest'} tried: a better one may lie beyond, widen regimes.rates"
        for row in ends
        if row["lr"] in {rates[0], rates[-1]}
    ]
    if not told and ends[0]["lr"] == ends[1]["lr"]:
        told = [f"{scientific(ends[0]['lr'])} is the best rate tried at both sizes: a finer grid may tell them apart"]
    return "; ".join(told)


def peak_then_decline(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """R3, in every task."""
    found: list[Finding] = []
    for env, task in _tasks(tables):
        row = best_rates(summarize(task, statistics)).to_dict("records")[-1]
        if len(set(task["timesteps"])) < 2:
            found.append(lacking(env, "needs two sample sizes: regimes.timesteps"))
            continue
        above = [rate for rate in sorted(distinct(task, "lr")) if rate > row["lr"]]
        if not above:
            told = f"needs a rate above {scientific(row['lr'])}, the best at T = {row['timesteps']:,}: regimes.rates"
            found.append(lacking(env, told))
            continue
        agents = select(task, timesteps=row["timesteps"], lr=above[0])
        quantity = f"decline at T = {row['timesteps']:,}, rate {scientific(above[0])}, over the peak return"
        counts = {"agents": agents["agent"].nunique(), "iterations": agents["iteration"].nunique()}
        part = Part(quantity, decline(agents, statistics, relative=True), "below", rules.FALLEN, counts)
        factor = above[0] / row["lr"]
        coarse = factor > rules.SLIGHTLY and part.verdict is Verdict.SUPPORTED
        doubt = f"the rate is {factor:.3g} times the best one, which is more than slightly above it" if coarse else ""
        found.append(Finding(env, (part,), doubt=doubt))
    return found


def _tasks(tables: Tables) -> Iterator[tuple[str, pd.DataFrame]]:
    for env in distinct(tables.regimes, "env"):
        yield env, select(tables.regimes, env=env)
