"""Work cut into shards: pure functions of (inputs, seed), spread over local processes.

A shard is seconds to a minute of work. Results come in shard order, as they are ready, so that a reduction need not
hold them all and does not depend on how many workers there were. The width of the machine comes from the environment
(`DPG_JOBS`; default: every core that this process may use), never from parameters: it cannot make a stage stale.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import joblib
from threadpoolctl import threadpool_limits

from dpg.runtime.errors import UserError
from dpg.runtime.progress import Progress

Shard = TypeVar("Shard")
Result = TypeVar("Result")


def num_jobs() -> int:
    """Worker processes: `DPG_JOBS`, or the cores that this process may use.

    Raises:
        UserError: `DPG_JOBS` is not a positive integer.
    """
    text = os.environ.get("DPG_JOBS")
    if text is None:
        return joblib.cpu_count()
    if not text.isdigit() or int(text) == 0:
        raise UserError(f"DPG_JOBS = {text!r}: must be a positive integer, the number of worker processes")
    return int(text)


def map_shards(
    function: Callable[[Shard], Result],
    shards: Sequence[Shard],
    *,
    progress: Progress,
    work: Callable[[Shard], int],
) -> Iterator[Result]:
    """Yield `function(shard)` for every shard, in order; each runs on one thread.

    `work(shard)` is what a finished shard adds to `progress`. An exception in a shard is raised here.
    """
    jobs = min(num_jobs(), len(shards))
    if jobs <= 1:
        results: Iterator[Result] = (_on_one_thread(function, shard) for shard in shards)
    else:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            # max_nbytes: large arguments are sent, not memory-mapped, so that shards may write to their inputs' copies.
            parallel = joblib.Parallel(n_jobs=jobs, return_as="generator", pre_dispatch="2*n_jobs", max_nbytes=None)
            tasks = (joblib.delayed(_on_one_thread)(function, shard) for shard in shards)
            results = cast("Iterator[Result]", parallel(tasks))
    for shard, result in zip(shards, results, strict=True):
        progress.advance(work(shard))
        yield result


def _on_one_thread(function: Callable[[Shard], Result], shard: Shard) -> Result:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    with threadpool_limits(1):
        return function(shard)
