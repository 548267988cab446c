"""Stages as child processes: `dvc repro --single-item` of each, its output line by line, and signals.

DVC has no parallel `repro` (dvc #755); until it has, this, `dpg.cli.scheduler` and `dpg.cli.repro` are one.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial

import psutil

from dpg.cli import dag
from dpg.cli.dag import Pipeline
from dpg.cli.scheduler import Outcome, State, schedule
from dpg.runtime.parent_process import SHELLS

# DVC ends every command with these. Repeated for each stage, they would hide the stages' own lines.
HINTS = (
    "To track the changes with git, run:",
    "git add ",
    "To enable auto staging, run:",
    "dvc config core.autostage true",
    "Use `dvc push` to send your updates to remote storage.",
    "Generating lock file ",
    "Updating lock file ",
    "Data and pipelines are up to date.",  # true of one stage only
)
# A process that a stage started may hold its output open after the stage has ended.
LAST_LINES_TIMEOUT_S = 5.0
POLL_INTERVAL_S = 0.2

Say = Callable[[str, str, bool], None]  # stage, line, whether it is an error
OnStop = Callable[[list[str]], None]  # the running stages, at the first signal


class StageProcesses:
    """The running stages. After SIGINT or SIGTERM no other starts.

    A terminal sends SIGINT to the child processes too; DVC waits for the command of its stage, which ends by itself.
    SIGTERM reaches this process alone and is passed on to the commands, not to DVC, which may be writing `dvc.lock`.
    """

    def __init__(self, say: Say, on_stop: OnStop, *, force: bool, environment: Mapping[str, str]) -> None:
        self._say, self._on_stop = say, on_stop
        self._options = ["--force"] if force else []
        self._environment = environment
        self._running: set[str] = set()
        self.signal: signal.Signals | None = None

    async def run(self, pipeline: Pipeline, jobs: int) -> dict[str, Outcome]:
        """Run the pipeline, `jobs` stages at a time."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.stop, number)
        call = partial(self.call, changed=pipeline.changed)
        return await schedule(pipeline, jobs, call, stopped=lambda: self.signal is not None)

    def stop(self, number: signal.Signals) -> None:
        """Start no other stage; after SIGTERM, end the commands of those that run."""
        if self.signal is None:
            self._on_stop(list(self._running))
        if self.signal != signal.SIGTERM:  # of which a later Ctrl-C takes nothing back
            self.signal = number

    async def call(self, stage: str, changed: Collection[str]) -> Outcome:
        """Let DVC run a stage if it is stale; `changed` are the stages whose outputs are not those in `dvc.lock`."""
        started = time.monotonic()
        unchanged = {f"{kind}'{stage}' didn't change, skipping" for kind in ("Stage ", "")}
        said: list[str] = []

        def hear(line: str, *, error: bool) -> None:
            if line in unchanged:
                said.append(line)
            if line.strip() and not line.strip().startswith(HINTS):
                self._say(stage, line, error)

        # In a thread, so that lines of other stages appear meanwhile.
        before = await asyncio.to_thread(dag.locked, stage)
        code = await self._run(stage, hear)
        seconds = time.monotonic() - started
        if code != 0:
            state = State.FAILED if self.signal is None else State.INTERRUPTED
            self._say(stage, f"{state} after {seconds:,.1f} s", True)
            return Outcome(state, seconds)
        if said:
            return Outcome(State.UNCHANGED, seconds)
        self._say(stage, f"{State.DONE} in {seconds:,.1f} s", False)
        after = await asyncio.to_thread(dag.locked, stage)
        return Outcome(State.DONE, seconds, altered=stage in changed or before is None or after != before)

    async def _run(self, stage: str, hear: Callable[..., None]) -> int:
        # Without --single-item or --wait-for-lock, DVC processes side by side fail (dvc #755, #11054).
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", *self._options, stage),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        assert process.stdout is not None and process.stderr is not None
        pumps = [
            asyncio.ensure_future(_pump(process.stdout, partial(hear, error=False))),
            asyncio.ensure_future(_pump(process.stderr, partial(hear, error=True))),
        ]
        self._running.add(stage)
        try:
            await self._end_of(process)
            _, late = await asyncio.wait(pumps, timeout=LAST_LINES_TIMEOUT_S)
            for pump in late:
                pump.cancel()
        finally:
            self._running.discard(stage)
            if process.returncode is None:
                for command in commands(process.pid):
                    terminate(command)
        assert process.returncode is not None
        return process.returncode

    async def _end_of(self, process: asyncio.subprocess.Process) -> None:
        """Wait; after SIGTERM, terminate every command of the process once, those that it is about to start too."""
        end = asyncio.ensure_future(process.wait())
        terminated: set[psutil.Process] = set()
        while not end.done():
            if self.signal == signal.SIGTERM:
                for command in set(commands(process.pid)) - terminated:
                    terminate(command)
                    terminated.add(command)
            await asyncio.wait([end], timeout=POLL_INTERVAL_S)


def environment_of(jobs: int) -> dict[str, str]:
    """The environment of stages that run `jobs` at a time, with an equal share of the cores for each.

    Raises:
        UserError: `DPG_JOBS` is set, and not a positive integer.
    """
    from dpg.runtime.local_workers import num_jobs

    workers = num_jobs() if "DPG_JOBS" in os.environ else max(1, num_jobs() // jobs)
    return {**os.environ, "DPG_JOBS": str(workers), "PATH": dag.executable_path(), "PYTHONUNBUFFERED": "1"}


def commands(dvc: int) -> list[psutil.Process]:
    """The commands that a DVC process runs: its child processes, and those of shells among them."""
    try:
        found = psutil.Process(dvc).children()
        return found + [child for shell in found if shell.name() in SHELLS for child in shell.children()]
    except psutil.NoSuchProcess:  # one has ended meanwhile
        return []


def terminate(process: psutil.Process) -> None:
    """Send SIGTERM, unless the process is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()


async def _pump(stream: asyncio.StreamReader, hear: Callable[[str], None]) -> None:
    rest = b""
    while chunk := await stream.read(1 << 16):
        # A carriage return redraws a progress bar; each redrawing is a line.
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            hear(line.decode(errors="replace").rstrip())
    if rest:
        hear(rest.decode(errors="replace").rstrip())
