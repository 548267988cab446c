"""The attempts at a shard: it is retried after a failure, and in the end has a result or an error that names it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

from dpg.runtime.errors import UserError
from dpg.runtime.workers import TaskResult, Workers

MAX_ATTEMPTS = 3


class ShardError(UserError):
    """A shard failed in every attempt; the message names its inputs."""


@dataclass(eq=False)
class PendingShard:
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
    num_lost: int = 0  # attempts without an outcome, which do not count
    done: bool = False
    result: Any = None
    error: UserError | None = None  # it is done, without a result

    @property
    def waiting(self) -> bool:
        """Whether it should be computed, and no worker has it yet."""
        return self.begun and not (self.cached or self.suspect or self.done) and self.future is None

    def submit(self, workers: Workers) -> None:
        """Start it alone, on a worker on which it has not failed; on any after `MAX_ATTEMPTS` were lost.

        A shard that kills the workers to which it is restricted would be lost without end.
        """
        avoid = self.failed_on if self.num_lost < MAX_ATTEMPTS else ()
        self.future = workers.submit(self.function, self.shard, avoid=avoid)

    def fail(self, worker: str, error: str | UserError, *, final: bool = False) -> None:
        """Count a failed attempt; after the last one the shard is done, with an error."""
        self.future = None
        self.failed_on.append(worker)
        if isinstance(error, UserError):
            error.args = (f"{describe(self.shard)}: {error}",)  # of whatever class it is
            self.error = error
        elif final or len(self.failed_on) >= MAX_ATTEMPTS:
            name = f"{self.function.__module__}.{self.function.__qualname__}"
            times = f"{len(self.failed_on)} time{'s' if len(self.failed_on) > 1 else ''}"
            where = ", ".join(self.failed_on)
            self.error = ShardError(f"{name} failed {times} (on {where}) for {describe(self.shard)}: {error}")
        self.done = self.error is not None


def end_task(batch: Sequence[PendingShard], outcome: TaskResult, workers: Workers) -> None:
    """Give the shards of a task their results. Those that failed or were lost are retried, alone."""
    if outcome.lost:
        for pending in batch:
            pending.num_lost += 1
    elif outcome.error is None:
        results = [outcome.result] if len(batch) == 1 else outcome.result
        for pending, result in zip(batch, results, strict=True):
            pending.future, pending.done, pending.result = None, True, result
    elif len(batch) == 1:
        batch[0].fail(outcome.worker, outcome.error, final=outcome.final)
    for pending in batch:
        if not pending.done:
            pending.submit(workers)


def retry_lost(lost: Sequence[PendingShard], error: str, workers: Workers) -> None:
    """Retry the shards that were lost with the workers.

    Any of them may have killed the workers. So each makes its last attempt alone, and only the culprit is named.
    """
    for pending in lost:
        pending.future = None
        if len(lost) == 1 or len(pending.failed_on) < MAX_ATTEMPTS - 1:
            pending.fail("a process that died", error)
        pending.suspect = len(pending.failed_on) == MAX_ATTEMPTS - 1
        if not (pending.suspect or pending.done):
            pending.submit(workers)


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
