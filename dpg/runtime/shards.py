"""Work cut into shards: pure functions of (inputs, seed), each of seconds to a minute, spread over workers.

Results come in the shards' order as they become ready, so a reduction neither holds them all nor depends on the number
of workers. Finished shards go to the cache (`dpg.runtime.shard_cache`), from which an interrupted run resumes.
"""

from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from heapq import nlargest
from itertools import chain, takewhile
from math import ceil
from operator import attrgetter
from typing import Any, Generic, TypeVar

from dpg.runtime.attempts import PendingShard, end_task, retry_lost
from dpg.runtime.backends import open_workers
from dpg.runtime.local_workers import LocalProcesses
from dpg.runtime.progress import Progress
from dpg.runtime.shard_cache import ShardCache
from dpg.runtime.workers import THIS_PROCESS, TaskResult, Workers, WorkersLostError

Shard = TypeVar("Shard")
Result = TypeVar("Result")

PREFETCH = 3  # shards per worker that are running, or finished before their turn: the last of them is the longest


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
        if attempt.worker != THIS_PROCESS and not attempt.lost:
            self.cpu_seconds += attempt.cpu_seconds
            self.peak_memory[attempt.worker] = max(self.peak_memory.get(attempt.worker, 0), attempt.peak_memory)


@dataclass
class ExecutionContext:
    """Where shards run: on which workers, with which cache, and at what cost so far."""

    workers: Workers = field(default_factory=Workers)
    cache: ShardCache | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Together(Generic[Shard, Result]):
    """How several shards are computed in one call, with the results that each would have alone.

    Where there are fewer workers than shards, a worker takes up to `limit` shards of equal `kind` at a time.
    """

    function: Callable[[Sequence[Shard]], Sequence[Result]]
    kind: Callable[[Shard], object]
    limit: int


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
    together: Together[Shard, Result] | None = None,
) -> Iterator[Result]:
    """Yield `function(shard)` for every shard, in order; each runs on one thread.

    `work(shard)` is what a shard adds to `progress`, in its unit; shards with more of it start first. With `then`, each
    shard begins a chain, in which the shard `then(result)` follows on a result: all first results come in order, then
    all second ones, and so on, and no chain waits for another. A shard that fails is retried on another worker where
    there is a choice, up to `MAX_ATTEMPTS` attempts, and not at all after a `UserError`. An error is raised in the turn
    of its shard, so that it does not depend on the workers which of several it is.

    Raises:
        ShardError: a shard failed in every attempt; the message names its inputs.
        UserError: a shard raised it; the message names its inputs first.
    """
    # A single shard is not worth a process of its own.
    alone = len(shards) == 1 and isinstance(context.workers, LocalProcesses)
    workers = Workers() if alone else context.workers
    pending = partial(PendingShard, function)
    queue = [pending(shard, work(shard), (0, index)) for index, shard in enumerate(shards)]
    while queue:
        _begin(queue, workers, context.cache, together)
        head = queue[0]
        if head.done:
            yield _take(queue.pop(0), progress, context)
            continue
        # In a chain, what follows on a cached result should not wait for its turn.
        readable = next((each for each in (queue if then else [head]) if each.cached and not each.done), None)
        for ended in _read_cached(readable, workers, context) if readable else _advance(queue, workers, context):
            if then and ended.error is None and (following := then(ended.result)) is not None:
                link, index = ended.turn
                insort(queue, pending(following, work(following), (link + 1, index)), key=attrgetter("turn"))


def _begin(
    queue: Sequence[PendingShard], workers: Workers, cache: ShardCache | None, together: Together[Any, Any] | None
) -> None:
    """Look for the shards that are due in the cache, and start those that are not there, longest first.

    Nothing is begun whose turn comes after an error.
    """
    needed = list(takewhile(lambda each: each.error is None, queue))
    for pending in _due(needed, workers.width if together is None else len(needed)):
        pending.begun = True
        if cache is not None:
            pending.key = cache.key(pending.function, pending.shard)
            pending.cached = pending.key in cache
    waiting = sorted((each for each in needed if each.waiting), key=attrgetter("work"), reverse=True)
    if together is None:
        for pending in waiting:
            pending.submit(workers)
        return
    idle = workers.width - len({each.future for each in queue if each.future is not None})
    while idle > 0 and waiting:
        kind, size = together.kind(waiting[0].shard), min(together.limit, ceil(len(waiting) / idle))
        batch = [each for each in waiting if together.kind(each.shard) == kind][:size]
        if len(batch) == 1:
            batch[0].submit(workers)
        else:
            future = workers.submit(together.function, [each.shard for each in batch])
            for pending in batch:
                pending.future = future
        waiting = [each for each in waiting if each.future is None]
        idle -= 1


def _due(queue: Sequence[PendingShard], width: int) -> list[PendingShard]:
    """The shards to begin: the next in turn, and one for each worker from what is left to do later, the longest.

    So a long shard at the end does not leave the other workers idle, and a bounded number of results wait their turn.
    """
    soon, later = queue[: (PREFETCH - 1) * width], queue[(PREFETCH - 1) * width :]
    room = width - sum(each.begun for each in later)
    early = nlargest(room, (each for each in later if not each.begun), key=attrgetter("work"))
    return [each for each in (*soon, *early) if not each.begun]


def _take(head: PendingShard, progress: Progress, context: ExecutionContext) -> Any:
    """The result of a shard whose turn it is, or its error."""
    if head.error is not None:
        raise head.error
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


def _read_cached(pending: PendingShard, workers: Workers, context: ExecutionContext) -> list[PendingShard]:
    """Read a cached result, or recompute one that is damaged; returns the shard when it is done."""
    assert context.cache is not None and pending.key is not None
    try:
        pending.result, pending.done = context.cache.get(pending.key), True
    except KeyError:
        pending.cached = False
        pending.submit(workers)
        return []
    return [pending]


def _advance(queue: Sequence[PendingShard], workers: Workers, context: ExecutionContext) -> list[PendingShard]:
    """Wait until at least one running shard ends, and handle its result; returns the shards that are done now."""
    running: dict[Any, list[PendingShard]] = defaultdict(list)
    for pending in queue:
        if pending.future is not None:
            running[pending.future].append(pending)
    if not running:
        suspect = next(pending for pending in queue if pending.suspect and not pending.done)
        suspect.submit(workers)
        running[suspect.future].append(suspect)
    try:
        finished = workers.finished(list(running))
    except WorkersLostError as error:
        retry_lost(list(chain.from_iterable(running.values())), f"the worker processes died: {error}", workers)
        return []
    ended: list[PendingShard] = []
    for future, outcome in finished:
        context.usage.add(outcome)
        end_task(running[future], outcome, workers)
        ended += [pending for pending in running[future] if pending.done]
    for pending in ended:
        if context.cache is not None and pending.key is not None and pending.error is None:
            context.cache.put(pending.key, pending.result)
    return ended
