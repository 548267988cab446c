"""Who does the shards: this process, processes beside it, or a Dask cluster.

The environment says which, never parameters, so that the width of a machine cannot make a stage stale: `DPG_JOBS` local
processes (default: every core that this process may use), or with `DPG_BACKEND=dask` the workers of the scheduler at
`DPG_SCHEDULER`. Processes are loky's, the engine of joblib: its own front end gives up all shards when one fails.
"""

import os
import queue
import signal
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker as tracker
from pathlib import Path
from typing import Any

import loky
import psutil
from loky.backend import resource_tracker as loky_tracker
from threadpoolctl import threadpool_limits

from dpg.runtime import lifeline
from dpg.runtime.errors import UserError

BACKENDS = ("local", "dask")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "VECLIB_MAXIMUM", "NUMEXPR")}
HERE = "this process"


class WorkersLostError(Exception):
    """All that was in flight is lost with the workers that did it."""


@dataclass(frozen=True)
class Attempt:
    """How one try at a shard ended: a result, or the text of an error; who tried, and what it took."""

    worker: str
    result: Any
    error: str | None
    cpu_seconds: float
    peak_memory: int  # bytes: the most that the worker has been resident with until then
    final: bool = False  # it failed in a way that is not worth another try


class Ticket:
    """One try at a shard, under way."""

    def __init__(self, future: Any) -> None:
        self.future = future


class Workers(ABC):
    """Processes that do shards."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Shards that are done at the same time."""

    @abstractmethod
    def submit(self, function: Callable[[Any], Any], shard: Any, avoid: Collection[str]) -> Ticket:
        """Begin `function(shard)`, on workers that are not among `avoid` where that can be chosen and there are any."""

    @abstractmethod
    def finished(self, tickets: Sequence[Ticket]) -> list[tuple[Ticket, Attempt]]:
        """Wait until at least one of the tickets is done, and return those that are.

        Raises:
            WorkersLostError: all tickets are lost; after `restart` they can be submitted again.
            UserError: a shard found something that a user can mend, or the workers are gone for good.
        """

    @abstractmethod
    def restart(self) -> None:
        """Find new workers after the old ones were lost."""

    @abstractmethod
    def close(self) -> None:
        """Let the workers go, whatever they are at."""


class InProcess(Workers):
    """This process, one shard after another."""

    @property
    def width(self) -> int:
        """One."""
        return 1

    def submit(self, function: Callable[[Any], Any], shard: Any, avoid: Collection[str]) -> Ticket:  # noqa: ARG002
        """Nothing yet: the shard is done when it is waited for."""
        return Ticket(lambda: attempt(function, shard, HERE))

    def finished(self, tickets: Sequence[Ticket]) -> list[tuple[Ticket, Attempt]]:
        """Do the first of the tickets."""
        return [(tickets[0], tickets[0].future())]

    def restart(self) -> None:
        """Nothing is ever lost."""

    def close(self) -> None:
        """Nothing is held."""


class LocalProcesses(Workers):
    """Processes on this machine."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._executor = self._start()

    @property
    def width(self) -> int:
        """Processes."""
        return self._width

    def _start(self) -> loky.ProcessPoolExecutor:
        # Starting these lets Ctrl-C through again, which `_without_interrupts` is to keep from the workers.
        loky_tracker.ensure_running()
        tracker.ensure_running()
        return loky.ProcessPoolExecutor(
            self._width, initializer=_begin_worker, initargs=(os.getpid(),), env=ONE_THREAD, timeout=None
        )

    def submit(self, function: Callable[[Any], Any], shard: Any, avoid: Collection[str]) -> Ticket:  # noqa: ARG002
        """On whichever process is free: they are alike."""
        try:
            with _without_interrupts():
                return Ticket(self._executor.submit(attempt, function, shard))
        except BrokenExecutor as error:  # a process died since the last look, which `finished` is to tell
            lost: Future[Attempt] = Future()
            lost.set_exception(error)
            return Ticket(lost)

    def finished(self, tickets: Sequence[Ticket]) -> list[tuple[Ticket, Attempt]]:
        """Those that are done; what went wrong is told when nothing else is left to tell."""
        futures: dict[Future[Attempt], Ticket] = {ticket.future: ticket for ticket in tickets}
        done = wait(futures, return_when=FIRST_COMPLETED).done
        well = [future for future in done if future.exception() is None]
        try:
            return [(futures[future], future.result()) for future in well or done]
        except BrokenExecutor as error:
            raise WorkersLostError(_first_line(error)) from error

    def restart(self) -> None:
        """New processes."""
        self.close()
        self._executor = self._start()

    def close(self) -> None:
        """Kill the processes."""
        # loky forgets what has not been handed to a process, finds it in this queue, and stumbles over it.
        handed_in = self._executor._work_ids  # pyright: ignore[reportPrivateUsage]
        with suppress(queue.Empty):
            while True:
                handed_in.get_nowait()
        self._executor.shutdown(wait=True, kill_workers=True)


@contextmanager
def open_workers(modules: tuple[str, ...] = ()) -> Generator[Workers]:
    """The workers that the environment names; `modules` are a user's own that shards import.

    Raises:
        UserError: `DPG_BACKEND`, `DPG_SCHEDULER` or `DPG_JOBS` cannot be used.
    """
    backend = os.environ.get("DPG_BACKEND", "local")
    if backend not in BACKENDS:
        raise UserError(f"DPG_BACKEND = {backend!r}: must be one of {', '.join(BACKENDS)}")
    if backend == "dask":
        workers = _dask_workers(os.environ.get("DPG_SCHEDULER"), modules)
    else:
        jobs = num_jobs()
        workers = LocalProcesses(jobs) if jobs > 1 else InProcess()
    try:
        yield workers
    finally:
        workers.close()


def _dask_workers(address: str | None, modules: tuple[str, ...]) -> Workers:
    try:
        from dpg.runtime.dask_workers import DaskWorkers  # heavy, and an optional dependency
    except ImportError as error:
        raise UserError("DPG_BACKEND = 'dask' needs Dask: `python -m pip install -e '.[dask]'` installs it") from error
    return DaskWorkers.connect(address, modules)


def num_jobs() -> int:
    """Local worker processes: `DPG_JOBS`, or the cores that this process may use.

    Raises:
        UserError: `DPG_JOBS` is not a positive integer.
    """
    text = os.environ.get("DPG_JOBS")
    if text is None:
        return loky.cpu_count()
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"DPG_JOBS = {text!r}: must be a positive integer, the number of worker processes")
    return int(text)


def attempt(function: Callable[[Any], Any], shard: Any, worker: str | None = None) -> Attempt:
    """Try a shard on one thread. What a user can mend is raised; any other error is told, and may be tried again."""
    started = time.process_time()
    result, error = None, None
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    try:
        with threadpool_limits(1):
            result = function(shard)
    except UserError:
        raise
    except Exception:  # whatever it is, the shard is tried again and then named
        error = traceback.format_exc()
    return Attempt(worker or f"process {os.getpid()}", result, error, time.process_time() - started, peak_memory())


def peak_memory() -> int:
    """The most bytes that this process has been resident with (Linux: `VmHWM`; elsewhere by `getrusage`)."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextmanager
def _without_interrupts() -> Generator[None]:
    """Processes that start here are deaf to Ctrl-C from the first moment on: they inherit the mask."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(parent: int) -> None:
    # Ctrl-C reaches every process of the terminal; the stage alone decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A worker whose stage was killed would hold its core, and never be asked for its result.
    stage = psutil.Process().parent()
    if stage is None or stage.pid != parent:
        os._exit(1)
    lifeline.when_ended(stage, lambda: os._exit(1))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
