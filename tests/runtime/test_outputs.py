"""Outputs are whole or absent, and tables come back as they were written."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from dpg.runtime.outputs import MissingOutputError, publish, read_table, write_table


@dataclass(frozen=True)
class Row:
    name: str
    count: int
    value: float


def test_directories_appear_together_when_the_block_ends_well(tmp_path):
    first, second = tmp_path / "first", tmp_path / "deep" / "second"
    with publish(first, second) as (a, b):
        (a / "x").write_text("1")
        (b / "y").write_text("2")
        assert not first.exists()
        assert not second.exists()
    assert (first / "x").read_text() == "1"
    assert (second / "y").read_text() == "2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "first"]


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path):
    target = tmp_path / "target"
    with publish(target) as (out,):
        (out / "x").write_text("old")
    with pytest.raises(RuntimeError), publish(target) as (out,):
        (out / "x").write_text("half of the new")
        raise RuntimeError
    assert (target / "x").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_an_output_replaces_the_old_one_whole(tmp_path):
    for name in ("old", "new"):
        with publish(tmp_path / "target") as (out,):
            (out / name).write_text(name)
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["new"]


def test_what_a_killed_run_left_is_cleared(tmp_path):
    left = tmp_path / ".target.partial"
    left.mkdir()
    (left / "stale").write_text("x")
    with publish(tmp_path / "target") as (out,):
        assert not list(out.iterdir())


def test_floats_survive_a_table_to_the_last_bit(tmp_path):
    values = [0.1, 1 / 3, np.nextafter(1.0, 2.0), 1e-300, float("nan")]
    path = tmp_path / "table.csv"
    write_table([Row("a", index, value) for index, value in enumerate(values)], path)
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
