"""Work spread over processes gives what a loop gives, whatever fails on the way."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from dpg.runtime.attempts import MAX_ATTEMPTS, ShardError
from dpg.runtime.errors import UserError
from dpg.runtime.local_workers import num_jobs
from dpg.runtime.progress import Progress
from dpg.runtime.seeding import Seed
from dpg.runtime.shard_cache import open_shard_cache
from dpg.runtime.shards import PREFETCH, ExecutionContext, Together, map_shards, open_context
from dpg.runtime.workers import ONE_THREAD, TaskResult, Workers


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


def grow(shard: int) -> int:
    """Holds 400 MB from the second shard on; a second passes, in which loky does not look at the memory."""
    if shard:
        held.append(np.ones(50_000_000 if not held else 1))
        time.sleep(1.2)
    return os.getpid()


held: list[np.ndarray] = []


@dataclass(frozen=True)
class Job:
    """A shard that leaves a trace of every try in a folder."""

    folder: str
    index: int
    num_workers: int = 2

    def __str__(self) -> str:
        return f"job {self.index}"

    def tries(self) -> int:
        return len(list(Path(self.folder).glob(f"{self.index}-*")))

    def leave_trace(self) -> None:
        Path(self.folder, f"{self.index}-{os.getpid()}-{time.monotonic_ns()}").touch()


def jobs_in(folder: Path, count: int = 7, num_workers: int = 2) -> list[Job]:
    return [Job(str(folder), index, num_workers) for index in range(count)]


def tries(jobs: list[Job]) -> list[int]:
    return [job.tries() for job in jobs]


def wait_for_others(job: Job) -> None:
    """Until the other worker, or this one before, has done all shards but this one."""
    if job.num_workers > 1:
        while not all(tries([replace(job, index=index) for index in range(7) if index != job.index])):
            time.sleep(0.01)
        time.sleep(0.3)


def square(job: Job) -> np.ndarray:
    job.leave_trace()
    return np.array([job.index, job.index**2])


def fail_twice(job: Job) -> np.ndarray:
    if job.index == 2 and job.tries() < 2:
        job.leave_trace()
        raise ValueError("not yet")
    return square(job)


def fail_always(job: Job) -> np.ndarray:
    result = square(job)
    if job.index == 4:
        wait_for_others(job)
        raise ValueError(f"no good on try {job.tries()}")
    return result


def find_a_mistake(job: Job) -> np.ndarray:
    result = square(job)
    if job.index == 2:
        raise UserError("ppo.lr = -1: must be positive")
    return result


def fail_on_two_and_earlier_on_five(job: Job) -> np.ndarray:
    """Where there are two workers, that of job 2 waits for the failure of job 5."""
    if job.index == 5:
        job.leave_trace()
        raise UserError("job 5 is wrong")
    if job.index == 2:
        while job.num_workers > 1 and not replace(job, index=5).tries():
            time.sleep(0.01)
        time.sleep(0.3)
        raise UserError("job 2 is wrong") if job.num_workers > 1 else ValueError("job 2 is wrong")
    return square(job)


def square_all(jobs: list[Job]) -> list[np.ndarray]:
    """Two at a time leave one trace, and a third fails them."""
    if any(job.index == 2 for job in jobs):
        raise ValueError("job 2 cannot be computed with another")
    jobs[0].leave_trace()
    return [np.array([job.index, job.index**2]) for job in jobs]


def die_once(job: Job) -> np.ndarray:
    first = job.tries() == 0
    job.leave_trace()
    if job.index == 3 and first:
        wait_for_others(job)
        os.kill(os.getpid(), signal.SIGKILL)
    return np.array([job.index, job.index**2])


def die_always(job: Job) -> np.ndarray:
    result = square(job)
    if job.index == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if job.index == 0:
        time.sleep(1.5)  # it is under way whenever another kills its worker
    return result


def tell_process(job: Job) -> int:
    job.leave_trace()
    return os.getpid()


def fail_on_three(shard: int) -> int:
    if shard == 3:
        raise UserError("shard 3 cannot be done")
    return shard


def leave(_: int) -> int:
    sys.exit("no licence")


@pytest.fixture
def width(monkeypatch):
    return lambda jobs: monkeypatch.setenv("DPG_JOBS", str(jobs))


def run(function, shards, cache=None):
    with open_context(cache) as context, Progress("test", len(shards), "shards") as progress:
        return list(map_shards(function, shards, context, progress=progress, work=lambda shard: 1))


def check_squares(results: list[np.ndarray], count: int = 7) -> None:
    np.testing.assert_array_equal(results, [[index, index**2] for index in range(count)])


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


def test_a_library_that_a_shard_is_the_first_to_load_has_one_thread():
    """Stages import PyTorch at its first use: with more threads the first shard would have other bytes."""
    program = (
        "import sys\n"
        "from dpg.runtime.workers import run_task\n"
        "def count(_):\n    import torch\n    return torch.get_num_threads()\n"
        "assert 'torch' not in sys.modules\n"
        "print(run_task(count, None).result)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ONE_THREAD} | {
        "OMP_NUM_THREADS": "2"
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == "1\n"


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_a_shard_is_raised(width, jobs):
    width(jobs)
    with pytest.raises(UserError, match="shard 3"):
        run(fail_on_three, range(6))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_shard_that_exits_has_failed(width, jobs):
    """The stage would end with its exit code and without a word."""
    width(jobs)
    with pytest.raises(ShardError, match="SystemExit: no licence"):
        run(leave, range(2))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_shard_that_fails_twice_gives_its_result_in_its_place(width, tmp_path, jobs):
    """A machine that was short of memory for a moment must not cost a night's work."""
    width(jobs)
    shards = jobs_in(tmp_path)
    check_squares(run(fail_twice, shards))
    assert tries(shards) == [1, 1, 3, 1, 1, 1, 1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_shard_that_always_fails_is_named_with_its_inputs_and_last_error(width, tmp_path, jobs):
    width(jobs)
    shards = jobs_in(tmp_path, num_workers=jobs)
    with pytest.raises(ShardError) as caught:
        run(fail_always, shards)
    text = str(caught.value)
    assert f"{fail_always.__module__}.fail_always failed 3 times" in text
    assert "job 4" in text
    assert text.endswith("ValueError: no good on try 3\n")
    assert "no good on try 2" not in text
    assert shards[4].tries() == MAX_ATTEMPTS == 3


def test_a_process_that_needs_more_memory_than_at_first_is_kept(width):
    width(2)
    assert len(set(run(grow, range(8)))) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_user_can_mend_is_not_tried_again(width, tmp_path, jobs):
    """It would fail again, and the message would come later and be buried in a traceback."""
    width(jobs)
    shards = jobs_in(tmp_path)
    with pytest.raises(UserError, match=r"^job 2: ppo\.lr = -1: must be positive$") as caught:
        run(find_a_mistake, shards)
    assert not isinstance(caught.value, ShardError)
    assert shards[2].tries() == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_is_raised_in_the_turn_of_its_shard(width, tmp_path, jobs):
    """Which of several errors ends a stage must not depend on the workers."""
    width(jobs)
    shards = jobs_in(tmp_path, num_workers=jobs)
    with pytest.raises(UserError, match="job 2 is wrong"):
        run(fail_on_two_and_earlier_on_five, shards)


def test_shards_are_computed_together_and_alone_where_that_fails(tmp_path):
    """A shard that fails is tried alone, and its neighbours too: they need not fail."""
    shards, context = jobs_in(tmp_path), ExecutionContext(Recorder())
    together = Together(square_all, lambda job: job.index < 4, limit=2)
    with Progress("test", 7, "shards") as progress:
        check_squares(list(map_shards(square, shards, context, progress=progress, work=lambda _: 1, together=together)))
    assert [[job.index for job in np.ravel(task)] for task in context.workers.submitted] == [
        [0, 1], [2, 3], [4, 5], [2], [3], [6],
    ]  # fmt: skip
    assert tries(shards) == [1, 0, 1, 1, 1, 0, 1]


def test_shards_that_were_done_when_another_failed_for_good_are_kept(width, tmp_path, monkeypatch):
    """The next run resumes from them."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    width(2)
    shards = jobs_in(tmp_path)
    with pytest.raises(ShardError), open_shard_cache("train", "a", {}) as cache:
        run(fail_always, shards, cache)
    assert [cache.key(fail_always, shard) in cache for shard in shards] == [index != 4 for index in range(7)]


def test_a_worker_that_is_killed_in_mid_shard_changes_no_result(width, tmp_path):
    """Nor are shards done again that were finished then, before their turn."""
    width(2)
    shards = jobs_in(tmp_path)
    check_squares(run(die_once, shards))
    assert tries(shards) == [1, 1, 1, 2, 1, 1, 1]


def test_the_shard_that_kills_its_worker_every_time_is_named_and_ends_the_stage(width, tmp_path):
    """Not a shard that ran at the same time; and without an endless loop."""
    width(2)
    shards = jobs_in(tmp_path)
    with pytest.raises(ShardError) as caught:
        run(die_always, shards)
    text = str(caught.value)
    assert f"{die_always.__module__}.die_always failed 3 times" in text
    assert "for job 3: the worker processes died" in text
    assert shards[3].tries() == MAX_ATTEMPTS


def test_a_worker_that_dies_while_the_stage_is_busy_is_replaced(width, tmp_path):
    """Stages reduce results between two looks at the workers."""
    width(2)
    shards = jobs_in(tmp_path, 12)
    found = []
    with open_context() as context, Progress("test", len(shards), "shards") as progress:
        for pid in map_shards(tell_process, shards, context, progress=progress, work=lambda shard: 1):
            if not found:
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.5)
            found.append(pid)
    assert len(found) == len(shards)
    assert found[0] not in found[-3:]


def test_results_are_not_computed_far_ahead_of_who_takes_them(width, tmp_path):
    """Memory must not grow with the number of shards when a stage is slower than its workers."""
    width(2)
    shards = jobs_in(tmp_path, 20)
    with open_context() as context, Progress("test", len(shards), "shards") as progress:
        results = map_shards(square, shards, context, progress=progress, work=lambda shard: 1)
        for taken in range(1, 4):
            next(results)
            time.sleep(0.3)
            # The one that was taken, and a window that ends before the next is asked for.
            assert taken <= sum(tries(shards)) <= taken - 1 + PREFETCH * 2
        check_squares([square(shards[0])], 1)
        assert len(list(results)) == 17


class Recorder(Workers):
    """This process, as wide as two, with a list of what was submitted."""

    width = 2

    def __init__(self) -> None:
        self.submitted: list[int] = []

    def submit(self, function, shard, avoid=()):
        self.submitted.append(shard)
        return super().submit(function, shard, avoid)


def test_long_shards_start_before_short_ones_and_results_keep_their_order():
    """A long one at the end would leave the other workers with nothing to do; the bound on results ahead stays."""
    works = [3, 1, 2, 4, *[1] * 20, 9, 5, 7]
    context = ExecutionContext(Recorder())
    with Progress("test", sum(works), "shards") as progress:
        results = map_shards(draw, range(len(works)), context, progress=progress, work=works.__getitem__)
        found = [next(results)]
        # Four in turn, and the two longest of all others.
        assert context.workers.submitted == [24, 26, 3, 0, 2, 1]
        for result in results:
            found.append(result)
            assert len(context.workers.submitted) - len(found) <= PREFETCH * 2
    assert found == [draw(index) for index in range(len(works))]


class LastFirst(Recorder):
    """Of what runs, the last in turn ends first."""

    def finished(self, futures):
        return super().finished(futures[::-1])


def test_nothing_is_begun_whose_turn_comes_after_an_error():
    """Its work would be lost, and the error would come later."""
    context, works = ExecutionContext(LastFirst()), [1, 1, 1, 9, 1, 1]
    together = Together(lambda shards: [*map(fail_on_three, shards)], lambda _: 0, limit=1)
    with Progress("test", sum(works), "shards") as progress:
        results = map_shards(
            fail_on_three, range(6), context, progress=progress, work=works.__getitem__, together=together
        )
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(UserError, match="shard 3"):
            next(results)
    assert context.workers.submitted == [3, 0, 1, 2]


class Leaving(Recorder):
    """Workers of which those to which a shard is restricted always leave before they run it."""

    def submit(self, function, shard, avoid=()):
        future = super().submit(function, shard, avoid)
        return partial(TaskResult, "a worker", None, None, 0.0, 0, lost=True) if avoid else future


def test_a_lost_attempt_does_not_count_and_leaves_the_error():
    """And a shard that is lost wherever it is restricted to does not run without end."""
    context = ExecutionContext(Leaving())
    with Progress("test", 1, "shards") as progress, pytest.raises(ShardError) as caught:
        list(map_shards(int, ["x", "1"], context, progress=progress, work=lambda _: 1))
    assert "int failed 3 times (on this process, this process, this process) for 'x'" in str(caught.value)
    assert "invalid literal for int()" in str(caught.value)
    assert context.workers.submitted.count("x") == 2 * MAX_ATTEMPTS
    assert context.usage.peak_memory == {}


@dataclass(frozen=True)
class Link:
    """A shard of a chain, which leaves a trace."""

    folder: str
    chain: str
    number: int
    waits_for: str = ""

    @property
    def trace(self) -> str:
        return f"{self.chain}{self.number}"


def follow(link: Link) -> Link:
    end = time.monotonic() + 60
    while link.waits_for and not Path(link.folder, link.waits_for).exists():
        if time.monotonic() > end:
            raise UserError(f"{link.trace} waits for {link.waits_for} in vain")
        time.sleep(0.01)
    Path(link.folder, link.trace).touch()
    return link


def next_link(link: Link) -> Link | None:
    """Four links of a, two of b."""
    last = {"a": 3, "b": 1}[link.chain]
    return replace(link, number=link.number + 1, waits_for="") if link.number < last else None


def test_no_chain_waits_for_another_and_results_come_link_by_link(width, tmp_path, monkeypatch):
    """The first of b ends after the fourth of a has begun, so that the third is in the cache of an interrupted run."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    width(2)
    first = [Link(str(tmp_path), "b", 0, waits_for="a3"), Link(str(tmp_path), "a", 0)]

    def results(cache):
        with open_context(cache) as context, Progress("test", 6, "shards") as progress:
            for link in map_shards(follow, first, context, progress=progress, work=lambda link: 1, then=next_link):
                yield link.trace

    with suppress(InterruptedError), open_shard_cache("train", "a", {}) as cache:
        assert next(results(cache)) == "b0"
        raise InterruptedError
    for trace in tmp_path.glob("a?"):
        trace.unlink()
    with open_shard_cache("train", "a", {}) as cache:
        assert cache.num_results >= 4
        assert list(results(cache)) == ["b0", "a0", "b1", "a1", "a2", "a3"]
    assert not Path(tmp_path, "a2").exists()  # it came from the cache


def stop_after(count: int, shards: list[Job], cache) -> None:
    """A stage that takes some results and ends."""
    with open_context(cache) as context, Progress("test", len(shards), "shards") as progress:
        results = map_shards(square, shards, context, progress=progress, work=lambda shard: 1)
        for _ in range(count):
            next(results)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_goes_on_does_only_what_is_missing(width, tmp_path, monkeypatch, jobs):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    width(jobs)
    shards = jobs_in(tmp_path)
    with suppress(InterruptedError), open_shard_cache("train", "a", {}) as cache:
        stop_after(3, shards, cache)
        kept = [cache.key(square, shard) in cache for shard in shards]
        # One in the middle is lost, and one damaged.
        cache.directory.joinpath(f"{cache.key(square, shards[1])}.shard").unlink()
        cache.directory.joinpath(f"{cache.key(square, shards[2])}.shard").write_bytes(b"")
        raise InterruptedError
    assert all(kept[:3])
    before = tries(shards)
    with (
        open_shard_cache("train", "a", {}) as cache,
        open_context(cache) as context,
        Progress("test", len(shards), "shards") as progress,
    ):
        results = list(map_shards(square, shards, context, progress=progress, work=lambda shard: 1))
    check_squares(results)
    assert [after - earlier for after, earlier in zip(tries(shards), before, strict=True)] == [
        0, 1, 1, *(not each for each in kept[3:]),
    ]  # fmt: skip
    assert context.usage.shards == 7
    assert context.usage.resumed == sum(kept) - 2
    assert context.usage.work == {"shards": 7}


def test_one_shard_alone_is_kept_as_well(tmp_path, monkeypatch, width):
    """It is done in the stage's own process."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    width(2)
    shards = jobs_in(tmp_path, 1)
    for _ in range(2):
        with suppress(InterruptedError), open_shard_cache("train", "a", {}) as cache:
            check_squares(run(square, shards, cache), 1)
            raise InterruptedError
    assert tries(shards) == [1]


def test_progress_is_one_plain_line_at_the_end_and_resumed_work_does_not_count_for_the_rate(capsys):
    """Otherwise the time left would be far too short when a long run resumes. Lines between are ten seconds apart."""
    with Progress("measuring", 1000) as progress:
        progress.advance(900, resumed=True)
        time.sleep(0.2)
        progress.advance(100)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("measuring: 100%")
    assert "1.00k/1.00k [00:00<00:00" in line
    rate = re.search(r" ([\d.]+) pairs/s", line)
    assert rate is not None
    assert float(rate[1]) <= 100 / 0.2


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "", "²"])
def test_a_width_that_is_not_a_positive_integer_is_refused(monkeypatch, text):
    monkeypatch.setenv("DPG_JOBS", text)
    with pytest.raises(UserError, match="DPG_JOBS"):
        num_jobs()
