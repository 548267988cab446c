"""The cost of stages on this machine: their work times measured rates, and what earlier runs of them recorded."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

from dpg.planning.rates import Measurements, Startup
from dpg.planning.work import ShardGroup, StageWork

MANY = 2000  # shards: beyond, their distribution over the workers no longer matters


@dataclass(frozen=True)
class Forecast:
    """The cost of one stage.

    `memory_bytes` adds up the peak resident sets of the stage's process and of its workers; pages that they share
    count in each. `output_bytes` remain in the project. `start_seconds` are core seconds before any work. `recorded`:
    an earlier run of the same work had this cost.
    """

    work: StageWork
    workers: int
    core_seconds: float
    wall_seconds: float
    memory_bytes: int
    output_bytes: int
    start_seconds: float = 0.0
    recorded: bool = False


@dataclass(frozen=True)
class Record:
    """The recorded cost of an earlier run on this machine, and its work."""

    work: StageWork
    cost: Mapping[str, int | float]

    def is_of(self, work: StageWork, jobs: int) -> bool:
        """Whether the cost would be the same again."""
        same = (self.work.rounds, self.work.starts) == (work.rounds, work.starts)
        return same and self.cost["workers"] == jobs


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
        """Of the stages that would run, one after the other: sums; the maximum of memory and scratch."""
        outputs = sum(f.output_bytes for f in self.stale)
        return {
            "pairs": sum(f.work.pairs for f in self.stale),
            "core_seconds": sum(f.core_seconds for f in self.stale),
            "wall_seconds": sum(f.wall_seconds for f in self.stale),
            "memory_bytes": max((f.memory_bytes for f in self.stale), default=0),
            "output_bytes": outputs,
            "cache_bytes": outputs if self.cache_copies else 0,
            "scratch_bytes": max((f.work.scratch_bytes for f in self.stale), default=0),
        }


def forecast(
    works: Sequence[StageWork], records: Mapping[str, Record], measured: Measurements | None, jobs: int
) -> list[Forecast]:
    """The cost of each stage by itself, on `jobs` worker processes; records come before measurements."""
    return [_forecast(work, records.get(work.name), measured, jobs) for work in works]


def _forecast(work: StageWork, record: Record | None, measured: Measurements | None, jobs: int) -> Forecast:
    if record and record.is_of(work, jobs):
        seconds = record.cost["core_seconds"], record.cost["wall_seconds"]
        sizes = int(record.cost["peak_memory_bytes"]), int(record.cost["output_bytes"])
        return Forecast(work, _workers(work, jobs), *seconds, *sizes, recorded=True)
    assert measured is not None
    if record is None:
        return modelled(work, measured, jobs)
    # The model's error then, if there was more to do than to start.
    then = modelled(record.work, measured, int(record.cost["workers"]))
    net, took = then.core_seconds - then.start_seconds, record.cost["core_seconds"] - then.start_seconds
    return modelled(work, measured, jobs, took / net if net > 0 and took > then.start_seconds else 1.0)


def modelled(work: StageWork, measured: Measurements, jobs: int, factor: float = 1.0) -> Forecast:
    """From measurements alone; shards take `factor` times as long as their work at the measured rates.

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
        shards = [(group.count, factor * _weighted(group.work, rates.seconds)) for group in groups]
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
        start_seconds=process.seconds + workers * worker.seconds,
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
