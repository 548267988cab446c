"""The workers of a Dask cluster (`DPG_BACKEND=dask`), however it was deployed.

A shard travels as bytes: Dask's scheduler deserializes what it passes on, and would need a shard's classes and memory.
A worker deserializes them only after it has checked that its versions and code give the same result.
"""

import logging
import pickle
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
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
SOME_WORKER = "a Dask worker"
# Packages that figures depend on, besides those that numbers do; matplotlib computes contours and layouts with others.
DRAWING = ("contourpy", "imageio", "kiwisolver", "matplotlib", "pillow")


class DaskWorkers(Workers):
    """Single-threaded workers on any number of machines."""

    def __init__(self, address: str | None, modules: tuple[str, ...] = ()) -> None:
        """Connect to the scheduler at `address`; `modules` are the user's own modules that shards import.

        Raises:
            UserError: there is no address, no scheduler, or no usable worker.
        """
        if not address:
            raise UserError("DPG_BACKEND = 'dask' needs DPG_SCHEDULER, the scheduler's address: tcp://host:8786")
        self._address = address
        self._start = f"`python -m dask worker {address} --nworkers auto --nthreads 1`"
        self._expected = modules, identity(modules, threads=1), f"start it in {Path.cwd()} or a copy: {self._start}"
        self._checked: set[str] = set()
        self._workers: set[str] = set()  # addresses
        self._allowed: dict[str, set[str]] = {}  # the workers of each future that avoids some, by its key
        self._polled = self._last_seen = time.monotonic()
        # The client would log a traceback for errors that are reported below as a UserError.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        try:
            self._client: Any = distributed.Client(address, timeout=TIMEOUT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                f"DPG_SCHEDULER = {address!r}: no Dask scheduler answers there ({error}); "
                "`python -m dask scheduler` starts one"
            ) from error
        try:
            self._check_scheduler()
            self._poll()
        except BaseException:
            self.close()
            raise

    def submit(self, function: Callable[[Any], Any], shard: Any, avoid: Collection[str] = ()) -> Any:
        """Start on any worker outside `avoid`, or on any worker if there is none."""
        self._check_connection()
        others = self._workers.difference(avoid) if avoid else set[str]()
        payload = cloudpickle.dumps((function, shard))
        # A shard carries its inputs, however large: no reason for a warning.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            # Were other workers allowed as a last resort, an idle one that fails at once would steal the shard.
            future = self._client.submit(
                _run_checked, payload, self._expected, pure=False, workers=list(others) or None
            )
        if others:
            self._allowed[future.key] = others
        return future

    def finished(self, futures: Sequence[Any]) -> list[tuple[Any, TaskResult]]:
        """Dask itself restarts the work of a dead worker on another."""
        while True:
            if time.monotonic() - self._polled > POLL_INTERVAL_S:
                self._poll()
                if stranded := [future for future in futures if self._is_stranded(future)]:
                    return [(future, TaskResult(SOME_WORKER, None, None, 0.0, 0, lost=True)) for future in stranded]
            try:
                with self._client.as_current():  # it is not the process's default client
                    ended: Any = distributed.wait(list(futures), timeout=POLL_INTERVAL_S, return_when="FIRST_COMPLETED")
                return [(future, _result(future)) for future in ended.done]
            except TimeoutError:
                continue
            except distributed.CancelledError as error:
                raise self._lost("it broke off the connection") from error

    def _is_stranded(self, future: Any) -> bool:
        """Whether a shard waits for workers that have all gone, while others are there."""
        allowed = self._allowed.get(future.key, self._workers)
        return bool(self._workers) and allowed.isdisjoint(self._workers) and not future.done()

    def close(self) -> None:
        """Abandon the work in flight, and leave the cluster running."""
        self._client.close()

    def _check_scheduler(self) -> None:
        """Check that the scheduler can import the function that it passes on."""
        try:
            self._client.run_on_scheduler(callable, _run_checked)
        except Exception as error:
            raise UserError(
                f"the Dask scheduler at {self._address} does not know this project ({type(error).__name__}: {error}); "
                "start it again in this folder and environment: `python -m dask scheduler`"
            ) from error

    def _poll(self) -> None:
        """Update the workers. Refuse a cluster without any, and workers that would not give the same results."""
        self._check_connection()
        try:
            self._workers = set(self._client.nthreads())
            new = list(self._workers - self._checked)
            found = self._client.run(_check, *self._expected, workers=new, on_error="return") if new else {}
        except (OSError, TimeoutError) as error:
            raise self._lost(error) from error
        now = self._polled = time.monotonic()
        self.width = max(1, len(self._workers))
        if self._workers:
            self._last_seen = now
        elif now - self._last_seen > NO_WORKERS_TIMEOUT_S or not self._checked:
            since = f" and has had none for {now - self._last_seen:.0f} seconds" if self._checked else ""
            raise UserError(
                f"the Dask scheduler at {self._address} has no workers{since}; start some in the project's folder and "
                f"environment: {self._start}"
            )
        for worker, error in found.items():
            if isinstance(error, UserError):
                raise error
            if error is None:
                self._checked.add(worker)
            elif not isinstance(error, OSError):  # it has died, or does not answer yet
                raise UserError(f"the Dask worker {worker} cannot run this project: {error}") from error

    def _check_connection(self) -> None:
        if self._client.status != "running":
            raise self._lost(f"the client is {self._client.status}")

    def _lost(self, error: object) -> UserError:
        return UserError(
            f"the Dask scheduler at {self._address} is lost ({error}); start it and its workers again, then run "
            "the same command: it resumes from the cached shards"
        )


def identity(modules: tuple[str, ...], threads: int) -> dict[str, str]:
    """What a result of this process depends on besides the inputs of its shard, if it ran on this many threads."""
    code = {f"the code of {module}": _code(module) for module in ("dpg", *modules)}
    return {"threads": str(threads)} | _versions() | code


# Cached at first use: files that change later do not change the code that a worker has loaded.
_versions = cache(partial(fingerprint.versions, DRAWING))


@cache
def _code(module: str) -> str:
    return (fingerprint.of_package() if module == "dpg" else fingerprint.of_module(module))[:12]


def _check(modules: tuple[str, ...], expected: Mapping[str, str], advice: str, dask_worker: Any) -> None:
    """Refuse this worker if its results could differ. `Client.run` passes the worker by the argument's name.

    Raises:
        UserError: its versions, code or number of threads are not as expected.
    """
    found = identity(modules, dask_worker.state.nthreads)
    differ = [
        f"{name} ({found.get(name)}, not {value})" for name, value in expected.items() if found.get(name) != value
    ]
    if differ:
        raise UserError(
            f"the Dask worker {dask_worker.address} differs from this process in {', '.join(differ)}; {advice} (and "
            "again after every change; `dask worker` alone takes the installed code, whatever the folder)"
        )


def _run_checked(payload: bytes, expected: tuple[tuple[str, ...], Mapping[str, str], str]) -> TaskResult:
    worker = distributed.get_worker()
    _check(*expected, worker)
    return run_task(_load_and_run, payload, worker.address)


def _load_and_run(payload: bytes) -> Any:
    function, shard = pickle.loads(payload)
    return function(shard)


def _result(future: distributed.Future) -> TaskResult:
    try:
        return future.result()
    except distributed.KilledWorker as error:  # Dask has already retried it on several workers
        text = f"its workers died, one after another; it may need more memory than they have. {error}"
        return TaskResult(str(error.last_worker.address), None, text, 0.0, 0, final=True)
    except (UserError, distributed.CancelledError):
        raise
    except Exception:  # its inputs could not be read, or its result not be sent
        return TaskResult(SOME_WORKER, None, traceback.format_exc(), 0.0, 0)
