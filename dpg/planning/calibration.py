"""A few seconds of measurement on this machine: every kind of shard that is to run, and the processes around them.

Each measurement has a fresh process on one thread; they run side by side on the cores, and take some five seconds for
a task and an algorithm. Counted are core seconds, which other work on the machine disturbs little.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.optimize import nnls

from dpg.planning import tables
from dpg.planning.cell import Cell
from dpg.planning.drawing import Drawn
from dpg.planning.footprint import UNTRACKED, Footprint
from dpg.planning.measurement import Amounts, Kind, Measured, Reply, Request
from dpg.planning.stand_ins import Task
from dpg.planning.work import DRAWN, StageWork
from dpg.runtime.errors import UserError
from dpg.runtime.schema import AlgorithmName, Params
from dpg.runtime.workers import ONE_THREAD


class CalibrationError(UserError):
    """A measurement failed; the message is that of the process that made it."""


@dataclass(frozen=True)
class Model:
    """What shards of one kind take: core seconds by units of work, peak memory by the pairs that a shard holds.

    `idle` is what a process holds that has imported all and done nothing, in bytes; `start_seconds` is what it takes to
    get there.
    """

    rates: tuple[float, ...]
    peak: int
    peak_pairs: int
    bytes_a_pair: float
    idle: int
    start_seconds: float

    @classmethod
    def fit(cls, measured: Measured, start_seconds: float) -> "Model":
        """The rates of the samples, none below zero; memory on the line through the short and the long one."""
        seconds = np.array([sample.seconds for sample in measured.samples])
        work = np.array([sample.work for sample in measured.samples])
        rates, _ = nnls(work / seconds[:, None], np.ones(len(seconds)))
        short, long = measured.samples[-2:]
        more = long.pairs - short.pairs
        slope = max(0.0, (long.peak - short.peak) / more) if more > 0 else 0.0
        return cls(tuple(map(float, rates)), long.peak, long.pairs, slope, measured.idle, start_seconds)

    def seconds(self, work: Amounts) -> float:
        """Core seconds of a shard."""
        return float(np.dot(self.rates, work))

    def memory(self, pairs: int) -> float:
        """Bytes that a worker is resident with at its peak, in a shard that holds this many pairs."""
        return max(self.peak + self.bytes_a_pair * (pairs - self.peak_pairs), float(self.idle))


@dataclass(frozen=True)
class Calibration:
    """What was measured: a model for every kind of shard of every cell, the stages' processes, and drawing."""

    models: dict[tuple[str, str, str], Model]
    footprint: Footprint
    drawn: Drawn | None

    def model(self, work: StageWork, kind: str) -> Model:
        """The model of one kind of shard of a stage."""
        return self.models[work.env or "", work.trained_as, kind]


def measure(params: Params, tasks: dict[str, Task], works: Sequence[StageWork], jobs: int) -> Calibration:
    """Measure all that these stages do, `jobs` processes at a time.

    Raises:
        CalibrationError: a measurement failed.
    """
    owners: dict[tuple[str | None, AlgorithmName], None] = {
        (work.env, work.trained_as): None for work in works if work.loads
    }
    requests = {
        (env, algorithm): _requests(Cell(params, tasks[env], algorithm), works) for env, algorithm in owners if env
    }
    stages = list(dict.fromkeys(work.stage for work in works if work.stage not in DRAWN))
    draws = any(work.stage in DRAWN for work in works)
    if draws and not set(stages) - set(UNTRACKED):
        stages.append("figures")  # for what its MLflow run adds
    with TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        replies = [
            (cell, pool.submit(_run, "measurement", request.model_dump_json()))
            for cell, parts in requests.items()
            for request in parts
        ]
        drawn = pool.submit(_draw, params, tasks, Path(folder)) if draws else None
        footprint = pool.submit(_run, "footprint", params.model_dump_json(), *stages)
        models: dict[tuple[str, str, str], Model] = {}
        for cell, future in replies:
            reply = Reply.model_validate_json(future.result())
            models |= {(*cell, kind): Model.fit(found, reply.start_seconds) for kind, found in reply.kinds.items()}
        return Calibration(models, Footprint.model_validate_json(footprint.result()), drawn.result() if drawn else None)


def _requests(cell: Cell, works: Sequence[StageWork]) -> list[Request]:
    """What to measure for a cell; whole episodes apart, since their workers import less."""
    mine = [work for work in works if (work.env, work.trained_as) == (cell.task.env_id, cell.algorithm)]
    widths: dict[Kind, int] = {}
    for load in (load for work in mine for load in work.loads):
        widths[load.kind] = max(widths.get(load.kind, 1), load.width)
    light: dict[Kind, int] = {kind: width for kind, width in widths.items() if kind == "episodes"}
    heavy: dict[Kind, int] = {kind: width for kind, width in widths.items() if kind != "episodes"}
    budget = cell.params.budget
    return [
        Request(
            recipe=cell.recipe,
            widths=part,
            sizes=budget.gradient.sizes,
            baseline_sizes=budget.baselines.sizes,
            fit=cell.params.true_value,
        )
        for part in (heavy, light)
        if part
    ]


def _draw(params: Params, tasks: dict[str, Task], folder: Path) -> Drawn:
    tables.write(params, tasks, folder)
    return Drawn.model_validate_json(_run("drawing", params.model_dump_json(), str(folder)))


def _run(module: str, request: str, *arguments: str) -> str:
    """The reply of a measuring process."""
    command = [sys.executable, "-m", f"dpg.planning.{module}", *arguments]
    done = subprocess.run(
        command, input=request, env=os.environ | ONE_THREAD, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise CalibrationError(f"measuring on this machine failed: {done.stderr.strip().removeprefix('error: ')}")
    return done.stdout
