"""Finished shards outlive their run, are reused where nothing has changed, and are never confused with others."""

import functools
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dpg.runtime import shard_cache
from dpg.runtime.errors import UserError
from dpg.runtime.shard_cache import ShardCache, leftovers, limit_bytes, open_shard_cache


@dataclass(frozen=True)
class Input:
    seed: int
    values: np.ndarray


def measure(shard: Input) -> np.ndarray:
    return shard.values * shard.seed


def other(shard: Input) -> np.ndarray:
    return shard.values - shard.seed


def shard(seed: int, size: int = 100) -> Input:
    return Input(seed, np.arange(float(size)))


class StoppedError(Exception):
    """What ends a block before its end."""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("DPG_SCRATCH_GB", raising=False)
    return tmp_path


def stop(*seeds: int, stage: str = "train", cell: str = "Hopper-v4/ppo", size: int = 100, **inputs: object) -> Path:
    """An execution that has done these shards and then fails; its folder."""
    with suppress(StoppedError), open_shard_cache(stage, cell, inputs) as kept:
        for seed in seeds:
            kept.put(ShardCache.key(measure, shard(seed, size)), measure(shard(seed, size)))
        raise StoppedError
    return kept.directory


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.shard"))


def test_what_a_failed_run_has_done_is_taken_up_by_the_next():
    directory = stop(1, 2)
    with open_shard_cache("train", "Hopper-v4/ppo", {}) as kept:
        assert kept.directory == directory
        assert kept.num_results == 2
        for seed in (1, 2):
            key = ShardCache.key(measure, shard(seed))
            assert key in kept
            np.testing.assert_array_equal(kept.get(key), measure(shard(seed)))
        assert ShardCache.key(measure, shard(3)) not in kept
        with pytest.raises(KeyError):
            kept.get(ShardCache.key(measure, shard(3)))
        # The same input to another function is another shard.
        assert ShardCache.key(other, shard(1)) not in kept


def test_the_folder_goes_with_its_empty_parents_when_the_block_ends_well(project):
    stop(1, cell="Hopper-v4/ppo")
    stop(1, cell="Hopper-v4/trpo")
    with open_shard_cache("train", "Hopper-v4/ppo", {}):
        pass
    assert [path.name for path in (project / ".scratch" / "train" / "Hopper-v4").iterdir()] == ["trpo"]
    with open_shard_cache("train", "Hopper-v4/trpo", {}):
        pass
    assert list(project.iterdir()) == []


def test_a_block_that_fails_keeps_its_folder_and_a_note(project):
    with suppress(StoppedError), open_shard_cache("train", "Hopper-v4/ppo", {}) as kept:
        assert kept.read_metadata("run") is None
        kept.write_metadata("run", "abc")
        raise StoppedError
    with open_shard_cache("train", "Hopper-v4/ppo", {}) as kept:
        assert kept.read_metadata("run") == "abc"
    assert not (project / ".scratch").exists()


@pytest.mark.parametrize(
    ("stage", "cell", "inputs"),
    [
        ("value", "Hopper-v4/ppo", {"lr": 1.0}),
        ("train", "Hopper-v4/trpo", {"lr": 1.0}),
        ("train", "Hopper-v4/ppo", {"lr": 1.5}),
        ("train", "Hopper-v4/ppo", {"lr": 1.0, "seed": 1}),
    ],
    ids=["stage", "cell", "parameter", "more parameters"],
)
def test_another_experiment_has_another_folder(stage, cell, inputs):
    """Else it would take up results that are not its own."""
    directory = stop(1, lr=1.0)
    with open_shard_cache(stage, cell, inputs) as kept:
        assert kept.directory != directory
        assert kept.num_results == 0


def test_other_code_has_another_folder(project, monkeypatch):
    """A user's task is code: after a change in it, no earlier result is reused."""
    directories = []
    monkeypatch.syspath_prepend(project)
    for text in ("gravity = 9.81", "gravity = 1.62"):
        (project / "my_moon_tasks.py").write_text(text, encoding="utf-8")
        with suppress(StoppedError), open_shard_cache("train", "Moon-v0/ppo", {}, ("my_moon_tasks",)) as kept:
            directories.append(kept.directory)
            raise StoppedError
    assert directories[0] != directories[1]


def test_the_order_of_parameters_is_no_part_of_them():
    with (
        open_shard_cache("train", "a", {"x": 1, "y": (1, 2)}) as a,
        open_shard_cache("train", "a", {"y": [1, 2], "x": 1}) as b,
    ):
        assert a.directory == b.directory


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def put_another_in_its_place(path: Path) -> None:
    """Whole, and of the same function, but the result of another shard."""
    (another,) = (found for found in files(path.parent) if found != path)
    shutil.copy(another, path)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        empty,
        functools.partial(flip, at=0),
        functools.partial(flip, at=40),
        functools.partial(flip, at=-1),
        put_another_in_its_place,
    ],
    ids=["truncated", "empty", "a bit of the digest", "a bit of the header", "a bit of the data", "another's"],
)
def test_a_file_that_is_not_what_its_name_says_is_told_removed_and_done_again(damage, capsys):
    """A number in a table must not come from a damaged file."""
    key = ShardCache.key(measure, shard(1))
    path = stop(1, 2) / f"{key}.shard"
    damage(path)
    with suppress(StoppedError), open_shard_cache("train", "Hopper-v4/ppo", {}) as kept:
        with pytest.raises(KeyError):
            kept.get(key)
        assert f"{path} is damaged: its shard is computed again" in capsys.readouterr().err
        assert not path.exists()
        assert kept.num_results == 1
        kept.put(key, measure(shard(1)))
        raise StoppedError
    with open_shard_cache("train", "Hopper-v4/ppo", {}) as kept:
        np.testing.assert_array_equal(kept.get(key), measure(shard(1)))


def test_leftovers_are_reported_the_oldest_first():
    young, old = stop(1, 2, stage="train"), stop(3, stage="value", cell="Walker2d-v4/trpo")
    os.utime(old, (1000, 1000))
    with open_shard_cache("gradient", "Hopper-v4/ppo", {}) as kept:
        found = leftovers()
        assert [(each.path, each.num_results, each.in_use) for each in found] == [
            (old, 1, False),
            (young, 2, False),
            (kept.directory, 0, True),
        ]
    assert found[0].modified == 1000
    assert found[1].num_bytes == sum(path.stat().st_size for path in files(young)) > 2 * 800
    assert [each.path for each in leftovers()] == [old, young]


def test_no_leftovers_in_a_project_that_was_never_interrupted():
    assert leftovers() == []


@pytest.mark.parametrize("text", ["", "much", "-1", "nan", "inf", "1e999", "20 GB"])
def test_a_limit_that_is_no_number_of_gigabytes_is_refused(monkeypatch, text):
    monkeypatch.setenv("DPG_SCRATCH_GB", text)
    with pytest.raises(UserError, match=r"DPG_SCRATCH_GB = .*must be a number of gigabytes"):
        limit_bytes()
    with pytest.raises(UserError, match="DPG_SCRATCH_GB"), open_shard_cache("train", "a", {}):
        pass


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("0.5", 500_000_000), ("1e-6", 1000), (None, 20 * 10**9)])
def test_the_limit_in_bytes(monkeypatch, text, expected):
    if text is not None:
        monkeypatch.setenv("DPG_SCRATCH_GB", text)
    assert limit_bytes() == expected


SIZE = 1250  # 10 kB, so that headers weigh nothing


def limit(monkeypatch, results: float) -> None:
    """Allow for that many results of `SIZE` numbers."""
    monkeypatch.setenv("DPG_SCRATCH_GB", str(results * 1.1e-5))


def test_beyond_the_limit_the_oldest_that_is_not_in_use_goes_first(monkeypatch):
    """What killed runs leave must not fill the disk, and what a living one needs must stay."""
    directories = [stop(1, cell=f"{name}/ppo", size=SIZE) for name in "abcd"]
    for age, directory in enumerate(directories):
        os.utime(directory, (1000 + age, 1000 + age))
    with open_shard_cache("train", "a/ppo", {}) as living:
        os.utime(living.directory, (1000, 1000))  # the oldest, and in use
        limit(monkeypatch, 3)
        with open_shard_cache("train", "new/ppo", {}) as new:
            new.put("first", measure(shard(1, SIZE)))
            assert [path for path in directories if path.exists()] == [directories[0], directories[3]]
            assert not directories[1].parent.exists()
            assert new.num_results == 1
        limit(monkeypatch, 0.5)
        with open_shard_cache("train", "new/ppo", {}) as new:
            new.put("first", measure(shard(1, SIZE)))
            assert [path for path in directories if path.exists()] == [directories[0]]
        assert living.num_results == 1


def test_new_results_take_the_room_of_old_leftovers(monkeypatch, capsys):
    """A scratch folder that old experiments have filled must not stop a new one from keeping anything."""
    limit(monkeypatch, 3)
    old = stop(1, 2, 3, cell="old/ppo", size=SIZE)
    new = stop(1, 2, cell="new/ppo", size=SIZE)
    assert len(files(new)) == 2
    assert not old.exists()
    assert "DPG_SCRATCH_GB" not in capsys.readouterr().err


def test_what_others_write_meanwhile_counts(monkeypatch):
    """A run opens its cache, then waits for its outputs; and others run beside it. All share one limit."""
    limit(monkeypatch, 3)
    results = {f"shard{seed}": measure(shard(seed, SIZE)) for seed in range(4)}
    with open_shard_cache("train", "first/ppo", {}) as first, open_shard_cache("train", "second/ppo", {}) as second:
        for key, result in results.items():
            second.put(key, result)
            first.put(key, result)
        assert first.num_results + second.num_results == 3


def test_beyond_the_limit_results_are_not_kept_which_is_said_once(monkeypatch, capsys):
    limit(monkeypatch, 2)
    directory = stop(1, 2, 3, 4, size=SIZE)
    assert len(files(directory)) == 2
    assert capsys.readouterr().err.count("DPG_SCRATCH_GB is reached") == 1
    # And by the next run, which counts what is there.
    assert len(files(stop(1, 2, 5, size=SIZE))) == 2
    assert capsys.readouterr().err.count("DPG_SCRATCH_GB is reached") == 1


WORKER = """
import sys
from dpg.runtime.shard_cache import ShardCache, open_shard_cache

try:
    with open_shard_cache("train", "Hopper-v4/ppo", {}) as kept:
        for line in sys.stdin:
            verb, _, word = line.strip().partition(" ")
            if verb == "end":
                break
            if verb == "fail":
                raise KeyError
            if verb == "put":
                kept.put(word, word)
            if verb == "leave":
                kept.write_metadata("run", word)
            read = {"get": kept.get, "note": kept.read_metadata}
            answer = read[verb](word) if verb in read else kept.directory
            print(answer, flush=True)
except KeyError:
    pass
"""


class Other:
    """Another process with the same cache, which executes commands."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self.directory = Path(self.tell("open"))

    def tell(self, line: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def end(self, how: str = "end") -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        with suppress(BrokenPipeError):
            print(how, file=self.process.stdin, flush=True)
        assert self.process.wait(300) == 0
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def others():
    """Start other processes, and end them in any case."""
    started: list[Other] = []

    def start() -> Other:
        started.append(Other())
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        for pipe in (each.process.stdin, each.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def test_whoever_ends_first_leaves_the_folder_to_the_other(others, project):
    first, second = others(), others()
    assert first.directory == second.directory
    first.tell("put a")
    first.end()
    assert second.tell("get a") == "a"  # neither loses what the other has done
    assert Path(second.tell("put b")).is_dir()
    second.end("fail")
    third = others()
    assert (third.tell("get a"), third.tell("get b")) == ("a", "b")
    third.end()
    assert not (project / ".scratch").exists()


def test_a_process_that_is_killed_holds_nothing(others, project):
    """Its lock dies with it: the folder can be reused, bounded and removed."""
    killed = others()
    killed.tell("put a")
    killed.process.kill()
    killed.process.wait()
    assert [each.in_use for each in leftovers()] == [False]
    with open_shard_cache("train", "Hopper-v4/ppo", {}) as kept:
        assert kept.get("a") == "a"
    assert not (project / ".scratch").exists()


def test_the_note_of_a_living_process_is_not_taken_for_a_dead_ones(others):
    """It names its MLflow run, which must not be closed as that of a killed one."""
    living = others()
    living.tell("leave living")
    second = others()
    assert second.tell("note run") == "None"
    living.process.kill()
    living.process.wait()
    second.process.kill()
    second.process.wait()
    third = others()
    assert third.tell("note run") == "living"
    third.end()


STRESS = """
import random, sys
from dpg.runtime import fingerprint
from dpg.runtime.shard_cache import open_shard_cache

fingerprint.code = lambda modules: "the same"  # reading all files would make the meetings rare
random.seed(int(sys.argv[1]))
for turn in range(int(sys.argv[2])):
    try:
        with open_shard_cache("train", f"cell{random.randrange(3)}", {}) as kept:
            kept.put(f"{sys.argv[1]}-{turn}", "x" * 1000)
            kept.write_metadata(sys.argv[1], str(turn))
            assert (kept.directory / sys.argv[1]).read_text() == str(turn)
            if random.random() < 0.5:
                raise InterruptedError
    except InterruptedError:
        pass
"""


def test_coming_and_going_at_the_same_work_never_removes_a_folder_that_is_in_use(monkeypatch):
    """Processes enter and leave three folders as others end well, fail, and remove what is beyond the limit."""
    monkeypatch.setenv("DPG_SCRATCH_GB", "4e-6")
    started = [
        subprocess.Popen([sys.executable, "-c", STRESS, str(index), "150"], stderr=subprocess.PIPE, encoding="utf-8")
        for index in range(3)
    ]
    ended = [process.communicate(timeout=300)[1] for process in started]
    lines = [line for text in ended for line in text.splitlines() if "DPG_SCRATCH_GB is reached" not in line]
    assert lines == []


def test_leftovers_can_be_listed_while_folders_come_and_go():
    """And listing them keeps none from being removed by a run that ends well."""
    script = STRESS.replace("0.5", "0")
    process = subprocess.Popen([sys.executable, "-c", script, "0", "100"], stderr=subprocess.PIPE, encoding="utf-8")
    while process.poll() is None:
        leftovers()
    assert process.communicate()[1] == ""
    assert leftovers() == []


PREAMBLE = """
import subprocess
import numpy as np
from dpg.runtime import project
from dpg.runtime.errors import UserError
from dpg.runtime.shard_cache import ShardCacheError, leftovers, open_shard_cache

def remount(options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(project.root())], check=True)

def done(first, last):
    with open_shard_cache("train", "Hopper-v4/ppo", {}) as kept:
        for index in range(first, last):
            kept.put(f"shard{index}", np.full(12_500, float(index)))  # 100 kB
"""


def test_a_full_disk_ends_in_a_message_and_the_next_run_goes_on(on_a_small_disk, tmp_path):
    """What was kept before stays whole, and no part of the file that had no room is left."""
    script = """
try:
    done(0, 20)
except ShardCacheError as error:
    print(error)
(leftover,) = leftovers()
kept = {path.name for path in leftover.path.iterdir()}
assert 5 <= leftover.num_results < 20, leftover
assert kept == {"in-use"} | {f"shard{index}.shard" for index in range(leftover.num_results)}, kept
remount("size=16m")
with open_shard_cache("train", "Hopper-v4/ppo", {}) as cache:
    for index in range(leftover.num_results):
        assert (cache.get(f"shard{index}") == np.full(12_500, float(index))).all()
    cache.put("shard19", np.zeros(12_500))
assert leftovers() == []
"""
    ended = on_a_small_disk(tmp_path, [sys.executable, "-c", PREAMBLE + script])
    assert ended.returncode == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    assert f"finished shards cannot be cached in {tmp_path}/.scratch/train/Hopper-v4/ppo/" in line
    assert "No space left on device" in line
    assert "Free disk space" in line
    assert "run the same command again" in line


def test_a_read_only_disk_ends_in_a_message_and_the_next_run_goes_on(on_a_small_disk, tmp_path):
    script = """
def attempt():
    try:
        done(0, 1)
    except ShardCacheError as error:
        print(error)

remount("ro")
attempt()  # nothing is there yet
remount("rw")
try:
    with open_shard_cache("train", "Hopper-v4/ppo", {}) as kept:
        kept.put("shard0", np.zeros(3))
        raise InterruptedError
except InterruptedError:
    pass
remount("ro")
attempt()  # now the folder is there
remount("rw")
(leftover,) = leftovers()
assert leftover.num_results == 1
done(0, 2)
assert leftovers() == []
"""
    ended = on_a_small_disk(tmp_path, [sys.executable, "-c", PREAMBLE + script])
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert f"finished shards cannot be cached in {tmp_path}/.scratch/train/Hopper-v4/ppo/" in line
        assert "Read-only file system" in line
        assert "make the folder writable, and run the same command again" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_ends_in_a_message(project):
    project.chmod(0o500)
    try:
        with pytest.raises(shard_cache.ShardCacheError, match="Permission denied"), open_shard_cache("train", "a", {}):
            pass
    finally:
        project.chmod(0o700)


def test_a_file_in_the_folders_place_ends_in_a_message(project):
    (project / ".scratch").write_text("", encoding="utf-8")
    with pytest.raises(shard_cache.ShardCacheError, match="cannot be cached"), open_shard_cache("train", "a", {}):
        pass


def test_modification_times_order_real_executions():
    """The oldest is the one that kept nothing for the longest time, not the one that began first."""
    first, second = stop(1, cell="first/ppo"), stop(1, cell="second/ppo")
    time.sleep(0.02)
    stop(2, cell="first/ppo")
    assert [each.path for each in leftovers()] == [second, first]
