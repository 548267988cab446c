"""What work takes on this machine: a bounded number of small measurements, in processes side by side.

Amounts of work, in core seconds each:

- `step`, `pair`: a step of a vector of environments, and each pair that it brings
- `prepare`: a pair that is normalised, valued, and given its advantage
- `policy`, `policy_pair`: an update of policies, and a pair in it; `value`, `value_pair`: of value nets
- `score`, `compare`: a pair whose scores are summed, for one baseline and for all
- `fit`: a pair in an epoch of the true value function's fit; `surrogate`: a pair at a point of a plane

Pairs that are held, in bytes each: `raw` as the environment gave it, `batch` as updates see it, and by the names above
what that work needs of it in passing.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import loky
from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny

from dpg.runtime import config
from dpg.runtime.errors import UserError
from dpg.runtime.local_workers import ONE_THREAD
from dpg.runtime.schema import Params

MOST_TASKS, MOST_CELLS = 6, 9  # that are measured; others take the rates of one that is
DRAWN = ("figures", "report")

CellName = tuple[str, str]


class MeasuringError(UserError):
    """A measurement failed; the message is that of the process that made it."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Rates(_Message):
    """Of one cell: core seconds by the kind of work, and bytes by the kind of pair that is held."""

    seconds: dict[str, float]
    bytes: dict[str, float]

    def joined(self, other: "Rates") -> "Rates":
        """With those of other kinds of work."""
        return Rates(seconds=self.seconds | other.seconds, bytes=self.bytes | other.bytes)


class Process(_Message):
    """Of a process before any work: bytes that it holds, and core seconds until then."""

    resident: int
    seconds: float


def _parsed(value: object) -> Params:
    return value if isinstance(value, Params) else config.parse(value)


class Request(_Message):
    """What a process is to measure."""

    params: Annotated[SerializeAsAny[Params], BeforeValidator(_parsed)]
    cells: tuple[CellName, ...] = ()
    stages: tuple[str, ...] = ()


class Reply(_Message):
    """What was measured: of cells as `env algorithm`, of workers, and of stages' processes.

    `light_worker` is one that runs whole episodes, which takes no PyTorch.
    """

    rates: dict[str, Rates] = {}
    worker: Process = Process(resident=0, seconds=0.0)
    light_worker: Process = Process(resident=0, seconds=0.0)
    stages: dict[str, Process] = {}

    def of(self, env: str, algorithm: str) -> Rates:
        """The rates of a cell; of one that was not measured, those of its task or of another."""
        known = [name for name in self.rates if name.startswith(f"{env} ")] or list(self.rates)
        name = f"{env} {algorithm}"
        return self.rates[name if name in self.rates else known[0]]


def measure(params: Params, cells: Sequence[CellName], stages: Sequence[str]) -> Reply:
    """Measure what these cells and stages' processes take.

    Raises:
        MeasuringError: a measurement failed.
    """
    with ThreadPoolExecutor(loky.cpu_count()) as pool:
        replies = [Reply.model_validate_json(text) for text in pool.map(_run, requests(params, cells, stages))]
    merged: dict[str, object] = {}
    for reply in replies:
        for name, found in reply.model_dump(exclude_defaults=True).items():
            merged[name] = {**_mapping(merged.get(name)), **found} if isinstance(found, dict) else found
    return Reply.model_validate(merged)


def requests(params: Params, cells: Sequence[CellName], stages: Sequence[str]) -> list[Request]:
    """What each process measures: a share of the tasks, the stages that compute, or those that draw."""
    tasks = list(dict.fromkeys(env for env, _ in cells))[:MOST_TASKS]
    # One algorithm of every task comes before a second one of any.
    rank = {cell: sum(env == cell[0] for env, _ in cells[:index]) for index, cell in enumerate(cells)}
    picked = sorted((cell for cell in cells if cell[0] in tasks), key=lambda cell: rank[cell])[:MOST_CELLS]
    width = min(loky.cpu_count(), len(tasks))
    shares = [tuple(cell for cell in picked if tasks.index(cell[0]) % width == index) for index in range(width)]
    found = [Request(params=params, cells=share) for share in shares]
    computing, drawing = (tuple(s for s in stages if (s in DRAWN) == drawn) for drawn in (False, True))
    return found + [Request(params=params, stages=some) for some in (computing, drawing) if some]


def _mapping(found: object) -> Mapping[str, object]:
    return found if isinstance(found, Mapping) else {}


def _run(request: Request) -> str:
    """The reply of a measuring process."""
    module = f"dpg.planning.{'footprint' if request.stages else 'measurement'}"
    done = subprocess.run(
        [sys.executable, "-m", module], input=request.model_dump_json(), env=os.environ | ONE_THREAD,
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if done.returncode:
        raise MeasuringError(f"measuring on this machine failed: {done.stderr.strip().removeprefix('error: ')}")
    return done.stdout
