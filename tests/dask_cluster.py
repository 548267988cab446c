"""A Dask cluster of real processes on this machine."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import distributed
import psutil

from tests.waiting import TIMEOUT_S, wait_for

ROOT = Path(__file__).parents[1]


class Cluster:
    """A scheduler, and workers of which each has a process of its own."""

    def __init__(self, folder: Path, cwd: Path = ROOT) -> None:
        self._folder, self._cwd = folder, cwd
        self._processes: list[psutil.Popen] = []
        self.address = ""

    def __enter__(self) -> Self:
        """Start the scheduler, which runs the code of folder `cwd`."""
        file = self._folder / "scheduler.json"
        try:
            self.scheduler = self._start("scheduler", "--scheduler-file", str(file), "--port", "0", cwd=self._cwd)
            wait_for(lambda: file.exists() and file.read_text(encoding="utf-8").endswith("}"))
        except BaseException:
            self.end()
            raise
        self.address = json.loads(file.read_text(encoding="utf-8"))["address"]
        return self

    def __exit__(self, *_: object) -> None:
        """Kill all."""
        self.end()

    def start_worker(self, *options: str, cwd: Path = ROOT) -> psutil.Popen:
        """A worker of one thread, unless `options` say otherwise, that runs the code of folder `cwd`."""
        return self._start("worker", self.address, *(options or ("--nthreads", "1")), cwd=cwd)

    def _start(self, kind: str, *options: str, cwd: Path) -> psutil.Popen:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DPG_", "DASK_"))}
        with (self._folder / f"{kind}-{len(self._processes)}.log").open("w", encoding="utf-8") as log:
            process = psutil.Popen(
                [sys.executable, "-m", "dask", kind, *options, "--host", "127.0.0.1", "--no-dashboard"],
                cwd=cwd,
                env=inherited | {"PYTHONDONTWRITEBYTECODE": "1"},
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process

    def workers(self) -> dict[str, int]:
        """Their process ids, by address."""
        with self.client() as client:
            return client.run(os.getpid)

    def ready(self, count: int) -> None:
        """Wait until so many workers are there."""
        with self.client() as client:
            wait_for(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == count)

    @contextmanager
    def client(self) -> Iterator[distributed.Client]:
        """A client of its own."""
        with distributed.Client(self.address, timeout=TIMEOUT_S, set_as_default=False) as client:
            yield client

    def end_workers(self) -> None:
        """Kill the workers, and wait until the scheduler knows."""
        workers = self._processes[1:]
        if workers:
            self.end(*workers)
        self.ready(0)

    def end(self, *processes: psutil.Popen) -> None:
        """Kill processes and theirs, by default all."""
        for process in processes or self._processes:
            with suppress(psutil.NoSuchProcess):
                for each in (process, *process.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        each.kill()
            process.wait()
