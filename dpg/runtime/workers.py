"""What runs shards: this process, and the interface of all workers.

There are two engines. Local processes are loky's, which joblib uses too; joblib itself gives up every shard when one
fails or a process dies, where each should be retried alone. Dask spreads shards over machines (`dpg.runtime.backends`).
"""

import os
import sys
import time
import traceback
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from threadpoolctl import threadpool_limits

from dpg.runtime.errors import UserError
from dpg.runtime.machine import peak_memory

THIS_PROCESS = "this process"
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "VECLIB_MAXIMUM", "NUMEXPR")}


class WorkersLostError(Exception):
    """The workers died, and everything in flight with them."""


@dataclass(frozen=True)
class TaskResult:
    """The outcome of one attempt at a shard: its result, or an error, as text unless it is a `UserError`."""

    worker: str
    result: Any
    error: str | UserError | None
    cpu_seconds: float
    peak_memory: int  # bytes, of the worker's process so far
    final: bool = False  # an error that is not worth another attempt
    lost: bool = False  # it has neither a result nor an error, and does not count as an attempt


class Workers:
    """What runs shards. The base class is this process, one shard after another; subclasses have other processes.

    What `submit` returns is an opaque, hashable future.
    """

    width = 1  # shards that run at the same time

    def submit(self, function: Callable[[Any], Any], shard: Any, avoid: Collection[str] = ()) -> Any:  # noqa: ARG002
        """Start `function(shard)`, on a worker outside `avoid` where there is a choice, and return its future."""
        return partial(run_task, function, shard, THIS_PROCESS)

    def finished(self, futures: Sequence[Any]) -> list[tuple[Any, TaskResult]]:
        """Wait for at least one future, and return all that are done with their results.

        Raises:
            WorkersLostError: all futures are lost; new workers are there to submit them to.
            UserError: the workers are gone for good.
        """
        return [(futures[0], futures[0]())]

    def close(self) -> None:
        """Release the workers; work in flight is abandoned."""


@contextmanager
def one_thread() -> Generator[None]:
    """Compute on one thread in the block, also with libraries that are first loaded in it.

    Sums over several threads have other bytes.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        with threadpool_limits(1):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_task(function: Callable[[Any], Any], shard: Any, worker: str | None = None) -> TaskResult:
    """Run a shard on one thread. Its errors are returned."""
    started = time.process_time()
    result, error = None, None
    try:
        with one_thread():
            result = function(shard)
    except UserError as found:
        error = found
    except (Exception, SystemExit):  # the user's own code may raise either
        error = traceback.format_exc()
    return TaskResult(worker or f"process {os.getpid()}", result, error, time.process_time() - started, peak_memory())
