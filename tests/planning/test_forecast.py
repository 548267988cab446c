"""Forecasts of time and memory, by arithmetic on made-up measurements."""

import pytest

from dpg.planning import forecast
from dpg.planning.rates import Measurements, Rates, Startup
from dpg.planning.work import ShardGroup, StageWork

ENV, ALGORITHM = "Hopper-v4", "ppo"
MB = 10**6
# A second a pair and 1 MB; workers hold 200 MB and stages 500 MB before any work.
MEASURED = Measurements(
    rates={(ENV, ALGORITHM): Rates(seconds={"pair": 1.0}, bytes={"pair": 1.0 * MB})},
    worker=Startup(resident=200 * MB, seconds=2.0),
    stages={"value": Startup(resident=500 * MB, seconds=3.0), "figures": Startup(resident=300 * MB, seconds=2.0)},
)


def work(count: int, pairs: int = 10) -> StageWork:
    return StageWork("value", ENV, ALGORITHM, rounds=((ShardGroup(count, {"pair": pairs}, {"pair": pairs}),),))


@pytest.mark.parametrize(
    ("shards", "workers", "expected"),
    [([(3, 2.0)], 2, 4.0), ([(4, 2.0)], 2, 4.0), ([(1, 5.0), (4, 1.0)], 2, 5.0), ([(10_000, 1.0)], 4, 2500.0)],
)
def test_shards_fall_to_the_worker_that_is_free_first(shards, workers, expected):
    assert forecast.makespan(shards, workers) == expected


@pytest.mark.parametrize(
    ("count", "jobs", "workers", "memory_mb", "wall", "core"),
    [
        (4, 2, 2, 500 + 2 * 210, 3 + 2 + 20, 3 + 2 * 2 + 40),
        (3, 8, 3, 500 + 3 * 210, 3 + 2 + 10, 3 + 3 * 2 + 30),
        (4, 1, 1, 500 + 10, 3 + 40, 3 + 40),  # no worker: the stage's own process does it
        (1, 8, 1, 500 + 10, 3 + 10, 3 + 10),
    ],
)
def test_as_many_workers_as_there_are_shards_and_jobs(count, jobs, workers, memory_mb, wall, core):
    found = forecast.forecast(work(count), None, MEASURED, jobs)
    assert (found.workers, found.memory_bytes) == (workers, memory_mb * MB)
    assert (found.wall_seconds, found.core_seconds) == (wall, core)


def test_what_draws_is_counted_in_the_starts_of_its_process():
    found = forecast.forecast(StageWork("figures", starts=4.0), None, MEASURED, jobs=2)
    assert (found.core_seconds, found.memory_bytes) == (10.0, 300 * MB)


def test_the_same_work_takes_what_was_recorded_without_any_measurement():
    cost = {"core_seconds": 90.0, "wall_seconds": 45.0, "peak_memory_bytes": 7, "output_bytes": 8}
    found = forecast.forecast(work(4), cost, None, jobs=2)
    assert found.recorded
    assert (found.core_seconds, found.wall_seconds, found.memory_bytes, found.output_bytes) == (90.0, 45.0, 7, 8)
