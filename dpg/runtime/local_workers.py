"""Worker processes on this machine."""

import os
import queue
import signal
import sys
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker as tracker
from typing import Any

import loky
import psutil
from loky import process_executor
from loky.backend import resource_tracker as loky_tracker

from dpg.runtime import parent_process
from dpg.runtime.errors import UserError
from dpg.runtime.workers import ONE_THREAD, TaskResult, Workers, WorkersLostError, run_task


class LocalProcesses(Workers):
    """A pool of processes."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._executor = self._start()

    def _start(self) -> loky.ProcessPoolExecutor:
        # Starting these unblocks SIGINT, which `_sigint_blocked` keeps from the workers.
        loky_tracker.ensure_running()
        tracker.ensure_running()
        return loky.ProcessPoolExecutor(
            self.width, initializer=_start_worker, initargs=(os.getpid(),), env=ONE_THREAD, timeout=None
        )

    def submit(self, function: Callable[[Any], Any], shard: Any, avoid: Collection[str] = ()) -> Any:  # noqa: ARG002
        """Start on any free process: they are alike."""
        try:
            with _sigint_blocked():
                return self._executor.submit(run_task, function, shard)
        except BrokenExecutor as error:  # a process has died since; `finished` reports it
            lost: Future[TaskResult] = Future()
            lost.set_exception(error)
            return lost

    def finished(self, futures: Sequence[Any]) -> list[tuple[Any, TaskResult]]:
        """Those that have a result first; lost processes are replaced once there are none."""
        done = wait(futures, return_when=FIRST_COMPLETED).done
        succeeded = [future for future in done if future.exception() is None]
        try:
            return [(future, future.result()) for future in succeeded or done]
        except BrokenExecutor as error:
            self.close()
            self._executor = self._start()
            raise WorkersLostError((str(error).strip() or type(error).__name__).splitlines()[0]) from error

    def close(self) -> None:
        """Kill the processes."""
        # loky forgets work that no process has taken yet, then finds it in this queue and raises KeyError.
        pending = self._executor._work_ids  # pyright: ignore[reportPrivateUsage]
        with suppress(queue.Empty):
            while True:
                pending.get_nowait()
        self._executor.shutdown(wait=True, kill_workers=True)


def num_jobs() -> int:
    """The number of local worker processes: `DPG_JOBS`, or the cores that this process may use.

    Raises:
        UserError: `DPG_JOBS` is not a positive integer.
    """
    text = os.environ.get("DPG_JOBS")
    if text is None:
        return loky.cpu_count()
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"DPG_JOBS = {text!r}: must be a positive integer, the number of worker processes")
    return int(text)


@contextmanager
def _sigint_blocked() -> Generator[None]:
    """Processes that start in this block inherit the mask, so that Ctrl-C never reaches them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(parent: int) -> None:
    # loky takes 300 MB more than after the first shard for a leak, and replaces the process with a warning. But a shard
    # may well need more than one before it; and where warnings are errors, loky then waits forever.
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize  # pyright: ignore[reportPrivateUsage]
    # Ctrl-C reaches every process of the terminal; the stage alone decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A worker that outlived its stage would hold a core for a result that nobody collects.
    stage = psutil.Process().parent()
    if stage is None or stage.pid != parent:
        os._exit(1)
    parent_process.on_exit(stage, lambda: os._exit(1))
