"""Stages as child processes: `dvc repro` of a single stage, its output line by line, and signals."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from dpg.cli import dag
from dpg.cli.dag import Outputs, Pipeline
from dpg.cli.walk import Outcome, State, walk
from dpg.runtime.parent_process import SHELLS

# DVC closes every command with them; once for each stage, they would drown the stages' own lines.
HINTS = (
    "To track the changes with git, run:",
    "git add ",
    "To enable auto staging, run:",
    "dvc config core.autostage true",
    "Use `dvc push` to send your updates to remote storage.",
    "Generating lock file ",
    "Updating lock file ",
    "Data and pipelines are up to date.",  # of one stage it says little
)
# A process that a stage started may hold its output open after the stage has ended.
SECONDS_FOR_LAST_LINES = 5.0
POLL_INTERVAL_S = 0.2

Say = Callable[[str, str, bool], None]


class Children:
    """The stages that run now. SIGINT and SIGTERM stop the start of others.

    A terminal sends its SIGINT to the children too: DVC waits for the command of its stage, which ends as it sees fit.
    SIGTERM comes to this process alone, and is passed on to the commands; DVC may be writing `dvc.lock`, and goes on.
    """

    def __init__(self, say: Say, *, force: bool, environment: Mapping[str, str]) -> None:
        self._say = say
        self._options = ["--force"] if force else []
        self._environment = environment
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._ending: asyncio.Future[None] | None = None
        self._ended: set[psutil.Process] = set()
        self.signal: signal.Signals | None = None

    @property
    def stopped(self) -> bool:
        """A signal came."""
        return self.signal is not None

    def watch_signals(self, told: Callable[[list[str]], None]) -> None:
        """Take SIGINT and SIGTERM from now on; `told` gets the stages that run then."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number, told)

    def _stop(self, number: signal.Signals, told: Callable[[list[str]], None]) -> None:
        if not self.stopped:
            told(list(self._running))
        self.signal = number
        self._end_if_told()

    def _end_if_told(self) -> None:
        if self.signal == signal.SIGTERM and (self._ending is None or self._ending.done()):
            self._ending = asyncio.ensure_future(self._end_commands())

    async def _end_commands(self) -> None:
        """End every command once, also one that DVC was only about to start."""
        while self._running:
            for process in self._running.values():
                for command in set(commands(process.pid)) - self._ended:
                    terminate(command)
                    self._ended.add(command)
            await asyncio.sleep(POLL_INTERVAL_S)

    async def call(self, stage: str, before: Outputs | None) -> Outcome:
        """Let DVC run a stage, if it is stale; `before` are its outputs up to now."""
        started = time.monotonic()
        unchanged = {f"{kind}'{stage}' didn't change, skipping" for kind in ("Stage ", "")}
        said: list[str] = []

        def hear(line: str, *, error: bool) -> None:
            if line in unchanged:
                said.append(line)
            if line.strip() and not line.strip().startswith(HINTS):
                self._say(stage, line, error)

        code = await self._run(stage, hear)
        seconds = time.monotonic() - started
        if code != 0:
            state = State.INTERRUPTED if self.stopped else State.FAILED
            self._say(stage, f"{state} after {seconds:,.1f} s", True)
            return Outcome(state, seconds)
        if said:
            return Outcome(State.UNCHANGED, seconds)
        self._say(stage, f"{State.DONE} in {seconds:,.1f} s", False)
        # In a thread: DVC takes a moment to read, in which the other stages go on speaking.
        after = await asyncio.to_thread(dag.outputs, stage)
        return Outcome(State.DONE, seconds, altered=before is None or after != before)

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
        self._running[stage] = process
        self._end_if_told()  # the signal may have come while the process was made
        pumps = [
            asyncio.ensure_future(_pump(process.stdout, lambda line: hear(line, error=False))),
            asyncio.ensure_future(_pump(process.stderr, lambda line: hear(line, error=True))),
        ]
        try:
            code = await process.wait()
            _, late = await asyncio.wait(pumps, timeout=SECONDS_FOR_LAST_LINES)
            for pump in late:
                pump.cancel()
            return code
        finally:
            del self._running[stage]
            if process.returncode is None:
                for command in commands(process.pid):
                    terminate(command)


async def run(
    pipeline: Pipeline, jobs: int, children: Children, told: Callable[[list[str]], None]
) -> dict[str, Outcome]:
    """Walk through the pipeline with `children`; `told` gets the stages that run when a signal comes."""
    children.watch_signals(told)
    return await walk(
        pipeline, jobs, lambda stage: children.call(stage, pipeline.outputs[stage]), stopped=lambda: children.stopped
    )


def environment(jobs: int) -> dict[str, str]:
    """The environment of the stages when `jobs` of them run side by side: the cores are shared out.

    Raises:
        UserError: `DPG_JOBS` is set, and not a positive integer.
    """
    from dpg.runtime.local_workers import num_jobs

    workers = num_jobs() if "DPG_JOBS" in os.environ else max(1, num_jobs() // jobs)
    # Stages call `python`: it is to be this one, also where its environment is not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "DPG_JOBS": str(workers), "PATH": path, "PYTHONUNBUFFERED": "1"}


def commands(dvc: int) -> list[psutil.Process]:
    """The commands that a DVC process runs: its children, and theirs where they are shells."""
    try:
        found = psutil.Process(dvc).children()
        return found + [child for shell in found if shell.name() in SHELLS for child in shell.children()]
    except psutil.NoSuchProcess:  # one of them ended meanwhile
        return []


def terminate(process: psutil.Process) -> None:
    """Send SIGTERM, unless the process is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()


async def _pump(stream: asyncio.StreamReader, hear: Callable[[str], None]) -> None:
    rest = b""
    while chunk := await stream.read(1 << 16):
        # A carriage return draws a progress bar anew: each drawing is a line.
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            hear(line.decode(errors="replace").rstrip())
    if rest:
        hear(rest.decode(errors="replace").rstrip())
