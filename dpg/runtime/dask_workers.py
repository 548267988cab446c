"""The workers of a Dask cluster (`DPG_BACKEND=dask`), however it was deployed.

A shard travels as bytes: Dask's scheduler deserializes what it passes on, and would need a shard's classes and memory.
A worker deserializes them only after it has checked that its versions and code give the same result.
"""

import logging
import pickle
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cloudpickle
import dask.config
import distributed

from dpg.runtime import fingerprint
from dpg.runtime.errors import UserError
from dpg.runtime.workers import TaskResult, Workers, run_task

TIMEOUT_S = 10.0  # to reach the scheduler
NO_WORKERS_TIMEOUT_S = 120.0  # that a cluster may be without workers
POLL_INTERVAL_S = 2.0
UNKNOWN_WORKER = "a Dask worker"


@dataclass(frozen=True)
class Identity:
    """What a result depends on besides the inputs of its shard."""

    versions: dict[str, str]
    code: tuple[str, ...]  # digests: of `dpg`, then of each of the user's own modules
    threads: int


class DaskWorkers(Workers):
    """Single-threaded workers on any number of machines."""

    def __init__(self, client: Any, address: str, modules: tuple[str, ...]) -> None:
        self._client = client
        self._address = address
        self._modules = modules
        self._ours = identity(modules, threads=1)
        self._checked: set[str] = set()
        self._workers: set[str] = set()  # addresses
        self._polled = self._last_seen = time.monotonic()
        self._poll()

    @classmethod
    def connect(cls, address: str | None, modules: tuple[str, ...] = ()) -> "DaskWorkers":
        """The cluster of the scheduler at `address`; `modules` are the user's own modules that shards import.

        Raises:
            UserError: there is no address, no scheduler, or no usable worker.
        """
        if not address:
            raise UserError("DPG_BACKEND = 'dask' needs DPG_SCHEDULER, the scheduler's address: tcp://host:8786")
        # The client would log a traceback for errors that are reported below as a UserError.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        try:
            client = distributed.Client(address, timeout=TIMEOUT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                f"DPG_SCHEDULER = {address!r}: no Dask scheduler answers there ({error}); "
                "`python -m dask scheduler` starts one"
            ) from error
        try:
            _check_scheduler(client, address)
            return cls(client, address, modules)
        except BaseException:
            client.close()
            raise

    @property
    def width(self) -> int:
        """The number of workers when last polled, which may change."""
        return max(1, len(self._workers))

    def submit(self, function: Callable[[Any], Any], shard: Any, avoid: Collection[str]) -> Any:
        """Start on any worker outside `avoid`, or on any worker if there is none."""
        if self._client.status != "running":
            raise self._lost(f"the client is {self._client.status}")
        others = [worker for worker in self._workers if worker not in avoid] if avoid else []
        # A shard carries its inputs, however large: no reason for a warning.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            return self._client.submit(
                _run_checked,
                cloudpickle.dumps((function, shard)),
                self._ours,
                self._modules,
                pure=False,
                workers=others or None,
                allow_other_workers=bool(others),
            )

    def finished(self, futures: Sequence[Any]) -> list[tuple[Any, TaskResult]]:
        """Dask itself restarts the work of a dead worker on another."""
        while True:
            if time.monotonic() - self._polled > POLL_INTERVAL_S:
                self._poll()
            try:
                with self._client.as_current():  # it is not the process's default client
                    ended: Any = distributed.wait(list(futures), timeout=POLL_INTERVAL_S, return_when="FIRST_COMPLETED")
                return [(future, self._result(future)) for future in ended.done]
            except TimeoutError:
                continue
            except distributed.CancelledError as error:
                raise self._lost("it broke off the connection") from error

    def restart(self) -> None:
        """Dask replaces workers by itself."""

    def close(self) -> None:
        """Abandon the work in flight, and leave the cluster running."""
        self._client.close()

    def _result(self, future: distributed.Future) -> TaskResult:
        try:
            result = future.result()
        except distributed.KilledWorker as error:
            # Dask has already retried it on several workers.
            text = f"its workers died, one after another; it may need more memory than they have. {error}"
            return TaskResult(str(error.last_worker.address), None, text, 0.0, 0, final=True)
        except (UserError, distributed.CancelledError):
            raise
        except Exception:  # its result could not be sent
            return TaskResult(UNKNOWN_WORKER, None, traceback.format_exc(), 0.0, 0)
        if isinstance(result, Identity):
            raise UserError(self._refusal(UNKNOWN_WORKER, result))
        return result

    def _poll(self) -> None:
        """Update the workers. Refuse a cluster without any, and workers that would not give the same results."""
        if self._client.status != "running":
            raise self._lost(f"the client is {self._client.status}")
        try:
            workers = self._workers = set(self._client.nthreads())
            new = workers - self._checked
            found = (
                self._client.run(_worker_identity, self._modules, workers=list(new), on_error="return") if new else {}
            )
        except (OSError, TimeoutError) as error:
            raise self._lost(error) from error
        now = self._polled = time.monotonic()
        if workers:
            self._last_seen = now
        elif now - self._last_seen > NO_WORKERS_TIMEOUT_S or not self._checked:
            since = f" and has had none for {now - self._last_seen:.0f} seconds" if self._checked else ""
            raise UserError(
                f"the Dask scheduler at {self._address} has no workers{since}; start some in the project's folder and "
                f"environment: `python -m dask worker {self._address} --nthreads 1`"
            )
        for worker, theirs in found.items():
            if isinstance(theirs, OSError):
                continue  # it has died, or does not answer yet
            if isinstance(theirs, BaseException):
                raise UserError(f"the Dask worker {worker} cannot run this project: {theirs}") from theirs
            if theirs != self._ours:
                raise UserError(self._refusal(worker, theirs))
            self._checked.add(worker)

    def _refusal(self, worker: str, theirs: Identity) -> str:
        """Why a worker's results could differ from this process's."""
        if theirs.threads != 1:
            return (
                f"the Dask worker {worker} has {theirs.threads} threads, and results would depend on their timing; "
                f"start one worker per core: `python -m dask worker {self._address} --nworkers auto --nthreads 1`"
            )
        ours = self._ours.versions
        differ = {name: theirs.versions.get(name) for name in ours if theirs.versions.get(name) != ours[name]}
        if differ:
            return f"the Dask worker {worker} has other package versions than this process: {differ}"
        modules = " and ".join(("dpg", *self._modules))
        return (
            f"the Dask worker {worker} has loaded other code of {modules} than this process: start it in this folder "
            f"({Path.cwd()}) or a copy of it, and again after every change: `python -m dask worker {self._address} "
            "--nthreads 1` (`dask worker` alone takes the installed code, whatever the folder)"
        )

    def _lost(self, error: object) -> UserError:
        return UserError(
            f"the Dask scheduler at {self._address} is lost ({error}); start it and its workers again, then run "
            "the same command: it resumes from the cached shards"
        )


def identity(modules: tuple[str, ...], threads: int) -> Identity:
    """This process's identity, if it ran shards on this many threads."""
    return Identity(_versions(), tuple(_code(module) for module in (None, *modules)), threads)


def _check_scheduler(client: Any, address: str) -> None:
    """Check that the scheduler can import what it passes on: `_run_checked` and an identity."""
    try:
        client.run_on_scheduler(_probe, identity((), threads=1))
    except Exception as error:
        raise UserError(
            f"the Dask scheduler at {address} does not know this project ({type(error).__name__}: {error}); start it "
            "again in this folder and environment: `python -m dask scheduler`"
        ) from error


def _probe(_: Identity) -> None:
    """Nothing: a scheduler that gets here has imported this module."""


def _run_checked(payload: bytes, ours: Identity, modules: tuple[str, ...]) -> TaskResult | Identity:
    """Run a shard, or return this worker's identity where the result could differ."""
    worker = distributed.get_worker()
    theirs = _worker_identity(modules, worker)
    return run_task(_load_and_run, payload, worker.address) if theirs == ours else theirs


def _load_and_run(payload: bytes) -> Any:
    function, shard = pickle.loads(payload)
    return function(shard)


def _worker_identity(modules: tuple[str, ...], dask_worker: Any) -> Identity:
    """The identity of a worker; `Client.run` passes the worker by the argument's name."""
    return identity(modules, dask_worker.state.nthreads)


# Cached at first use: files that change later do not change the code that a worker has loaded.
@cache
def _code(module: str | None) -> str:
    return fingerprint.code((module,) if module else ())


@cache
def _versions() -> dict[str, str]:
    return fingerprint.versions()
