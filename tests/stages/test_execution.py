"""A stage publishes completely or not at all, and one that was stopped resumes to the same bytes.

The stage is a small one of its own, run as DVC runs stages: a process in a project, tracked in SQLite. In one project
it ends well at once; in another it is stopped in every way that there is, one after another, before it ends well.
"""

import signal
import sys

import pytest
from mlflow import MlflowClient

from dpg.tracking.uri import EXPERIMENT
from tests.stages.sample import OUTPUTS, STAGE, Ending, Project


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, store) -> dict[str, Ending]:
    """Executions that resume from one another, each stopped later, and the last one successful.

    When a shard is reached, as many as `PREFETCH` allows may be done beyond it: the next must be reached further on.
    """
    project = Project(tmp_path_factory.mktemp("stopped") / "project", store)
    endings = {
        "failed": project.run_stage("fail 1"),
        "interrupted": project.run_stage("nap 10", signal.SIGINT),
        "terminated": project.run_stage("nap 20", signal.SIGTERM),
        "killed": project.run_stage("nap 30", signal.SIGKILL),
        "finished": project.run_stage(),
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
    assert cost["wall_seconds"] > 0
    assert cost["core_seconds"] > 0
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
    assert "the same command resumes from there" in ending.stderr


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
    assert "\nerror: interrupted; nothing was published\n" in ending.stderr
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


@pytest.mark.slow
def test_a_full_disk_is_one_clear_line_and_no_outputs(on_a_small_disk, tmp_path, store, monkeypatch):
    """The shards fit on the disk and the outputs do not; with more space it resumes."""
    (tmp_path / "stage.py").write_text(STAGE, encoding="utf-8")
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
    assert MlflowClient(store).get_experiment(smooth.run.info.experiment_id).name == EXPERIMENT
