"""Work spread over processes gives what a loop gives."""

import os

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from dpg.runtime.errors import UserError
from dpg.runtime.progress import Progress
from dpg.runtime.seeding import Seed
from dpg.runtime.shards import map_shards, open_workshop
from dpg.runtime.workers import num_jobs


def draw(shard: int) -> tuple[int, float]:
    return shard, float((Seed(0) / "shard" / shard).generator().standard_normal(1000).sum())


def process(_: int) -> int:
    return os.getpid()


def threads(_: int) -> int:
    return max(pool["num_threads"] for pool in threadpool_info())


def multiply(shard: int) -> np.ndarray:
    matrix = np.full((50, 50), float(shard))
    matrix @= matrix
    return matrix


def fail_on_three(shard: int) -> int:
    if shard == 3:
        raise UserError("shard 3 cannot be done")
    return shard


@pytest.fixture
def width(monkeypatch):
    return lambda jobs: monkeypatch.setenv("DPG_JOBS", str(jobs))


def run(function, shards):
    with open_workshop() as workshop, Progress("test", len(shards), "shards") as progress:
        return list(map_shards(function, shards, workshop, progress=progress, work=lambda shard: 1))


def test_one_worker_and_two_give_the_same_in_order(width):
    width(1)
    alone = run(draw, range(7))
    width(2)
    assert run(draw, range(7)) == alone == [draw(shard) for shard in range(7)]


def test_two_workers_are_other_processes(width):
    width(2)
    found = run(process, range(8))
    assert os.getpid() not in found


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_shard_has_one_thread(width, jobs):
    width(jobs)
    run(multiply, [1, 2])  # so that the workers have loaded a BLAS
    assert set(run(threads, range(4))) == {1}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_a_shard_is_raised(width, jobs):
    width(jobs)
    with pytest.raises(UserError, match="shard 3"):
        run(fail_on_three, range(6))


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", ""])
def test_a_width_that_is_not_a_positive_integer_is_refused(monkeypatch, text):
    monkeypatch.setenv("DPG_JOBS", text)
    with pytest.raises(UserError, match="DPG_JOBS"):
        num_jobs()


def test_progress_says_rate_and_time_left_in_plain_lines(capsys):
    with Progress("measuring", 300) as progress:
        progress.advance(100)
        progress.advance(200)
    (line,) = capsys.readouterr().err.splitlines()  # one line at the end: the first advance came too soon for another
    assert line.startswith("measuring: 100%, 300 of 300 pairs, ")
    assert "pairs/s" in line
    assert line.endswith("00:00 left")
