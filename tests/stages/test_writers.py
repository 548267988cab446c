"""One stage of one cell has one writer, whatever started it: real processes, stopped and killed, and real DVC."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.stages.sample import COMMAND, Project
from tests.waiting import TIMEOUT_S, wait_for

pytestmark = pytest.mark.slow
PIPELINE = {
    "stages": {
        "sample": {
            "cmd": " ".join(COMMAND),
            "outs": ["data/sample/A-v0/ppo", "data/tables/sample/A-v0/ppo", "data/runs/sample/A-v0/ppo.json"],
        }
    }
}


@pytest.fixture
def project(tmp_path, store, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return Project(tmp_path / "project", store)


@pytest.fixture
def start(project):
    """Start commands of one worker; what is left of them at the end is killed."""
    started = []

    def begin(name, *command, trouble="none 0"):
        path = project.root.parent / name
        started.append(project.start(path, *command, STAGE_TROUBLE=trouble, DPG_JOBS="1"))
        return started[-1], path

    yield begin
    for process in started:
        for signum in (signal.SIGKILL, signal.SIGCONT):
            try:
                os.killpg(process.pid, signum)
            except ProcessLookupError:
                continue
        process.wait()


def is_waiting(stderr: Path, process: subprocess.Popen | psutil.Process) -> bool:
    return f"waiting for process {process.pid} on " in stderr.read_text(encoding="utf-8")


def nothing_is_left(project: Project) -> bool:
    return not (project.root / ".scratch").exists() and not list(project.root.rglob("*.partial"))


def test_of_three_at_once_each_waits_for_the_one_before_and_takes_up_what_it_has_finished(project, start, smooth):
    """The first is killed, the next ends well: neither is disturbed by those that wait, nor disturbs them."""
    before = project.runs()
    first, stderr = start("first", *COMMAND, trouble="nap 10")
    project.wait_for_nap(first, stderr)
    (killed,) = project.runs() - before
    others = [start(name, *COMMAND) for name in ("second", "third")]
    for process, path in others:
        wait_for(lambda: is_waiting(path, first), lambda: process.poll() is None, path)  # noqa: B023
        assert ", which has been writing data/" in path.read_text(encoding="utf-8")
    assert project.outputs().keys() == {
        "data/tables/sample/A-v0/.ppo.partial/in-use",
        "data/sample/A-v0/.ppo.partial/in-use",
        *(f"data/sample/A-v0/.ppo.partial/ppo/{index}.safetensors" for index in range(10)),
    }
    first.kill()
    for process, path in others:
        assert process.wait(TIMEOUT_S) == 0, path.read_text(encoding="utf-8")
    messages = sorted(path.read_text(encoding="utf-8") for _, path in others)
    assert sum("resuming: 10 finished shards" in text for text in messages) == 1, messages
    assert sum("resuming: 40 finished shards" in text for text in messages) == 1, messages
    assert project.outputs() == smooth.outputs
    assert project.record()["cost"]["resumed_shards"] == 40
    runs = {run: project.client.get_run(run) for run in project.runs() - before}
    assert {run: each.info.status for run, each in runs.items()} == dict.fromkeys(runs, "FINISHED") | {killed: "KILLED"}
    assert nothing_is_left(project)


def test_what_is_published_is_never_that_of_a_stage_whose_dvc_was_killed(project, start, smooth):
    """However slow the stage is to notice: here it is stopped until the same command has come to the same work."""
    (project.root / "dvc.yaml").write_text(json.dumps(PIPELINE), encoding="utf-8")
    dvc = (sys.executable, "-m", "dvc")
    init, path = start("init", *dvc, "init", "--no-scm", "--quiet")
    assert init.wait(TIMEOUT_S) == 0, path.read_text(encoding="utf-8")
    before = project.runs()
    first, stderr = start("first", *dvc, "repro", trouble="nap 39")
    project.wait_for_nap(first, stderr)
    (orphan,) = project.runs() - before
    (stage,) = [each for each in psutil.Process(first.pid).children(recursive=True) if "stage.py" in each.cmdline()]
    stage.suspend()
    first.kill()
    first.wait()
    second, path = start("second", *dvc, "repro")
    wait_for(lambda: is_waiting(path, stage), lambda: second.poll() is None, path)
    (project.root / "released").touch()  # so that it has all that it would publish
    stage.resume()
    assert second.wait(TIMEOUT_S) == 0, path.read_text(encoding="utf-8")
    assert re.search(r"resuming: (39|40) finished shards", path.read_text(encoding="utf-8"))
    assert "nothing " in stderr.read_text(encoding="utf-8").splitlines()[-1]
    assert project.client.get_run(orphan).info.status in ("KILLED", "FAILED")
    assert project.record()["run_id"] != orphan
    assert project.outputs() == smooth.outputs
    assert nothing_is_left(project)
