"""Outputs are whole or absent, of one process at a time, and tables come back as they were written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpg.runtime.outputs import (
    MissingOutputError,
    read_reasons,
    read_table,
    replacing,
    sole_writer,
    write_atomic,
    write_reasons,
    write_table,
)
from tests.waiting import TIMEOUT_S

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys
from pathlib import Path
from dpg.runtime.outputs import sole_writer

with sole_writer(Path("target")) as writer:
    (draft,) = writer.drafts
    draft.mkdir()
    (draft / sys.argv[1]).touch()
    print("at work", flush=True)
    if input() == "publish":
        writer.publish()
"""
STRESS = """
import sys
from pathlib import Path
from dpg.runtime.outputs import sole_writer

for turn in range(int(sys.argv[2])):
    with sole_writer(Path("b"), Path("a")) as writer:
        for draft in writer.drafts:
            assert not draft.exists()
            draft.mkdir()
            (draft / sys.argv[1]).touch()
        if turn % 2:
            writer.publish()
            assert [path.name for path in Path("a").iterdir()] == [sys.argv[1]]
"""
ORPHAN = """
import os, sys
from pathlib import Path
from dpg.runtime.errors import UserError
from dpg.runtime.outputs import write_atomic

parent = os.getppid()
write_atomic("", Path("before"))
print("at work", flush=True)
sys.stdin.readline()  # which nobody writes
while os.getppid() == parent:
    pass
try:
    write_atomic("", Path("after"))
except UserError as error:
    Path("told").write_text(str(error))
"""


@pytest.fixture
def start(tmp_path):
    """Start a process in the folder of the test."""
    started = []

    def begin(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", *arguments],
                cwd=tmp_path,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_directories_appear_together_and_nothing_else_is_left(tmp_path):
    first, second = tmp_path / "first", tmp_path / "deep" / "second"
    with sole_writer(first, second) as writer:
        for draft, name in zip(writer.drafts, "xy", strict=True):
            draft.mkdir()
            (draft / name).write_text(name, encoding="utf-8")
        assert not first.exists()
        assert not second.exists()
        writer.publish()
    assert (first / "x").read_text(encoding="utf-8") == "x"
    assert (second / "y").read_text(encoding="utf-8") == "y"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "first"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["second"]


def test_what_is_not_published_leaves_what_was_there_and_nothing_else(tmp_path):
    target = tmp_path / "target"
    write_atomic("old", target)
    with pytest.raises(RuntimeError), replacing(target) as draft:
        draft.write_text("half of the new", encoding="utf-8")
        raise RuntimeError
    assert target.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_an_output_replaces_the_old_one_whole(tmp_path):
    for name in ("old", "new"):
        with sole_writer(tmp_path / "target") as writer:
            writer.drafts[0].mkdir()
            (writer.drafts[0] / name).touch()
            writer.publish()
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["new"]


def test_what_a_killed_process_left_is_cleared(start, tmp_path):
    killed = start(WRITER, "stale")
    assert killed.stdout.readline() == "at work\n"
    killed.kill()
    killed.wait()
    assert (tmp_path / ".target.partial" / "target" / "stale").exists()
    with sole_writer(tmp_path / "target") as writer:
        assert not writer.drafts[0].exists()
    assert not list(tmp_path.iterdir())


def test_a_second_writer_says_whom_it_waits_for_and_touches_nothing(start, tmp_path):
    first = start(WRITER, "first")
    assert first.stdout.readline() == "at work\n"
    second = start(WRITER, "second")
    told = second.stderr.readline()
    assert told.startswith(f"waiting for process {first.pid} on ")
    assert ", which has been writing target since 2" in told
    assert (tmp_path / ".target.partial" / "target" / "first").exists()
    first.communicate("publish\n", timeout=TIMEOUT_S)
    assert second.stdout.readline() == "at work\n"
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["first"]
    second.communicate("publish\n", timeout=TIMEOUT_S)
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_of_many_writers_one_is_at_work_at_a_time(start, tmp_path):
    started = [start(STRESS, name, "60") for name in "xyz"]
    for process in started:
        _, stderr = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_process_whose_dvc_has_ended_publishes_nothing(start, tmp_path):
    (tmp_path / "orphan.py").write_text(ORPHAN, encoding="utf-8")
    dvc = start("import subprocess, sys; subprocess.call([sys.executable, 'orphan.py'])", DVC_STAGE="report")
    assert dvc.stdout.readline() == "at work\n"
    dvc.kill()
    dvc.communicate(timeout=TIMEOUT_S)  # until the orphan, too, has closed its end of the pipe
    assert "the DVC that ran this stage has ended" in (tmp_path / "told").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before", "orphan.py", "told"]


def test_floats_survive_a_table_to_the_last_bit(tmp_path):
    values = [0.1, 1 / 3, np.nextafter(1.0, 2.0), 1e-300, float("nan")]
    path = tmp_path / "table.csv"
    write_table(pd.DataFrame({"name": "a", "count": range(5), "value": values}), path)
    table = read_table(path)
    np.testing.assert_array_equal(table["value"], values)
    assert list(table.columns) == ["name", "count", "value"]
    pd.testing.assert_frame_equal(table, write_table(table, tmp_path / "again.csv"))
    assert path.read_bytes() == (tmp_path / "again.csv").read_bytes()


def test_a_missing_table_says_how_to_make_it(tmp_path):
    with pytest.raises(MissingOutputError, match=r"nothing.csv is missing.*dvc repro"):
        read_table(tmp_path / "nothing.csv")


@pytest.mark.parametrize("env_id", ["123", "1e5", "NA", "true", "mine/Task-v0"])
def test_a_tasks_id_comes_back_as_it_was(env_id, tmp_path):
    """Pandas takes some for numbers and some for nothing; no row would be found under the id then."""
    write_table(pd.DataFrame({"env": [env_id], "count": [1]}), tmp_path / "table.csv")
    assert read_table(tmp_path / "table.csv")["env"].tolist() == [env_id]


def test_a_table_without_rows_has_its_columns_all_the_same(tmp_path):
    write_table(pd.DataFrame(columns=["name", "count", "value"]), tmp_path / "table.csv")
    assert list(read_table(tmp_path / "table.csv").columns) == ["name", "count", "value"]


def test_reasons_are_read_as_they_were_left_and_no_reason_leaves_nothing(tmp_path):
    write_reasons(["needs β", "needs more"], tmp_path)
    assert read_reasons(tmp_path) == ["needs β", "needs more"]
    empty = tmp_path / "empty"
    empty.mkdir()
    write_reasons([], empty)
    assert not list(empty.iterdir())
    assert read_reasons(empty) == []
