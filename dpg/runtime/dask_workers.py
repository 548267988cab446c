"""The workers of a Dask cluster (`DPG_BACKEND=dask`), which any of Dask's deployers may have started."""

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import distributed

from dpg.runtime import fingerprint
from dpg.runtime.errors import UserError
from dpg.runtime.workers import Attempt, Ticket, Workers, attempt

PATIENCE = 10.0  # seconds to reach the scheduler
WITHOUT_WORKERS = 120.0  # seconds that a cluster may have none
LOOK_EVERY = 2.0


class DaskWorkers(Workers):
    """Workers of one thread each, on as many machines as the cluster has."""

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._address = address
        self._checked: set[str] = set()
        self._workers: dict[str, int] = {}  # threads, by address
        self._looked = self._last_seen = time.monotonic()
        self._look()

    @classmethod
    def connect(cls, address: str | None) -> "DaskWorkers":
        """The cluster of the scheduler at `address`.

        Raises:
            UserError: there is no address, no scheduler, or no worker that can be used.
        """
        if not address:
            raise UserError("DPG_BACKEND = 'dask' needs DPG_SCHEDULER, the scheduler's address: tcp://host:8786")
        try:
            client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                f"DPG_SCHEDULER = {address!r}: no Dask scheduler answers there ({error}); `dask scheduler` starts one"
            ) from error
        try:
            return cls(client, address)
        except BaseException:
            client.close()
            raise

    @property
    def width(self) -> int:
        """Workers when last looked, which may change."""
        return max(1, len(self._workers))

    def submit(self, function: Callable[[Any], Any], shard: Any, avoid: Collection[str]) -> Ticket:
        """On any worker, or on another than those of `avoid` where there is one."""
        others = [worker for worker in self._workers if worker not in avoid] if avoid else []
        return Ticket(
            self._client.submit(
                _attempt, function, shard, pure=False, workers=others or None, allow_other_workers=bool(others)
            )
        )

    def finished(self, tickets: Sequence[Ticket]) -> list[tuple[Ticket, Attempt]]:
        """Those that are done; work of a worker that died goes on elsewhere by itself."""
        futures = {ticket.future: ticket for ticket in tickets}
        while True:
            if time.monotonic() - self._looked > LOOK_EVERY:
                self._look()
            try:
                with self._client.as_current():  # it is not the process's default client
                    ended: Any = distributed.wait(list(futures), timeout=LOOK_EVERY, return_when="FIRST_COMPLETED")
                return [(futures[future], self._result(future)) for future in ended.done]
            except TimeoutError:
                continue
            except (OSError, distributed.CancelledError) as error:
                raise self._lost(error) from error

    def restart(self) -> None:
        """Dask finds workers by itself."""

    def close(self) -> None:
        """Give up what is under way, and leave the cluster as it is."""
        self._client.close()

    def _result(self, future: distributed.Future) -> Attempt:
        try:
            return future.result()
        except distributed.KilledWorker as error:
            # Dask has tried it on several workers by then.
            text = f"its workers died, one after another; it may need more memory than they have. {error}"
            return Attempt(str(error.last_worker.address), None, text, 0.0, 0, final=True)

    def _look(self) -> None:
        """See who is there; refuse a cluster without workers, and workers that would not give the same results."""
        if self._client.status != "running":
            raise self._lost(RuntimeError(f"the client is {self._client.status}"))
        try:
            workers = self._workers = self._client.nthreads()
        except (OSError, TimeoutError) as error:
            raise self._lost(error) from error
        now = self._looked = time.monotonic()
        if workers:
            self._last_seen = now
        elif now - self._last_seen > WITHOUT_WORKERS or not self._checked:
            raise UserError(
                f"the Dask scheduler at {self._address} has no workers; start some in the project's folder and "
                f"environment with `dask worker {self._address} --nthreads 1`"
            )
        new = set(workers) - self._checked
        if new:
            self._check_threads({worker: workers[worker] for worker in new})
            self._check_code(new)
            self._checked |= new

    def _check_threads(self, workers: dict[str, int]) -> None:
        for worker, threads in workers.items():
            if threads != 1:
                raise UserError(
                    f"the Dask worker {worker} has {threads} threads, and results would depend on how they meet; "
                    f"start one worker a core: `dask worker {self._address} --nworkers auto --nthreads 1`"
                )

    def _check_code(self, workers: set[str]) -> None:
        ours = (fingerprint.code(), fingerprint.versions())
        found = self._client.run(_code, workers=list(workers), on_error="return")
        for worker, theirs in found.items():
            if isinstance(theirs, BaseException):
                raise UserError(f"the Dask worker {worker} cannot run this project: {theirs}") from theirs
            differ = {name: theirs[1].get(name) for name, value in ours[1].items() if theirs[1].get(name) != value}
            if differ:
                raise UserError(f"the Dask worker {worker} has other versions than this process: {differ}")
            if theirs[0] != ours[0]:
                raise UserError(
                    f"the Dask worker {worker} runs other code than this process: start it in this folder "
                    f"({Path.cwd()}), or a copy of it, and again after every change"
                )

    def _lost(self, error: BaseException) -> UserError:
        return UserError(
            f"the Dask scheduler at {self._address} is lost ({error}); start it and its workers again, and then "
            "the same command: it goes on from the shards that are kept"
        )


def _attempt(function: Callable[[Any], Any], shard: Any) -> Attempt:
    return attempt(function, shard, distributed.get_worker().address)


def _code() -> tuple[str, dict[str, str]]:
    return fingerprint.code(), fingerprint.versions()
