"""Work cut into shards: pure functions of (inputs, seed), seconds to a minute long, spread over workers.

Results come in shard order, as they are ready, so that a reduction need not hold them all and does not depend on how
many workers there were (`dpg.runtime.workers`). What is finished is kept (`dpg.runtime.scratch`), and not done again by
a run that goes on from a killed one.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from dpg.runtime.errors import UserError
from dpg.runtime.progress import Progress
from dpg.runtime.scratch import Scratch
from dpg.runtime.workers import (
    HERE,
    Attempt,
    InProcess,
    LocalProcesses,
    Ticket,
    Workers,
    WorkersLostError,
    open_workers,
)

Shard = TypeVar("Shard")
Result = TypeVar("Result")

TRIES = 3
AHEAD = 3  # shards a worker that are under way or finished before their turn


class ShardError(UserError):
    """A shard failed as often as it may; the message names its inputs."""


@dataclass
class Usage:
    """What the shards of a stage have taken so far; seconds and memory of other processes alone."""

    shards: int = 0
    resumed: int = 0
    cpu_seconds: float = 0.0
    work: dict[str, int] = field(default_factory=dict)  # by the unit of its progress
    peak_memory: dict[str, int] = field(default_factory=dict)  # bytes, by worker

    def add(self, attempt: Attempt) -> None:
        """One try, whether it ended well or not."""
        if attempt.worker != HERE:
            self.cpu_seconds += attempt.cpu_seconds
            self.peak_memory[attempt.worker] = max(self.peak_memory.get(attempt.worker, 0), attempt.peak_memory)


@dataclass
class Workshop:
    """Where the shards of a stage are done: the workers, the place where finished ones are kept, and the bill."""

    workers: Workers = field(default_factory=InProcess)
    scratch: Scratch | None = None
    usage: Usage = field(default_factory=Usage)


@contextmanager
def open_workshop(scratch: Scratch | None = None, modules: tuple[str, ...] = ()) -> Generator[Workshop]:
    """A workshop with the workers that the environment names; `modules` are a user's own that shards import.

    Raises:
        UserError: the environment names what cannot be used.
    """
    with open_workers(modules) as workers:
        yield Workshop(workers, scratch)


def map_shards(
    function: Callable[[Shard], Result],
    shards: Sequence[Shard],
    workshop: Workshop,
    *,
    progress: Progress,
    work: Callable[[Shard], int],
) -> Iterator[Result]:
    """Yield `function(shard)` for every shard, in order; each runs on one thread.

    `work(shard)` is what a shard adds to `progress`, in its unit. A shard that fails is tried again, `TRIES` times in
    all, on another worker where one can be chosen; what a user can mend (`UserError`) is raised at once.

    Raises:
        ShardError: a shard failed every time; the message names its inputs.
    """
    # One shard alone is not worth a process beside this one.
    alone = len(shards) == 1 and isinstance(workshop.workers, LocalProcesses)
    workers: Workers = InProcess() if alone else workshop.workers
    waiting = deque(shards)
    window: deque[_Task] = deque()
    while waiting or window:
        while waiting and len(window) < AHEAD * workers.width:
            window.append(_begin(_Task(function, waiting.popleft()), workers, workshop.scratch))
        head = window[0]
        if head.kept:
            _take_up(head, workers, workshop)
        while not head.done:
            _advance(window, workers, workshop)
        window.popleft()
        amount = work(head.shard)
        progress.advance(amount, resumed=head.kept)
        workshop.usage.shards += 1
        workshop.usage.resumed += head.kept
        workshop.usage.work[progress.unit] = workshop.usage.work.get(progress.unit, 0) + amount
        yield head.result


@dataclass(eq=False)
class _Task:
    """A shard on its way."""

    function: Callable[[Any], Any]
    shard: Any
    key: str | None = None
    kept: bool = False  # its result lies in the scratch folder, from an earlier run
    ticket: Ticket | None = None
    suspect: bool = False  # its workers died more than once: it is to have them for itself
    tries: list[str] = field(default_factory=list)  # the workers that failed
    done: bool = False
    result: Any = None


def _begin(task: _Task, workers: Workers, scratch: Scratch | None) -> _Task:
    if scratch is not None:
        task.key = scratch.key(task.function, task.shard)
        task.kept = task.key in scratch
    if not task.kept:
        task.ticket = workers.submit(task.function, task.shard, avoid=())
    return task


def _take_up(task: _Task, workers: Workers, workshop: Workshop) -> None:
    """Read a kept result; one that is damaged is done again."""
    assert workshop.scratch is not None and task.key is not None
    try:
        task.result, task.done = workshop.scratch.get(task.key), True
    except KeyError:
        task.kept = False
        task.ticket = workers.submit(task.function, task.shard, avoid=())


def _advance(window: Sequence[_Task], workers: Workers, workshop: Workshop) -> None:
    """Wait until something happens to the shards under way, and see to it."""
    under_way = {task.ticket: task for task in window if task.ticket is not None}
    if not under_way:
        suspect = next(task for task in window if task.suspect and not task.done)
        suspect.ticket = workers.submit(suspect.function, suspect.shard, avoid=())
        under_way = {suspect.ticket: suspect}
    try:
        finished = workers.finished(list(under_way))
    except WorkersLostError as error:
        workers.restart()
        _retry_lost(list(under_way.values()), f"the worker processes died: {error}", workers)
        return
    # What went well first, so that it is kept if another shard has failed for the last time.
    for ticket, attempt in sorted(finished, key=lambda pair: pair[1].error is not None):
        task = under_way[ticket]
        workshop.usage.add(attempt)
        if attempt.error is not None:
            _note_failure(task, attempt.worker, attempt.error, final=attempt.final)
            task.ticket = workers.submit(task.function, task.shard, avoid=task.tries)
            continue
        task.ticket, task.done, task.result = None, True, attempt.result
        if workshop.scratch is not None and task.key is not None:
            workshop.scratch.put(task.key, task.result)


def _retry_lost(tasks: Sequence[_Task], error: str, workers: Workers) -> None:
    """Try again what was lost with the workers.

    Which of the shards killed them is not known. So the last try of each is one with the workers for itself: none is
    blamed for another, and the one that does it is named.
    """
    for task in tasks:
        if len(tasks) == 1 or len(task.tries) < TRIES - 1:
            _note_failure(task, "a process that died", error)
        task.suspect = len(task.tries) == TRIES - 1
        task.ticket = None if task.suspect else workers.submit(task.function, task.shard, avoid=())


def _note_failure(task: _Task, worker: str, error: str, *, final: bool = False) -> None:
    task.tries.append(worker)
    if final or len(task.tries) >= TRIES:
        name = f"{task.function.__module__}.{task.function.__qualname__}"
        times = f"{len(task.tries)} time{'s' if len(task.tries) > 1 else ''}"
        raise ShardError(f"{name} failed {times} (on {', '.join(task.tries)}) for {describe(task.shard)}: {error}")


def describe(value: Any, depth: int = 1) -> str:
    """A shard's inputs in a line: a dataclass by its fields, arrays by their shapes."""
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if is_dataclass(value) and not isinstance(value, type):
        if type(value).__str__ is not object.__str__:
            return str(value)
        inner = ", ".join(f"{f.name}={describe(getattr(value, f.name), depth - 1)}" for f in fields(value))
        return f"{type(value).__name__}({inner if depth >= 0 else '...'})"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
