"""What stages will take on this machine: their work times measured rates, and what earlier runs of them recorded."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

from dpg.planning.counts import Load, StageWork
from dpg.planning.rates import Reply

MANY = 2000  # shards: beyond, how they fall on the workers no longer matters


@dataclass(frozen=True)
class Forecast:
    """One stage: seconds of cores and of the clock, and bytes.

    `memory_bytes` adds up the peak resident sets of the stage's process and of each of its workers, pages that they
    share counted in each. `output_bytes` lie in the project when the stage has ended; `start_seconds` are those of the
    cores before any work. `recorded`: an earlier run of the same work took this.
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
    """What an earlier run of a stage took on this machine, and the work that it did."""

    work: StageWork
    cost: Mapping[str, int | float]

    def is_of(self, work: StageWork, jobs: int) -> bool:
        """Whether it would be the same again."""
        same = (self.work.rounds, self.work.starts) == (work.rounds, work.starts)
        return same and self.cost["workers"] == jobs


@dataclass(frozen=True)
class Plan:
    """The pipeline under some parameters: what would run, with its cost, and what is cached.

    `unknown` are stages of `dvc.yaml` that nothing is foretold of, `measuring_seconds` what measuring took, None if
    nothing was measured; `cache_copies` says whether DVC's cache holds outputs a second time. `not_measured` has a line
    for what the tasks and parameters keep from being measured.
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
        """Of what would run, one stage after the other: sums, but the largest of the stages' memory and scratch."""
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
    works: Sequence[StageWork], records: Mapping[str, Record], measured: Reply | None, jobs: int
) -> list[Forecast]:
    """Each stage by itself, on `jobs` worker processes; what no record foretells follows from measurements."""
    return [_forecast(work, records.get(work.name), measured, jobs) for work in works]


def _forecast(work: StageWork, record: Record | None, measured: Reply | None, jobs: int) -> Forecast:
    if record and record.is_of(work, jobs):
        cost = record.cost
        seconds, sizes = (cost["core_seconds"], cost["wall_seconds"]), (cost["peak_memory_bytes"], cost["output_bytes"])
        return Forecast(work, _workers(work, jobs), *seconds, *map(int, sizes), recorded=True)
    assert measured is not None
    if record is None:
        return modelled(work, measured, jobs)
    # How far the model was off then, if there was more to do than to start.
    then = modelled(record.work, measured, int(record.cost["workers"]))
    net, took = then.core_seconds - then.start_seconds, record.cost["core_seconds"] - then.start_seconds
    return modelled(work, measured, jobs, took / net if net > 0 and took > then.start_seconds else 1.0)


def modelled(work: StageWork, measured: Reply, jobs: int, factor: float = 1.0) -> Forecast:
    """From measurements alone; shards take `factor` times as long as their work at the measured rates.

    A round of one shard is done by the stage's own process; more go to as many workers as there are shards.
    """
    process = measured.stages[work.stage]
    worker = measured.light_worker if work.stage == "checkpoint" else measured.worker
    widths = [min(jobs, sum(load.count for load in loads)) for loads in work.rounds]
    workers = _workers(work, jobs)
    rounds = list(zip(work.rounds, widths, strict=True))
    start = worker.seconds if workers > 1 else 0.0
    fixed = process.seconds * work.starts
    seconds = [[(load.count, factor * _seconds(load, work, measured)) for load in loads] for loads in work.rounds]
    here = max((_held(load, work, measured) for loads, width in rounds if width == 1 for load in loads), default=0.0)
    away = max((_held(load, work, measured) for loads, width in rounds if width > 1 for load in loads), default=0.0)
    total = sum(count * each for shards in seconds for count, each in shards)
    spans = sum(makespan(shards, width) for shards, (_, width) in zip(seconds, rounds, strict=True))
    memory = process.resident + work.held_bytes + here
    memory += workers * (worker.resident + away) if workers > 1 else 0.0
    return Forecast(
        work,
        workers,
        core_seconds=process.seconds + workers * start + fixed + total,
        wall_seconds=process.seconds + start + fixed + spans,
        memory_bytes=round(memory),
        output_bytes=work.output_bytes,
        start_seconds=process.seconds + workers * start,
    )


def _workers(work: StageWork, jobs: int) -> int:
    return max((min(jobs, sum(load.count for load in loads)) for loads in work.rounds), default=1)


def _seconds(load: Load, work: StageWork, measured: Reply) -> float:
    """Core seconds of a shard."""
    rates = measured.of(*work.cell).seconds if work.cell else {}
    return float(sum(amount * rates[kind] for kind, amount in load.work.items()))


def _held(load: Load, work: StageWork, measured: Reply) -> float:
    """Bytes that a shard holds at its peak."""
    rates = measured.of(*work.cell).bytes if work.cell else {}
    return float(sum(pairs * rates[kind] for kind, pairs in load.held.items()))


def makespan(shards: Sequence[tuple[int, float]], workers: int) -> float:
    """Seconds until shards, given as (count, seconds), are done, each by the worker that is free first."""
    total = sum(count * seconds for count, seconds in shards)
    if sum(count for count, _ in shards) > MANY:
        return max(total / workers, *(seconds for _, seconds in shards))
    free = [0.0] * workers
    for seconds in chain.from_iterable(repeat(seconds, count) for count, seconds in shards):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)
