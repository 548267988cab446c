"""Contenders timed alternately on the same cores, in single-threaded processes.

A case builds its contenders once in every process. They alternate in order (A B, B A, ...); the first round warms the
caches and is discarded. A ratio is taken within each round, so that a slowdown of a whole round cancels; the median,
minimum and maximum of the ratios are reported.

On one core, seconds are CPU seconds of the process, which other programs affect little. On several they are wall
seconds, and speeds are summed over the processes.
"""

import gc
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from types import TracebackType
from typing import Protocol, Self

from dpg.runtime.workers import ONE_THREAD


class Case(Protocol):
    """What is timed: hashable, and small enough to send to other processes."""

    def contenders(self, core: int) -> Mapping[str, Callable[[], int]]:
        """The contenders of the process on this core, by name; a call does some work and returns its pairs."""
        ...


@dataclass(frozen=True)
class Timing:
    """One run of one contender in one process."""

    pairs: int
    wall: float
    cpu: float


# One contender's run in one round: a timing per process.
Lap = list[Timing]


@dataclass(frozen=True)
class Row:
    """One comparison: median speeds of `ours` and `peer` in `unit`; median, minimum and maximum of their ratio.

    `target` is the ratio to reach, or None. `cpu_share` is the share of the wall time that the processes spent
    computing; well below 1, the machine was busy or the work waited. `cpu_ratio` is the median ratio by CPU seconds,
    which other programs affect less.
    """

    name: str
    ours: float
    peer: float
    ratio: float
    ratio_low: float
    ratio_high: float
    target: float | None
    unit: str
    rounds: int
    cpu_ratio: float
    cpu_share: float

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target."""
        return None if self.target is None else self.ratio >= self.target


@dataclass(frozen=True)
class Skipped:
    """A comparison that was not possible, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Race:
    """The laps of every contender, by round."""

    laps: Mapping[str, Sequence[Lap]]

    def row(self, name: str, ours: str, peer: str, target: float | None) -> Row:
        """The comparison of two contenders."""
        mine, theirs = self.laps[ours], self.laps[peer]
        several = len(mine[0]) > 1 or len(theirs[0]) > 1
        my_speeds, their_speeds = ([_speed(lap, wall=several) for lap in laps] for laps in (mine, theirs))
        by_cpu = _ratios(*([_speed(lap, wall=False) for lap in laps] for laps in (mine, theirs)))
        ratios = _ratios(my_speeds, their_speeds)
        timings = [timing for lap in (*mine, *theirs) for timing in lap]
        return Row(
            name=name,
            ours=statistics.median(my_speeds),
            peer=statistics.median(their_speeds),
            ratio=statistics.median(ratios),
            ratio_low=min(ratios),
            ratio_high=max(ratios),
            target=target,
            unit="pairs per second" if several else "pairs per CPU second",
            rounds=len(ratios),
            cpu_ratio=statistics.median(by_cpu),
            cpu_share=sum(timing.cpu for timing in timings) / sum(timing.wall for timing in timings),
        )

    def with_extra(self, name: str, base: str, more: str, less: str) -> "Race":
        """The race with a derived contender: in each round, `base` plus the difference of `more` and `less`.

        The difference of two short runs is visible where it would vanish in the noise of a long one.
        """
        rounds = zip(self.laps[base], self.laps[more], self.laps[less], strict=True)
        laps = [
            [
                Timing(b.pairs, b.wall + m.wall - s.wall, b.cpu + m.cpu - s.cpu)
                for b, m, s in zip(base_lap, more_lap, less_lap, strict=True)
            ]
            for base_lap, more_lap, less_lap in rounds
        ]
        return Race({**self.laps, name: laps})


def _speed(lap: Lap, *, wall: bool) -> float:
    return sum(timing.pairs / (timing.wall if wall else timing.cpu) for timing in lap)


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [mine / peer for mine, peer in zip(ours, theirs, strict=True)]


def race(runs: Mapping[str, Callable[[], Lap]], rounds: int) -> Race:
    """Run the contenders `rounds` times, after one discarded round; every second round runs in reverse order."""
    laps: dict[str, list[Lap]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name in list(runs)[:: -1 if number % 2 else 1]:
            lap = runs[name]()
            if number > 0:
                laps[name].append(lap)
    return Race(laps)


class Cores:
    """At most `limit` processes, each pinned to its own core where the system supports it."""

    def __init__(self, limit: int) -> None:
        numbers = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        os.environ.update(ONE_THREAD)  # inherited by the processes before they load any library
        context = multiprocessing.get_context("spawn")
        self._pools = [
            ProcessPoolExecutor(1, mp_context=context, initializer=_pin, initargs=(number,))
            for number in tuple(numbers)[:limit]
        ]

    @property
    def count(self) -> int:
        """The number of processes."""
        return len(self._pools)

    def race(self, case: Case, names: Sequence[str], rounds: int, num_cores: int = 1) -> Race:
        """Race contenders of a case against each other on the same cores."""
        self._prepare(case, num_cores)
        return race({name: partial(self._lap, case, name, num_cores) for name in names}, rounds)

    def scaling(self, case: Case, name: str, rounds: int) -> Race:
        """Race one contender on "all cores", with the same work on each, against "one core"."""
        self._prepare(case, self.count)
        runs = {"all cores": self.count, "one core": 1}
        return race({label: partial(self._lap, case, name, cores) for label, cores in runs.items()}, rounds)

    def _prepare(self, case: Case, num_cores: int) -> None:
        futures = [pool.submit(_prepare, case, core) for core, pool in enumerate(self._pools[:num_cores])]
        for future in futures:
            future.result()

    def _lap(self, case: Case, name: str, num_cores: int) -> Lap:
        futures = [pool.submit(_time, case, core, name) for core, pool in enumerate(self._pools[:num_cores])]
        return [future.result() for future in futures]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)


# The functions below run in the processes.


def _pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


@lru_cache(maxsize=1)
def _contenders(case: Case, core: int) -> Mapping[str, Callable[[], int]]:
    """The contenders of this process, which keep their state between runs; only the latest case is cached."""
    return case.contenders(core)


def _prepare(case: Case, core: int) -> None:
    _contenders(case, core)


def _time(case: Case, core: int, name: str) -> Timing:
    run = _contenders(case, core)[name]
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    pairs = run()
    return Timing(pairs, time.perf_counter() - wall, time.process_time() - cpu)
