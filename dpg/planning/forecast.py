"""What stages will take on this machine: their work, times what was measured."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat

from dpg.planning.calibration import Calibration
from dpg.planning.work import DRAWN, StageWork

MANY = 2000  # shards: beyond, how they fall on the workers no longer matters


@dataclass(frozen=True)
class Forecast:
    """One stage: seconds of cores and of the clock, and bytes.

    `memory_bytes` adds up the peak resident sets of the stage's process and of each of its workers, pages that they
    share counted in each. `output_bytes` lie in the project when the stage has ended; DVC's cache has a copy of them.
    """

    work: StageWork
    workers: int
    core_seconds: float
    wall_seconds: float
    memory_bytes: int
    output_bytes: int


PLOTLY = 5_000_000  # bytes of plotly.js


def forecast(works: Sequence[StageWork], calibration: Calibration, jobs: int) -> list[Forecast]:
    """Each stage by itself, on `jobs` worker processes."""
    return [
        _DRAWN[work.stage](work, calibration) if work.stage in _DRAWN else _stage(work, calibration, jobs)
        for work in works
    ]


def _drawing(work: StageWork, calibration: Calibration) -> Forecast:
    drawn = calibration.drawn
    assert drawn is not None
    seconds = drawn.start_seconds + drawn.seconds
    return Forecast(work, 1, seconds, seconds, drawn.peak + calibration.footprint.tracking, drawn.output_bytes)


def _report(work: StageWork, calibration: Calibration) -> Forecast:
    """It reads what drawing reads, embeds the figures in one of their formats, and writes landscapes with plotly.js."""
    drawn = calibration.drawn
    assert drawn is not None
    return Forecast(work, 1, drawn.start_seconds, drawn.start_seconds, drawn.peak, drawn.output_bytes // 2 + PLOTLY)


_DRAWN = dict(zip(DRAWN, (_drawing, _report), strict=True))


def _stage(work: StageWork, calibration: Calibration, jobs: int) -> Forecast:
    """A round of one shard is done by the stage's own process; more go to as many workers as there are shards."""
    models = {load.kind: calibration.model(work, load.kind) for load in work.loads}
    widths = [min(jobs, sum(load.count for load in loads)) for loads in work.rounds]
    workers = max(widths, default=1)
    here = [load for loads, width in zip(work.rounds, widths, strict=True) if width == 1 for load in loads]
    away = [load for loads, width in zip(work.rounds, widths, strict=True) if width > 1 for load in loads]
    own = calibration.footprint.resident[work.stage] + work.held_bytes
    own += max((models[load.kind].memory(load.pairs) - models[load.kind].idle for load in here), default=0)
    worker = max((models[load.kind].memory(load.pairs) for load in away), default=0)
    start = max((models[load.kind].start_seconds for load in away), default=0.0)
    seconds = {load: models[load.kind].seconds(load.work) for load in work.loads}
    begin = calibration.footprint.seconds[work.stage]
    return Forecast(
        work,
        workers,
        core_seconds=begin + (workers * start if away else 0) + sum(load.count * seconds[load] for load in work.loads),
        wall_seconds=begin
        + start
        + sum(
            makespan([(load.count, seconds[load]) for load in loads], width)
            for loads, width in zip(work.rounds, widths, strict=True)
        ),
        memory_bytes=round(own + (workers * worker if away else 0)),
        output_bytes=work.output_bytes,
    )


def makespan(shards: Sequence[tuple[int, float]], workers: int) -> float:
    """Seconds until shards, given as (count, seconds), are done, each by the worker that is free first."""
    total = sum(count * seconds for count, seconds in shards)
    if sum(count for count, _ in shards) > MANY:
        return max(total / workers, *(seconds for _, seconds in shards))
    free = [0.0] * workers
    for seconds in chain.from_iterable(repeat(seconds, count) for count, seconds in shards):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)
