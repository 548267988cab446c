"""The cost of stages on this machine: their work times measured rates, and what earlier runs of them recorded."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

from dpg.planning.rates import Measurements, Startup
from dpg.planning.work import ShardGroup, StageWork

# The cost that a stage recorded of an earlier run (`stages.common.execution.run_stage`).
Cost = Mapping[str, int | float]
MANY = 2000  # shards: beyond, their distribution over the workers no longer matters


@dataclass(frozen=True)
class Forecast:
    """The cost of one stage.

    `memory_bytes` adds up the peak resident sets of the stage's process and of its workers; pages that they share
    count in each. `output_bytes` remain in the project. `recorded`: an earlier run of the same work had this cost.
    """

    work: StageWork
    workers: int
    core_seconds: float
    wall_seconds: float
    memory_bytes: int
    output_bytes: int
    recorded: bool = False


@dataclass(frozen=True)
class Plan:
    """The pipeline under some parameters.

    Attributes:
        scale: its name.
        stale: the stages that would run.
        cached: the stages that would not.
        unknown: stages of `dvc.yaml` without a forecast.
        jobs: worker processes of a stage.
        machine: its name.
        measuring_seconds: None if nothing was measured.
        cache_copies: DVC's cache stores outputs a second time.
        not_measured: a line for each reason why something will not be measured.
    """

    scale: str
    stale: list[Forecast]
    cached: list[StageWork]
    unknown: list[str]
    jobs: int
    machine: str
    measuring_seconds: float | None
    cache_copies: bool
    not_measured: list[str] = field(default_factory=list)

    @property
    def totals(self) -> dict[str, int | float]:
        """Of the stages that would run."""
        found = totals(self.stale)
        return found | {"cache_bytes": found["output_bytes"] if self.cache_copies else 0}


def totals(costs: Sequence[Forecast]) -> dict[str, int | float]:
    """Of stages that run one after the other: sums; the maximum of memory and scratch."""
    return {
        "pairs": sum(f.work.pairs for f in costs),
        "core_seconds": sum(f.core_seconds for f in costs),
        "wall_seconds": sum(f.wall_seconds for f in costs),
        "memory_bytes": max((f.memory_bytes for f in costs), default=0),
        "output_bytes": sum(f.output_bytes for f in costs),
        "scratch_bytes": max((f.work.scratch_bytes for f in costs), default=0),
    }


def forecast(work: StageWork, recorded: Cost | None, measured: Measurements | None, jobs: int) -> Forecast:
    """The cost of a stage by itself, on `jobs` worker processes: what the same work has cost, or else the model's."""
    if recorded is None:
        assert measured is not None
        return modelled(work, measured, jobs)
    seconds = recorded["core_seconds"], recorded["wall_seconds"]
    sizes = int(recorded["peak_memory_bytes"]), int(recorded["output_bytes"])
    return Forecast(work, _workers(work, jobs), *seconds, *sizes, recorded=True)


def modelled(work: StageWork, measured: Measurements, jobs: int) -> Forecast:
    """From measurements alone.

    A round of one shard runs in the stage's own process; a larger one on as many workers as there are shards.
    """
    process, workers = measured.stages[work.stage], _workers(work, jobs)
    light = work.stage == "checkpoint"
    worker = (measured.light_worker if light else measured.worker) if workers > 1 else Startup()
    rates = measured.of(*work.cell) if work.cell and work.rounds else None
    fixed = process.seconds * work.starts
    core = wall = here = away = 0.0
    for groups in work.rounds:
        assert rates is not None
        width = _width(groups, jobs)
        shards = [(group.count, _weighted(group.work, rates.seconds)) for group in groups]
        held = max(_weighted(group.held, rates.bytes) for group in groups)
        core, wall = core + sum(count * seconds for count, seconds in shards), wall + makespan(shards, width)
        here, away = (here, max(away, held)) if width > 1 else (max(here, held), away)
    memory = process.resident + work.gathered_bytes + here
    memory += workers * (worker.resident + away) if workers > 1 else 0.0
    return Forecast(
        work,
        workers,
        core_seconds=process.seconds + workers * worker.seconds + fixed + core,
        wall_seconds=process.seconds + worker.seconds + fixed + wall,
        memory_bytes=round(memory),
        output_bytes=work.output_bytes,
    )


def _workers(work: StageWork, jobs: int) -> int:
    return max((_width(groups, jobs) for groups in work.rounds), default=1)


def _width(groups: Sequence[ShardGroup], jobs: int) -> int:
    return min(jobs, sum(group.count for group in groups))


def _weighted(amounts: Mapping[str, int | float], rates: Mapping[str, float]) -> float:
    return float(sum(amount * rates[kind] for kind, amount in amounts.items()))


def makespan(shards: Sequence[tuple[int, float]], workers: int) -> float:
    """Seconds until shards, given as (count, seconds), are done, each by the first free worker."""
    total = sum(count * seconds for count, seconds in shards)
    if sum(count for count, _ in shards) > MANY:
        return max(total / workers, *(seconds for _, seconds in shards))
    free = [0.0] * workers
    for seconds in chain.from_iterable(repeat(seconds, count) for count, seconds in shards):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)
