"""Work cut into shards: pure functions of (inputs, seed), each of seconds to a minute, spread over workers.

Results come in the shards' order as they become ready, so a reduction neither holds them all nor depends on the number
of workers. Finished shards go to the cache (`dpg.runtime.shard_cache`), from which an interrupted run resumes.
"""

from bisect import insort
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from heapq import nlargest
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from dpg.runtime.backends import open_workers
from dpg.runtime.errors import UserError
from dpg.runtime.local_workers import LocalProcesses
from dpg.runtime.progress import Progress
from dpg.runtime.shard_cache import ShardCache
from dpg.runtime.workers import THIS_PROCESS, TaskResult, Workers, WorkersLostError

Shard = TypeVar("Shard")
Result = TypeVar("Result")

MAX_ATTEMPTS = 3
PREFETCH = 3  # shards per worker that are running, or finished before their turn: the last of them is the longest


class ShardError(UserError):
    """A shard failed in every attempt; the message names its inputs."""


@dataclass
class Usage:
    """What the shards of a stage have cost so far; seconds and memory exclude this process."""

    shards: int = 0
    resumed: int = 0
    cpu_seconds: float = 0.0
    work: dict[str, int] = field(default_factory=dict)  # by the unit of its progress
    peak_memory: dict[str, int] = field(default_factory=dict)  # bytes, by worker

    def add(self, attempt: TaskResult) -> None:
        """Count one attempt, successful or not."""
        if attempt.worker != THIS_PROCESS:
            self.cpu_seconds += attempt.cpu_seconds
            self.peak_memory[attempt.worker] = max(self.peak_memory.get(attempt.worker, 0), attempt.peak_memory)


@dataclass
class ExecutionContext:
    """Where shards run: on which workers, with which cache, and at what cost so far."""

    workers: Workers = field(default_factory=Workers)
    cache: ShardCache | None = None
    usage: Usage = field(default_factory=Usage)


@contextmanager
def open_context(cache: ShardCache | None = None, modules: tuple[str, ...] = ()) -> Generator[ExecutionContext]:
    """A context with the workers that the environment names; `modules` are the user's own modules that shards import.

    Raises:
        UserError: the environment names workers that cannot be used.
    """
    with open_workers(modules) as workers:
        yield ExecutionContext(workers, cache)


def map_shards(
    function: Callable[[Shard], Result],
    shards: Sequence[Shard],
    context: ExecutionContext,
    *,
    progress: Progress,
    work: Callable[[Shard], int],
    then: Callable[[Result], Shard | None] | None = None,
) -> Iterator[Result]:
    """Yield `function(shard)` for every shard, in order; each runs on one thread.

    `work(shard)` is what a shard adds to `progress`, in its unit; shards with more of it start first. With `then`, each
    shard begins a chain, in which the shard `then(result)` follows on a result: all first results come in order, then
    all second ones, and so on, and no chain waits for another. A shard that fails is retried on another worker where
    there is a choice, up to `MAX_ATTEMPTS` attempts; a `UserError` is raised at once.

    Raises:
        ShardError: a shard failed in every attempt; the message names its inputs.
    """
    # A single shard is not worth a process of its own.
    alone = len(shards) == 1 and isinstance(context.workers, LocalProcesses)
    workers = Workers() if alone else context.workers
    pending = partial(_PendingShard, function)
    queue = [pending(shard, work(shard), (0, index)) for index, shard in enumerate(shards)]
    while queue:
        for due in _due(queue, workers.width):
            _begin(due, workers, context.cache)
        head = queue[0]
        if head.done:
            yield _take(queue.pop(0), progress, context)
            continue
        # In a chain, what follows on a cached result should not wait for its turn.
        readable = next((each for each in (queue if then else [head]) if each.cached and not each.done), None)
        for ended in _read_cached(readable, workers, context) if readable else _advance(queue, workers, context):
            if then and (following := then(ended.result)) is not None:
                link, index = ended.turn
                insort(queue, pending(following, work(following), (link + 1, index)), key=attrgetter("turn"))


def _due(queue: Sequence["_PendingShard"], width: int) -> list["_PendingShard"]:
    """The shards to begin, longest first: the next in turn, and one for each worker from what is left to do later.

    So a long shard at the end does not leave the other workers idle, and a bounded number of results wait their turn.
    """
    soon, later = queue[: (PREFETCH - 1) * width], queue[(PREFETCH - 1) * width :]
    room = width - sum(each.begun for each in later)
    early = nlargest(room, (each for each in later if not each.begun), key=attrgetter("work"))
    return sorted((each for each in (*soon, *early) if not each.begun), key=attrgetter("work"), reverse=True)


def _take(head: "_PendingShard", progress: Progress, context: ExecutionContext) -> Any:
    """The result of a shard whose turn it is."""
    progress.advance(head.work, resumed=head.cached)
    context.usage.shards += 1
    context.usage.resumed += head.cached
    context.usage.work[progress.unit] = context.usage.work.get(progress.unit, 0) + head.work
    return head.result


def run_shards(
    function: Callable[[Shard], Result],
    shards: Sequence[Shard],
    context: ExecutionContext,
    *,
    work: Callable[[Shard], int],
    title: str,
    unit: str = "pairs",
) -> Iterator[Result]:
    """`map_shards` with a progress display of its own, over the work of all shards."""
    with Progress(title, sum(map(work, shards)), unit) as progress:
        yield from map_shards(function, shards, context, progress=progress, work=work)


@dataclass(eq=False)
class _PendingShard:
    """A shard whose result has not been yielded yet."""

    function: Callable[[Any], Any]
    shard: Any
    work: int
    turn: tuple[int, int]  # its place in its chain, and the chain's among all: the order of results
    begun: bool = False
    key: str | None = None
    cached: bool = False  # its result is in the cache, from an earlier run
    future: Any = None
    suspect: bool = False  # its workers died repeatedly: run alone, so that a crash can be attributed
    failed_on: list[str] = field(default_factory=list)  # workers, one per failed attempt
    done: bool = False
    result: Any = None


def _begin(pending: _PendingShard, workers: Workers, cache: ShardCache | None) -> None:
    pending.begun = True
    if cache is not None:
        pending.key = cache.key(pending.function, pending.shard)
        pending.cached = pending.key in cache
    if not pending.cached:
        pending.future = workers.submit(pending.function, pending.shard)


def _read_cached(pending: _PendingShard, workers: Workers, context: ExecutionContext) -> list[_PendingShard]:
    """Read a cached result, or recompute one that is damaged; returns the shard when it is done."""
    assert context.cache is not None and pending.key is not None
    try:
        pending.result, pending.done = context.cache.get(pending.key), True
    except KeyError:
        pending.cached = False
        pending.future = workers.submit(pending.function, pending.shard)
        return []
    return [pending]


def _advance(queue: Sequence[_PendingShard], workers: Workers, context: ExecutionContext) -> list[_PendingShard]:
    """Wait until at least one running shard ends, and handle its result; returns the shards that are done now."""
    running = {pending.future: pending for pending in queue if pending.future is not None}
    if not running:
        suspect = next(pending for pending in queue if pending.suspect and not pending.done)
        suspect.future = workers.submit(suspect.function, suspect.shard)
        running = {suspect.future: suspect}
    try:
        finished = workers.finished(list(running))
    except WorkersLostError as error:
        _retry_lost(list(running.values()), f"the worker processes died: {error}", workers)
        return []
    ended: list[_PendingShard] = []
    # Successes first, so that they reach the cache before another shard's last failure is raised.
    for future, outcome in sorted(finished, key=lambda pair: pair[1].error is not None):
        pending = running[future]
        context.usage.add(outcome)
        if outcome.error is not None:
            _record_failure(pending, outcome.worker, outcome.error, final=outcome.final)
            pending.future = workers.submit(pending.function, pending.shard, avoid=pending.failed_on)
            continue
        pending.future, pending.done, pending.result = None, True, outcome.result
        if context.cache is not None and pending.key is not None:
            context.cache.put(pending.key, pending.result)
        ended.append(pending)
    return ended


def _retry_lost(lost: Sequence[_PendingShard], error: str, workers: Workers) -> None:
    """Retry the shards that were lost with the workers.

    Any of them may have killed the workers. So each makes its last attempt alone, and only the culprit is named.
    """
    for pending in lost:
        if len(lost) == 1 or len(pending.failed_on) < MAX_ATTEMPTS - 1:
            _record_failure(pending, "a process that died", error)
        pending.suspect = len(pending.failed_on) == MAX_ATTEMPTS - 1
        pending.future = None if pending.suspect else workers.submit(pending.function, pending.shard)


def _record_failure(pending: _PendingShard, worker: str, error: str, *, final: bool = False) -> None:
    pending.failed_on.append(worker)
    if final or len(pending.failed_on) >= MAX_ATTEMPTS:
        name = f"{pending.function.__module__}.{pending.function.__qualname__}"
        times = f"{len(pending.failed_on)} time{'s' if len(pending.failed_on) > 1 else ''}"
        raise ShardError(
            f"{name} failed {times} (on {', '.join(pending.failed_on)}) for {describe(pending.shard)}: {error}"
        )


def describe(value: Any, depth: int = 1) -> str:
    """A shard's inputs on one line: a dataclass by its fields, arrays by their shapes."""
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if is_dataclass(value) and not isinstance(value, type):
        if type(value).__str__ is not object.__str__:
            return str(value)
        inner = ", ".join(f"{f.name}={describe(getattr(value, f.name), depth - 1)}" for f in fields(value))
        return f"{type(value).__name__}({inner if depth >= 0 else '...'})"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
