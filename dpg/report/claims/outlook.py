"""Which claims an experiment can decide, before anything runs: what each lacks, and which parameters would do."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dpg.report.claims import rules
from dpg.report.claims.gradients import EASIER, HARD
from dpg.report.claims.regimes import slightly_apart
from dpg.report.style import look
from dpg.runtime.budgets import nearest
from dpg.runtime.ids import family
from dpg.runtime.schema import Params

FEW = 4  # agents that are suggested where one cannot have an interval


@dataclass(frozen=True)
class Lack:
    """What is missing, and the parameters that would do, by dotted name. None where parameters alone cannot."""

    what: str
    changes: Mapping[str, Any] | None


@dataclass(frozen=True)
class Outlook:
    """One claim under some parameters: what it lacks, and on what of the outcome its decision depends as well."""

    claim: str
    lacks: tuple[Lack, ...]
    provided: str = ""

    @property
    def changes(self) -> dict[str, Any] | None:
        """All parameters that have to change together; None where they alone cannot do."""
        changes: dict[str, Any] = {}
        for lack in self.lacks:
            if lack.changes is None:
                return None
            changes |= lack.changes
        return changes


def outlooks(params: Params, unmeasured: Mapping[str, str]) -> list[Outlook]:
    """Every claim; `unmeasured` are stages that will measure nothing on any task, with the reason."""
    found: list[Outlook] = []
    for claim in rules.RULES:
        reason = unmeasured.get(_MEASURED_BY.get(claim, ""))
        lacks = [Lack(reason, None)] if reason else [lack for need in NEEDS[claim] for lack in need(params)]
        found.append(Outlook(claim, tuple(lacks), _PROVIDED.get(claim, "")))
    return found


Need = Callable[[Params], Iterator[Lack]]


def _lack(params: Params, name: str, what: str, value: Any) -> Lack:
    full = f"scales.{params.scale}.{name}"
    return Lack(f"{full}: {what}", {full: value})


def _agents(stage: str) -> Need:
    """Two of them at the least."""

    def need(params: Params) -> Iterator[Lack]:
        if getattr(params.budget, stage).agents < 2:
            enough = FEW if stage != "landscape" else max(2, min(FEW, params.budget.train.agents))
            yield _lack(params, f"{stage}.agents", "one agent has no interval", enough)

    return need


def _studied(params: Params) -> list[int]:
    train = params.budget.train
    available = range(0, train.iterations, train.snapshot_every)
    return nearest(params.budget.checkpoint.fractions, available, train.iterations)


def _later(params: Params) -> Iterator[Lack]:
    if max(_studied(params)) == 0:
        yield _lack(params, "checkpoint.fractions", "needs a studied snapshot after iteration 0", [0.0, 0.9])


def _two_studied(params: Params) -> Iterator[Lack]:
    if len(_studied(params)) < 2:
        yield _lack(params, "checkpoint.fractions", "needs two studied snapshots", [0.0, 0.9])


def _later_in_curve(params: Params) -> Iterator[Lack]:
    train = params.budget.train
    if params.budget.checkpoint.curve_every >= train.iterations:
        yield _lack(params, "checkpoint.curve_every", "needs a snapshot after iteration 0", train.snapshot_every)


def _t_among(stage: str, name: str) -> Need:
    """T is among some sizes of a stage."""

    def need(params: Params) -> Iterator[Lack]:
        sizes, t = getattr(getattr(params.budget, stage), name), params.common.timesteps
        if t not in sizes:
            yield _lack(params, f"{stage}.{name}", f"needs T = {t:,}", sorted({*sizes, t}))

    return need


def _at_least(stage: str, name: str, factor: int) -> Need:
    """One of some sizes of a stage is so many times T."""

    def need(params: Params) -> Iterator[Lack]:
        found, least = getattr(getattr(params.budget, stage), name), factor * params.common.timesteps
        sizes = found if isinstance(found, tuple) else (found,)
        if max(sizes) < least:
            value = [*sizes, least] if isinstance(found, tuple) else least
            yield _lack(params, f"{stage}.{name}", f"needs {factor} T = {least:,} or more", value)

    return need


def _three_tasks(params: Params) -> Iterator[Lack]:
    families = {family(env) for env in params.envs}
    if absent := [name for name in (*EASIER, HARD) if name not in families]:
        more = [*params.envs, *(f"{name}-v4" for name in absent)]
        yield Lack(f"envs: needs {', '.join(absent)}", {"envs": more})


def _algorithm(name: str) -> Need:
    def need(params: Params) -> Iterator[Lack]:
        if name not in params.algorithms:
            yield Lack(f"algorithms: needs {look(name).label}", {"algorithms": [*params.algorithms, name]})

    return need


def _two_sizes(params: Params) -> Iterator[Lack]:
    sizes = params.budget.regimes.timesteps
    if len(sizes) < 2:
        yield _lack(params, "regimes.timesteps", "needs two sample sizes", [min(sizes), 5 * min(sizes)])


def _three_rates(params: Params) -> Iterator[Lack]:
    rates = params.budget.regimes.rates
    if len(rates) < 3:
        wider = sorted({min(rates) / 3, *rates, max(rates) * 3})
        yield _lack(params, "regimes.rates", "needs three rates: the best must lie between others", wider)


def _near_rates(params: Params) -> Iterator[Lack]:
    rates = params.budget.regimes.rates
    if len(rates) < 2 or not all(slightly_apart(*pair) for pair in pairwise(rates)):
        span = max(max(rates) / min(rates), rules.SLIGHTLY)
        steps = math.ceil(math.log(span) / math.log(0.98 * rules.SLIGHTLY))  # a little less: rates are rounded
        value = [float(f"{min(rates) * span ** (step / steps):.3g}") for step in range(steps + 1)]
        yield _lack(params, "regimes.rates", f"needs rates at most {rules.SLIGHTLY:g} times apart", value)


def _few_pairs_a_point(params: Params) -> Iterator[Lack]:
    landscape, t = params.budget.landscape, params.common.timesteps
    if min((*landscape.concentration, landscape.pairs_per_point)) > t:
        value = sorted({*landscape.concentration, t})
        yield _lack(params, "landscape.concentration", f"needs T = {t:,} or fewer", value)


_TRAINED, _LANDSCAPES, _REGIMES = _agents("train"), _agents("landscape"), _agents("regimes")
_ESTIMATES_AT_T = _t_among("gradient", "sizes")
_PLANES_AT_T = _t_among("landscape", "update_pairs")
_LARGE_UPDATES = _at_least("update_gain", "update_pairs", rules.ORDERS)

NEEDS: Mapping[str, tuple[Need, ...]] = {
    "G1": (_TRAINED, _later, _ESTIMATES_AT_T),
    "G2": (_TRAINED, _two_studied, _ESTIMATES_AT_T),
    "G3": (_three_tasks, _TRAINED, _later, _ESTIMATES_AT_T),
    "G4": (_TRAINED, _later, _ESTIMATES_AT_T, _at_least("gradient", "sizes", rules.SEVERAL)),
    "G5": (_TRAINED, _later, _ESTIMATES_AT_T),
    "G6": (_TRAINED, _later_in_curve),
    "R1": (_two_sizes, _REGIMES, _three_rates),
    "R2": (_two_sizes, _REGIMES, _three_rates),
    "R3": (_two_sizes, _REGIMES, _near_rates),
    "V1": (_TRAINED, _later_in_curve),
    "V2": (_TRAINED, _later_in_curve),
    "V3": (_TRAINED, _later, _t_among("baselines", "sizes")),
    "V4": (_TRAINED, _later),
    "V5": (_TRAINED,),
    "L1": (_LANDSCAPES, _later, _PLANES_AT_T, _few_pairs_a_point),
    "L2": (_LANDSCAPES, _later, _PLANES_AT_T, _at_least("landscape", "pairs_per_point", rules.MANY)),
    "L3": (_TRAINED,),
    "L4": (_TRAINED, _later, _t_among("update_gain", "update_pairs")),
    "L5": (_algorithm("trpo"), _TRAINED, _later, _LARGE_UPDATES),
    "L6": (_algorithm("ppo"), _TRAINED, _later, _LARGE_UPDATES),
}
_MEASURED_BY = {"V1": "value", "V2": "value", "V3": "baselines", "V4": "baselines", "V5": "ablation"}
_LEVEL_INSIDE = "the best rates lie inside the range, and training levels off"
_PROVIDED = {
    "G1": "the return rises",
    "G4": "the true gradients are reliable",
    "R1": _LEVEL_INSIDE,
    "R2": _LEVEL_INSIDE,
    "R3": "a rate above the best was tried",
    "V3": "V* is good, or no worse than the net",
    "V5": "the return rises with the value net",
}
