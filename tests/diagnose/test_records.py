"""The agent's own record is read, and nothing in it is run."""

import os
from dataclasses import replace

import numpy as np
import pytest

from dpg.agent.snapshot import Snapshot
from dpg.diagnose import records
from dpg.diagnose.records import records_around


@pytest.fixture
def agent(make_recipe, make_population):
    return Snapshot(1, make_recipe(env_id="Task-v0"), replace(make_population(1), iteration=4))


def test_evaluations_and_monitors_are_read(agent, tmp_path):
    results = np.arange(12.0).reshape(3, 4)
    np.savez(tmp_path / "evaluations.npz", timesteps=[10, 20, 30], results=results, ep_lengths=results)
    (tmp_path / "0.monitor.csv").write_text('#{"t_start": 1}\nr,l,t\n1.0,5,0.1\n3.0,5,0.3\n', encoding="utf-8")
    (tmp_path / "1.monitor.csv").write_text("#{}\nr,l,t\n2.0,5,0.2\nbroken\n", encoding="utf-8")
    (tmp_path / "agent.zip").write_bytes(b"")
    evaluated, trained = records_around(tmp_path / "agent.zip", agent)
    assert (evaluated.actions, evaluated.returns.tolist()) == ("deterministic", [8.0, 9.0, 10.0, 11.0])
    assert evaluated.what == "evaluations.npz, after 30 pairs"
    assert (trained.actions, trained.returns.tolist()) == ("sampled", [1.0, 2.0, 3.0])
    assert records_around(tmp_path, agent)[0].returns.tolist() == evaluated.returns.tolist()


def test_a_record_that_is_too_large_or_no_table_is_passed_over(agent, tmp_path, monkeypatch):
    (tmp_path / "0.monitor.csv").write_text(f"r,l,t\n1.0,5,0.1\n3.0,5,0.3\n{'9' * 200_000},5,0.2\n", encoding="utf-8")
    os.mkfifo(tmp_path / "1.monitor.csv")
    [record] = records_around(tmp_path / "agent.zip", agent)
    assert record.returns.tolist() == [1.0, 3.0]
    np.savez_compressed(tmp_path / "evaluations.npz", timesteps=[1], results=np.zeros((1, 10_000)))
    monkeypatch.setattr(records, "MAX_BYTES", 10_000)
    assert records_around(tmp_path / "agent.zip", agent) == ()


class Runs:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("content", ["pickled", "truncated", "empty", "other arrays"])
def test_a_record_that_is_none_is_passed_over_and_never_run(agent, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "evaluations.npz"
    if content == "other arrays":
        np.savez(file, numbers=np.ones(3))
    else:
        np.savez(file, timesteps=[1], results=np.array([[Runs()]], object))
        whole = file.read_bytes()
        file.write_bytes({"pickled": whole, "truncated": whole[:100], "empty": b""}[content])
    assert records_around(tmp_path / "agent.zip", agent) == ()
    assert not (tmp_path / "ran").exists()


def test_the_history_of_a_project_is_the_record_of_its_snapshots(agent, tmp_path):
    (tmp_path / "params.yaml").write_text("", encoding="utf-8")
    tables = tmp_path / "data" / "tables" / "train" / "Task-v0" / "ppo"
    tables.mkdir(parents=True)
    rows = ["agent,iteration,mean_return", *(f"{a},{i},{10 * a + i}" for a in (0, 1) for i in range(6)), "1,3,"]
    (tables / "history.csv").write_text("\n".join(rows), encoding="utf-8")
    folder = tmp_path / "data" / "train" / "Task-v0" / "ppo"
    folder.mkdir(parents=True)
    [record] = records_around(folder / "agent01-iteration00004.safetensors", agent)
    assert (record.actions, record.returns.tolist()) == ("sampled", [10.0, 11.0, 12.0, 13.0])
    assert records_around(tmp_path / "copied.safetensors", agent) == ()
