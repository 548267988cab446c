"""What claims need of the parameters, checked before a run, and the changes that would provide what is missing."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Concatenate, ParamSpec

from dpg.runtime.ids import family
from dpg.runtime.schema import Params

FEW = 4  # agents that are suggested instead of one, which has no interval
FEWEST_UPDATES = 2  # suggested for the regime with the most pairs, whose updates differ least


@dataclass(frozen=True)
class Missing:
    """What is missing, and the parameters that provide it, by dotted name; None if parameters alone cannot."""

    what: str
    changes: Mapping[str, Any] | None


Need = Callable[[Params], Iterator[Missing]]
Arguments = ParamSpec("Arguments")


def _with_arguments(need: Callable[Concatenate[Params, Arguments], Iterator[Missing]]) -> Callable[Arguments, Need]:
    """Let a need take arguments: `agents("landscape")` is then the need, a function of the parameters."""
    return lambda *args, **kwargs: lambda params: need(params, *args, **kwargs)


def _of_scale(params: Params, name: str, what: str, value: Any) -> Missing:
    full = f"scales.{params.scale}.{name}"
    return Missing(f"{full}: {what}", {full: value})


def _with_size(params: Params, stage: str, name: str, what: str, size: int) -> Missing:
    """One more size among some of a stage's; of updates, with their number: few where they are from the most pairs."""
    budget = getattr(params.budget, stage)
    sizes = sorted({*getattr(budget, name), size})
    missing = _of_scale(params, f"{stage}.{name}", what, sizes)
    if stage != "update_gain":
        return missing
    updates = dict(zip(budget.update_pairs, budget.updates, strict=True))
    new = FEWEST_UPDATES if size > max(updates) else max(updates.values())
    numbers = [updates.get(pairs, new) for pairs in sizes]
    return Missing(missing.what, {**(missing.changes or {}), f"scales.{params.scale}.update_gain.updates": numbers})


@_with_arguments
def agents(params: Params, stage: str) -> Iterator[Missing]:
    """At least two agents."""
    if getattr(params.budget, stage).agents < 2:
        enough = FEW if stage != "landscape" else max(2, min(FEW, params.budget.train.agents))
        yield _of_scale(params, f"{stage}.agents", "one agent has no interval", enough)


def _studied(params: Params) -> list[int]:
    train = params.budget.train
    return params.budget.checkpoint.studied(range(0, train.iterations, train.snapshot_every), train.iterations)


def later_studied(params: Params) -> Iterator[Missing]:
    """A studied snapshot after the initial policy."""
    if max(_studied(params)) == 0:
        yield _of_scale(params, "checkpoint.fractions", "needs a studied snapshot after iteration 0", [0.0, 0.9])


def two_studied(params: Params) -> Iterator[Missing]:
    """Two studied snapshots."""
    if len(_studied(params)) < 2:
        yield _of_scale(params, "checkpoint.fractions", "needs two studied snapshots", [0.0, 0.9])


def later_in_curve(params: Params) -> Iterator[Missing]:
    """A snapshot of the curve after the initial policy."""
    train = params.budget.train
    if params.budget.checkpoint.curve_every >= train.iterations:
        yield _of_scale(params, "checkpoint.curve_every", "needs a snapshot after iteration 0", train.snapshot_every)


@_with_arguments
def t_among(params: Params, stage: str, name: str) -> Iterator[Missing]:
    """T is among some sizes of a stage."""
    sizes, t = getattr(getattr(params.budget, stage), name), params.common.timesteps
    if t not in sizes:
        yield _with_size(params, stage, name, f"needs T = {t:,}", t)


@_with_arguments
def at_least(params: Params, stage: str, name: str, factor: int) -> Iterator[Missing]:
    """One of some sizes of a stage is at least this many times T."""
    found, least = getattr(getattr(params.budget, stage), name), factor * params.common.timesteps
    sizes = found if isinstance(found, tuple) else (found,)
    if max(sizes) < least:
        what = f"needs {factor} T = {least:,} or more"
        if isinstance(found, tuple):
            yield _with_size(params, stage, name, what, least)
        else:
            yield _of_scale(params, f"{stage}.{name}", what, least)


@_with_arguments
def tasks(params: Params, *families: str) -> Iterator[Missing]:
    """Tasks of these families."""
    present = {family(env) for env in params.envs}
    if absent := [name for name in families if name not in present]:
        more = [*params.envs, *(f"{name}-v4" for name in absent)]
        yield Missing(f"envs: needs {', '.join(absent)}", {"envs": more})


@_with_arguments
def algorithm_in_use(params: Params, name: str) -> Iterator[Missing]:
    """An algorithm is trained."""
    if name not in params.algorithms:
        yield Missing(f"algorithms: needs {name}", {"algorithms": [*params.algorithms, name]})


def trained_without_baseline(params: Params) -> Iterator[Missing]:
    """An algorithm whose training is repeated without a baseline."""
    if not any(map(params.budget.ablation.includes, params.algorithms)):
        yield _of_scale(params, "ablation.algorithms", f"needs one of {', '.join(params.algorithms)}", "all")


def regimes_trained(params: Params) -> Iterator[Missing]:
    """A task on which sample sizes and learning rates are varied."""
    if not any(map(params.budget.regimes.includes, params.envs)):
        yield _of_scale(params, "regimes.envs", f"needs one of {', '.join(params.envs)}", "all")


def two_sizes(params: Params) -> Iterator[Missing]:
    """Regimes of two sample sizes."""
    sizes = params.budget.regimes.timesteps
    if len(sizes) < 2:
        yield _of_scale(params, "regimes.timesteps", "needs two sample sizes", [min(sizes), 5 * min(sizes)])


def three_rates(params: Params) -> Iterator[Missing]:
    """Regimes of three learning rates."""
    rates = params.budget.regimes.rates
    if len(rates) < 3:
        wider = sorted({min(rates) / 3, *rates, max(rates) * 3})
        yield _of_scale(params, "regimes.rates", "needs three rates: the best must lie between others", wider)


def within(factor: float, low: float, high: float) -> bool:
    """Whether the higher rate is at most `factor` times the lower."""
    return high / low <= factor * (1 + 1e-9)


@_with_arguments
def rates_within(params: Params, factor: float) -> Iterator[Missing]:
    """Neighbouring learning rates are at most this factor apart."""
    rates = params.budget.regimes.rates
    if len(rates) < 2 or not all(within(factor, *pair) for pair in pairwise(rates)):
        span = max(max(rates) / min(rates), factor)
        steps = math.ceil(math.log(span) / math.log(0.98 * factor))  # a little less: rates are rounded
        value = [float(f"{min(rates) * span ** (step / steps):.3g}") for step in range(steps + 1)]
        yield _of_scale(params, "regimes.rates", f"needs rates at most {factor:g} times apart", value)


def few_pairs_per_point(params: Params) -> Iterator[Missing]:
    """Points of a landscape from T pairs or fewer."""
    landscape, t = params.budget.landscape, params.common.timesteps
    if min((*landscape.concentration, landscape.pairs_per_point)) > t:
        value = sorted({*landscape.concentration, t})
        yield _of_scale(params, "landscape.concentration", f"needs T = {t:,} or fewer", value)
