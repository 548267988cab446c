"""Forecasts of time and memory, by arithmetic on made-up measurements and records."""

import pytest

from dpg.planning import forecast
from dpg.planning.forecast import Record
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


def cost(core: float, workers: int = 2) -> dict[str, float]:
    return {
        "core_seconds": core, "wall_seconds": core / workers, "workers": workers, "peak_memory_bytes": 7.0,
        "output_bytes": 8.0,
    }  # fmt: skip


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
    (found,) = forecast.forecast([work(count)], {}, MEASURED, jobs)
    assert (found.workers, found.memory_bytes) == (workers, memory_mb * MB)
    assert (found.wall_seconds, found.core_seconds) == (wall, core)


def test_what_draws_is_counted_in_the_starts_of_its_process():
    (found,) = forecast.forecast([StageWork("figures", starts=4.0)], {}, MEASURED, jobs=2)
    assert (found.core_seconds, found.memory_bytes) == (10.0, 300 * MB)


def test_the_same_work_takes_what_was_recorded_without_any_measurement():
    records = {work(4).name: Record(work(4), cost(90.0))}
    (found,) = forecast.forecast([work(4)], records, None, jobs=2)
    assert found.recorded
    assert (found.core_seconds, found.wall_seconds, found.memory_bytes, found.output_bytes) == (90.0, 45.0, 7, 8)


def test_other_work_takes_as_much_longer_than_measured_as_recorded_work_did():
    """Then 40 seconds of pairs were forecast, and took 80; on other workers it is other work, too."""
    records = {work(4).name: Record(work(4), cost(3 + 2 * 2 + 80))}
    (more,) = forecast.forecast([work(8)], records, MEASURED, jobs=2)
    assert more.core_seconds == 3 + 2 * 2 + 160 and not more.recorded
    (alone,) = forecast.forecast([work(4)], records, MEASURED, jobs=1)
    assert alone.core_seconds == alone.wall_seconds == 3 + 80 and not alone.recorded


def test_a_record_of_little_more_than_a_start_changes_no_forecast():
    records = {work(4, 1).name: Record(work(4, 1), cost(3 + 2 * 2 + 6))}
    (found,) = forecast.forecast([work(8)], records, MEASURED, jobs=2)
    assert found.core_seconds == 3 + 2 * 2 + 80
