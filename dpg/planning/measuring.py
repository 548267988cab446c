"""Measurements on this machine: a bounded number, in fresh processes side by side."""

from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from functools import partial

import loky

from dpg.planning.microbenchmarks import measure_cells
from dpg.planning.rates import Measurements, Startup, measure_stages
from dpg.runtime.errors import UserError
from dpg.runtime.local_workers import LocalProcesses
from dpg.runtime.schema import Params

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
    tasks, shared = by_task(cells), LocalProcesses(loky.cpu_count())
    calls = [(LocalProcesses(1), measure_stages, kind) for kind in kinds if kind]
    calls += [(shared, partial(measure_cells, raw), task) for task in tasks]
    try:
        futures = [workers.submit(function, argument, avoid=()) for workers, function, argument in calls]
        done = [future.result() for future in futures]
        failed = next((each.error for each in done if each.error), None)
    except (UserError, BrokenExecutor) as error:
        raise MeasuringError(f"measuring on this machine failed: {error}") from error
    finally:  # after Ctrl-C, too, which the workers themselves ignore
        for workers in {shared, *(workers for workers, _, _ in calls)}:
            workers.close()
    if failed:
        raise MeasuringError(f"measuring on this machine failed: {failed}")
    parts: list[Measurements] = [each.result for each in done]
    return Measurements(
        rates={cell: rates for part in parts for cell, rates in part.rates.items()},
        # A process that measures a second task has grown.
        worker=min((part.worker for part in parts if part.rates), key=lambda start: start.resident, default=Startup()),
        light_worker=max((part.light_worker for part in parts), key=lambda start: start.resident),
        stages={stage: start for part in parts for stage, start in part.stages.items()},
    )


def by_task(cells: Sequence[CellName]) -> list[list[CellName]]:
    """The cells to measure, task by task: some algorithms of each."""
    tasks = list(dict.fromkeys(env for env, _ in cells))[:MOST_TASKS]
    return [[cell for cell in cells if cell[0] == env][: MOST_CELLS // len(tasks)] for env in tasks]
