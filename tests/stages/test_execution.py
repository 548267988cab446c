"""A stage is whole or not there, and one that was stopped goes on to the same bytes.

The stage is a small one of its own, run as DVC runs stages: a process in a project, tracked in SQLite. In one project
it ends well at once; in another it is stopped in every way that there is, one after another, before it ends well.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from dpg import tracking

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds for anything to happen
STAGE = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from safetensors.numpy import save
from dpg.runtime.outputs import write_table
from dpg.runtime.progress import Progress
from dpg.runtime.seeding import Seed
from dpg.runtime.shards import map_shards
from stages import edge
from stages.cell import Cell, tables
from stages.execution import execute

TROUBLE, _, where = os.environ.get("STAGE_TROUBLE", "none 0").partition(" ")
WHERE = int(where)


@dataclass(frozen=True)
class Job:
    index: int
    size: int

    def __str__(self):
        return f"job {self.index}"


@dataclass(frozen=True)
class Row:
    index: int
    mean: float


def measure(job):
    if job.index == WHERE and TROUBLE == "fail":
        raise ValueError("no good")
    if job.index == WHERE and TROUBLE == "nap":
        while not Path("taken").exists():  # until the stage has taken all before this one
            time.sleep(0.01)
        Path("napping").touch()
        time.sleep(100)
    return (Seed(3) / "job" / job.index).generator().standard_normal(job.size)


def main(env: str, algorithm: str, size: int = 1000) -> None:
    cell = Cell(env, algorithm)
    jobs = [Job(index, size) for index in range(40)]
    with (
        execute("sample", cell, {"seed": 3, "size": size}, cell.arrays("sample"), tables("sample", cell)) as execution,
        Progress(f"sample {cell}", size * len(jobs)) as progress,
    ):
        arrays, out = execution.outputs
        rows = []
        results = map_shards(measure, jobs, execution.workshop, progress=progress, work=lambda job: job.size)
        for job, draws in zip(jobs, results):
            (arrays / f"{job.index}.safetensors").write_bytes(save({"draws": draws}))
            rows.append(Row(job.index, float(draws.mean())))
            if job.index == WHERE - 1 and TROUBLE == "nap":
                Path("taken").touch()
        write_table(rows, out / "sample.csv")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are deaf to it
    edge.run(main)
"""
OUTPUTS = {f"data/sample/A-v0/ppo/{index}.safetensors" for index in range(40)} | {
    "data/tables/sample/A-v0/ppo/sample.csv"
}


@dataclass(frozen=True)
class Ending:
    """How one execution of the stage ended, and what it left."""

    code: int
    stderr: str
    outputs: dict[str, bytes]
    kept: int
    run: Run
    record: dict[str, Any] | None


class Project:
    """A project with one stage."""

    def __init__(self, root: Path, store: str) -> None:
        self.root = root
        self.client = MlflowClient(store)
        self._environment = os.environ | {
            "DVC_ROOT": str(root),
            "MLFLOW_TRACKING_URI": store,
            "PYTHONPATH": str(ROOT),
            "DPG_JOBS": "2",
        }
        root.mkdir()
        (root / "stage.py").write_text(STAGE)

    def execute(self, trouble: str = "none 0", stop: signal.Signals | None = None) -> Ending:
        """Run the stage; where it naps, stop it."""
        before = self._runs()
        path = self.root / "stderr"
        with path.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "stage.py", "A-v0", "ppo"],
                cwd=self.root,
                env=self._environment | {"STAGE_TROUBLE": trouble},
                stderr=stderr,
                start_new_session=True,
            )
        try:
            if stop is not None:
                self._wait_for_nap(process, path)
                # Ctrl-C reaches the workers as well.
                (os.killpg if stop is signal.SIGINT else os.kill)(process.pid, stop)
            code = process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
        (new,) = self._runs() - before
        record = self.root / "data/runs/sample/A-v0/ppo.json"
        return Ending(
            code,
            path.read_text(),
            {str(each.relative_to(self.root)): each.read_bytes() for each in self._written()},
            len(list(self.root.glob(".scratch/**/*.shard"))),
            self.client.get_run(new),
            json.loads(record.read_text()) if record.exists() else None,
        )

    def _wait_for_nap(self, process: subprocess.Popen[bytes], stderr: Path) -> None:
        nap, end = self.root / "napping", time.monotonic() + PATIENCE
        while not nap.exists():
            assert process.poll() is None and time.monotonic() < end, stderr.read_text()
            time.sleep(0.01)
        nap.unlink()
        (self.root / "taken").unlink()

    def _runs(self) -> set[str]:
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return {run.info.run_id for run in self.client.search_runs(experiments)}

    def _written(self) -> list[Path]:
        folders = (self.root / "data" / "sample", self.root / "data" / "tables")
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One for all executions: making it takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def smooth(tmp_path_factory, store) -> Ending:
    """An execution that nothing stops."""
    return Project(tmp_path_factory.mktemp("smooth") / "project", store).execute()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, store) -> dict[str, Ending]:
    """Executions that go on from one another, each stopped further on, and the last that ends well.

    When a shard is reached, as many as `AHEAD` allows may be done beyond it: the next must be reached further on.
    """
    project = Project(tmp_path_factory.mktemp("stopped") / "project", store)
    endings = {
        "failed": project.execute("fail 1"),
        "interrupted": project.execute("nap 10", signal.SIGINT),
        "terminated": project.execute("nap 20", signal.SIGTERM),
        "killed": project.execute("nap 30", signal.SIGKILL),
        "finished": project.execute(),
    }
    endings["killed afterwards"] = Ending(
        **vars(endings["killed"]) | {"run": project.client.get_run(endings["killed"].run.info.run_id)}
    )
    assert sorted(path.name for path in project.root.iterdir()) == ["data", "mlflow.db.lock", "stage.py", "stderr"]
    return endings


def test_a_stage_that_ends_well_leaves_outputs_record_and_a_finished_run_and_no_scratch(smooth):
    assert smooth.code == 0, smooth.stderr
    assert set(smooth.outputs) == OUTPUTS
    assert smooth.kept == 0
    assert smooth.run.info.status == "FINISHED"
    assert smooth.run.data.tags["stage"] == "sample"
    assert smooth.run.data.params == {"seed": "3", "size": "1000"}
    assert smooth.record is not None
    assert smooth.record["run_id"] == smooth.run.info.run_id
    assert "resuming" not in smooth.stderr


def test_what_a_stage_took_is_in_its_record_and_its_run(smooth):
    cost = smooth.record["cost"]
    assert cost["pairs"] == 40_000
    assert (cost["shards"], cost["resumed_shards"], cost["workers"]) == (40, 0, 2)
    assert cost["output_bytes"] == sum(map(len, smooth.outputs.values()))
    assert 0 < cost["wall_seconds"] < 2 * PATIENCE
    assert cost["core_seconds"] > 0.5  # of this process alone: imports take as much
    assert 100e6 < cost["peak_memory_bytes"] < 10e9  # three processes
    logged = {name: value for name, value in smooth.run.data.metrics.items() if name.startswith("system/")}
    assert logged == {f"system/{name}": value for name, value in cost.items()}


def test_a_stage_that_fails_leaves_no_outputs_but_its_shards_and_the_message(stopped):
    ending = stopped["failed"]
    assert ending.code == 1
    assert ending.outputs == {}
    assert ending.record is None
    assert ending.kept > 0
    assert ending.run.info.status == "FAILED"
    assert "measure failed 3 times" in ending.stderr
    assert "for job 1:" in ending.stderr
    assert ending.stderr.rstrip().endswith("ValueError: no good")
    assert f"{ending.kept} finished shard" in ending.stderr
    assert "the same command goes on from there" in ending.stderr


@pytest.mark.parametrize("name", ["interrupted", "terminated"])
def test_a_stage_that_is_interrupted_says_so_and_ends_with_130(stopped, name):
    """DVC takes it for stopped, and MLflow for killed: neither for a stage that has a defect."""
    ending = stopped[name]
    assert ending.code == 130
    assert ending.outputs == {}
    assert ending.record is None
    assert ending.run.info.status == "KILLED"
    assert f"\n{ending.kept} finished shards" in ending.stderr
    assert ending.stderr.count("error: ") == 1
    assert "\nerror: stopped before the end; nothing was published\n" in ending.stderr
    assert "Traceback" not in ending.stderr


def test_every_execution_goes_on_from_the_one_before(stopped):
    kept = [stopped[name].kept for name in ("failed", "interrupted", "terminated", "killed")]
    assert kept == sorted(kept)
    assert kept[0] > 0
    assert [first <= each for first, each in zip((10, 20, 30), kept[1:], strict=True)] == [True] * 3
    for before, name in zip(kept, ("interrupted", "terminated", "killed", "finished"), strict=False):
        assert f"resuming: {before} finished shard" in stopped[name].stderr


def test_a_stage_that_was_stopped_ends_with_the_same_bytes(stopped, smooth):
    """However it was stopped, and whatever had been done by then."""
    finished = stopped["finished"]
    assert finished.code == 0, finished.stderr
    assert finished.outputs == smooth.outputs
    assert finished.kept == 0
    assert finished.record["cost"]["resumed_shards"] == stopped["killed"].kept >= 30
    assert finished.record["cost"]["shards"] == 40
    assert finished.run.info.status == "FINISHED"


def test_the_run_of_a_stage_that_was_killed_is_closed_by_the_one_that_goes_on(stopped):
    """It had no time to do so itself, and would be running for ever."""
    assert stopped["killed"].code == -signal.SIGKILL
    assert stopped["killed"].run.info.status == "RUNNING"
    found = stopped["killed afterwards"].run
    assert found.info.status == "KILLED"
    assert found.data.tags["resumed_by"] == stopped["finished"].run.info.run_id


def test_a_full_disk_is_one_clear_line_and_no_outputs(on_a_small_disk, tmp_path, store, monkeypatch):
    """The finished shards have room, and what is made of them has not; with room it goes on."""
    (tmp_path / "stage.py").write_text(STAGE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("DPG_JOBS", "1")
    stage = f"{sys.executable} {tmp_path / 'stage.py'} A-v0 ppo --size 2000"
    script = f'{stage}; echo "code $?"; find data -type f; mount -o remount,size=9m "$PWD"; {stage}; find data -type f'
    ended = on_a_small_disk(tmp_path / "disk", ["sh", "-c", script])
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ended.stderr
    assert "No space left on device" in lines[0]
    assert "run the same command again" in lines[0]
    assert "Traceback" not in ended.stderr
    assert "resuming: " in ended.stderr
    code, *files = ended.stdout.splitlines()
    assert code == "code 1"
    assert set(files) == OUTPUTS | {"data/runs/sample/A-v0/ppo.json"}


def test_the_store_of_these_tests_is_the_one_that_was_named(store, smooth):
    """The record says where its run is."""
    assert smooth.record["tracking_uri"] == store
    assert MlflowClient(store).get_experiment(smooth.run.info.experiment_id).name == tracking.EXPERIMENT
