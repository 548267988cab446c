"""Measurements on this machine: a bounded number, in fresh processes side by side."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import loky

from dpg.planning.microbenchmarks import measure_cells
from dpg.planning.rates import Measurements
from dpg.planning.startup import measure_stages
from dpg.runtime.errors import UserError
from dpg.runtime.local_workers import LocalProcesses
from dpg.runtime.schema import Params
from dpg.runtime.workers import WorkersLostError

MOST_TASKS, MOST_CELLS = 6, 9  # that are measured; others take the rates of one that is
DRAWING = ("figures", "report")

CellName = tuple[str, str]


class MeasuringError(UserError):
    """A measurement failed."""


def measure(params: Params, cells: Sequence[CellName], stages: Sequence[str]) -> Measurements:
    """Measure the rates of some cells, and the start of some stages' processes.

    Raises:
        MeasuringError: a measurement failed.
    """
    raw = params.model_dump(mode="json", serialize_as_any=True)  # its type may not exist in another process
    kinds = [[stage for stage in stages if (stage in DRAWING) == drawn] for drawn in (False, True)]
    calls = [(partial(measure_cells, raw), share) for share in shares(cells, loky.cpu_count())]
    calls += [(measure_stages, some) for some in kinds if some]
    workers, pool = [LocalProcesses(1) for _ in calls], ThreadPoolExecutor(loky.cpu_count())
    try:
        parts = list(pool.map(_measured, workers, *zip(*calls, strict=True)))
    finally:  # after Ctrl-C, too, which the workers themselves ignore
        for each in workers:
            each.close()
        pool.shutdown(cancel_futures=True)
    return Measurements(
        rates={cell: rates for part in parts for cell, rates in part.rates.items()},
        worker=max((part.worker for part in parts), key=lambda startup: startup.resident),
        light_worker=max((part.light_worker for part in parts), key=lambda startup: startup.resident),
        stages={stage: startup for part in parts for stage, startup in part.stages.items()},
    )


def shares(cells: Sequence[CellName], processes: int) -> list[list[CellName]]:
    """The cells that each process measures: whole tasks, at most `MOST_TASKS` and `MOST_CELLS` in all.

    One algorithm of every task comes before a second one of any.
    """
    tasks = list(dict.fromkeys(env for env, _ in cells))[:MOST_TASKS]
    rank = {cell: sum(env == cell[0] for env, _ in cells[:index]) for index, cell in enumerate(cells)}
    picked = sorted((cell for cell in cells if cell[0] in tasks), key=lambda cell: rank[cell])[:MOST_CELLS]
    width = min(processes, len(tasks))
    return [[cell for cell in picked if tasks.index(cell[0]) % width == index] for index in range(width)]


def _measured(workers: LocalProcesses, function: Callable[[Any], Measurements], argument: object) -> Measurements:
    """Call a function in a new worker like those of the stages, which imports nothing but the function's own module."""
    try:
        ((_, done),) = workers.finished([workers.submit(function, argument)])
    except (UserError, WorkersLostError) as error:
        raise MeasuringError(f"measuring on this machine failed: {error}") from error
    workers.close()
    if done.error:
        raise MeasuringError(f"measuring on this machine failed: {done.error}")
    return done.result
