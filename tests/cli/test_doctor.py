"""`dpg doctor`: on a project in which all is well, and on one in which something is not."""

import fcntl
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from dpg.cli import check_machine, check_project
from dpg.cli.check import Finding, Level, problem
from dpg.cli.doctor import examine, table
from dpg.runtime import shard_cache
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = "stages: {one: {cmd: echo 1 > one.txt, deps: [params.yaml], outs: [one.txt]}}"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def sound(tmp_path_factory, dvc) -> Path:
    """A project in which all is well; to be copied."""
    project = tmp_path_factory.mktemp("sound") / "project"
    project.mkdir()
    for name in ("params.yaml", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, project)
    (project / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    dvc("init", "--no-scm", "--quiet", cwd=project)
    dvc("repro", cwd=project)
    return project


@pytest.fixture
def project(sound, tmp_path, monkeypatch) -> Path:
    """A copy of it, which is the current directory."""
    for name in [name for name in os.environ if name.startswith(("DPG_", "DVC_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    target = shutil.copytree(sound, tmp_path / "project")
    monkeypatch.chdir(target)
    return target


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def findings(output: str) -> dict[str, Finding]:
    return {entry.pop("name"): Finding(**entry | {"level": Level(entry["level"])}) for entry in json.loads(output)}


def test_a_sound_project_has_no_problem_and_is_left_as_it_is(project, dpg):
    before = sorted(path for path in project.rglob("*") if ".dvc" not in path.parts)
    output = dpg("doctor", cwd=project)
    for words in (
        "parameters",
        "valid: scale laptop",
        "torch 2.",
        "can be made and stepped: Hopper-v4",
        "1 stages, all up to date",
    ):
        assert words in output
    assert "problem" not in output
    assert sorted(path for path in project.rglob("*") if ".dvc" not in path.parts) == before


@pytest.mark.slow
def test_problems_are_found_all_at_once(project, dpg):
    replace(project / "params.yaml", "lr: 1.0e-4  ", "lr: -1  ")
    output = dpg("doctor", "--json", cwd=project, expect=1, DPG_JOBS="many", MLFLOW_TRACKING_URI=NOWHERE)
    found = findings(output)
    problems = {name: check.found for name, check in found.items() if check.level == Level.PROBLEM}
    assert "ppo.lr = -1" in problems["parameters"]
    assert "DPG_JOBS = 'many'" in problems["settings"]
    assert NOWHERE in problems["tracking"]
    assert found["tasks"].level == Level.WARNING
    assert found["tracking"].todo
    assert found["packages"].level == Level.OK


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits(width):
    console = Console(width=width, file=io.StringIO())
    long = problem(f"the MLflow store {NOWHERE} cannot be used: " + "no server answers " * 10, "start the server")
    console.print(table({"tracking": long, "packages": problem("/a/path/without/any/space" * 10)}))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert any("start the server" in line for line in lines)


def test_a_task_that_cannot_be_made(project):
    replace(project / "params.yaml", "[Hopper-v4]", "[Hopper-v4, Hoper-v4, CartPole-v1]")
    check = check_project.tasks()
    assert check.level is Level.PROBLEM
    assert "Hoper-v4" in check.found and "CartPole-v1" in check.found


def test_what_will_not_be_measured_is_a_warning_with_its_reason(project):
    assert check_project.measurements().level is Level.OK
    replace(project / "params.yaml", "gamma: 0.99 ", "gamma: 0.999 ")
    check = check_project.measurements()
    assert check.level is Level.WARNING
    assert "Hopper-v4: value, true_value, baselines will not be measured: needs common.gamma of at most" in check.found
    replace(project / "params.yaml", "[Hopper-v4]", "[Hoper-v4]")
    assert "cannot be used" in check_project.measurements().found


def test_a_stale_pipeline_and_one_that_never_ran(project):
    assert check_project.pipeline().level is Level.OK
    replace(project / "params.yaml", "seed: 0", "seed: 1")
    check = check_project.pipeline()
    assert (check.level, check.todo) == (Level.WARNING, "dpg repro -j 2")
    assert "1 of 1 stages stale" in check.found
    (project / "one.txt").unlink()
    assert "of whose results (dvc.lock) none is here" in check_project.pipeline().found
    (project / "dvc.lock").unlink()
    assert "no dvc.lock" in check_project.pipeline().found


def test_a_pipeline_at_work_is_no_problem(project, environment):
    replace(project / "dvc.yaml", "echo 1 >", "touch started; sleep 1000; echo 1 >")
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--quiet"], env=environment(), start_new_session=True
    )
    try:
        wait_for((project / "started").exists)
        check = check_project.pipeline()
    finally:
        os.killpg(process.pid, 15)
        process.wait()
    assert check.level is Level.WARNING
    assert "staleness is unknown" in check.found


def test_dvc_without_git_must_be_configured(project):
    assert check_project.dvc().level is Level.OK
    replace(project / ".dvc" / "config", "no_scm = True", "")
    check = check_project.dvc()
    assert check.level is Level.PROBLEM
    assert "git init" in check.todo
    shutil.rmtree(project / ".dvc")
    assert check_project.dvc().level is Level.PROBLEM


def test_a_tracking_store_is_looked_at_and_not_made(project, monkeypatch):
    """What can be wrong with one, and the advice: tests/tracking/test_store.py."""
    check = check_project.tracking()
    assert (check.level, check.found) == (Level.OK, f"sqlite:///{project}/mlflow.db, which the first run will create")
    assert not (project / "mlflow.db").exists()
    (project / "mlflow.db").write_text("no database, though as long as the header of one: " * 4, encoding="utf-8")
    check = check_project.tracking()
    assert check.level is Level.PROBLEM
    assert "it is not a database" in check.found and "move the file away" in check.todo
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/params.yaml/mlflow.db")
    assert "params.yaml is not a folder" in check_project.tracking().found


def test_settings(project, monkeypatch):
    assert check_project.settings().level is Level.OK
    monkeypatch.setenv("DPG_JOB", "3")
    check = check_project.settings()
    assert (check.level, check.todo) == (Level.WARNING, "did you mean DPG_JOBS?")
    monkeypatch.delenv("DPG_JOB")
    monkeypatch.setenv("DPG_SCRATCH_GB", "much")
    assert "DPG_SCRATCH_GB" in check_project.settings().found
    monkeypatch.setenv("DPG_SCRATCH_GB", "3")
    assert check_project.settings() == Finding(Level.OK, "DPG_SCRATCH_GB=3")
    monkeypatch.setenv("DPG_BACKEND", "spark")
    assert "must be one of local, dask" in check_project.settings().found
    monkeypatch.setenv("DPG_BACKEND", "dask")
    assert "needs DPG_SCHEDULER" in check_project.settings().found
    monkeypatch.setenv("DPG_SCHEDULER", "tcp://127.0.0.1:9")
    assert "no Dask scheduler answers" in check_project.settings().found


def test_what_a_killed_run_left_is_reported(project):
    assert check_machine.leftovers().level is Level.OK
    left = shard_cache.root() / "train" / "cell" / "key"
    left.mkdir(parents=True)
    (left / shard_cache.LOCK).touch()
    with (left / f"one{shard_cache.SUFFIX}").open("wb") as result:
        result.truncate(200_000_000)
    check = check_machine.leftovers()
    assert check.level is Level.WARNING
    assert "1 killed run left 1 results, 200 MB of 20 GB" in check.found
    with (left / shard_cache.LOCK).open(encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert check_machine.leftovers().level is Level.OK


def test_more_workers_than_cores_is_a_warning(project, monkeypatch):
    monkeypatch.setenv("DPG_JOBS", "1")
    assert check_machine.cores().level is Level.OK
    monkeypatch.setenv("DPG_JOBS", "100000")
    assert check_machine.cores().level is Level.WARNING
    assert check_machine.memory().level is Level.WARNING


def test_packages_are_held_against_what_is_needed_and_locked(project):
    assert check_machine.packages().level is Level.OK
    lock = project / "requirements.lock"
    lock.write_text(re.sub(r"(?m)^typer==.*$", "typer==0.0.1", lock.read_text(encoding="utf-8")), encoding="utf-8")
    check = check_machine.packages()
    assert check.level is Level.WARNING
    assert "typer" in check.found and "locked: 0.0.1" in check.found and "torch" not in check.found
    replace(project / "pyproject.toml", '"typer>=', '"no-such-package>=1", "typer>=1000')
    check = check_machine.packages()
    assert check.level is Level.PROBLEM
    assert "no-such-package>=1 (here: none)" in check.found and "typer" in check.found


def test_a_missing_group_is_named_and_no_fault(project):
    replace(project / "pyproject.toml", "bench = [", 'rockets = ["no-such-package>=1"]\nbench = [')
    check = check_machine.groups()
    assert check.level is Level.OK
    assert "rockets lacks no-such-package" in check.found
    assert re.search(r"'\.\[(\w+,)*rockets\]'", check.todo)  # beside others that this machine lacks


def test_a_python_that_stages_would_not_find(project, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert check_machine.python().level is Level.OK
    monkeypatch.setenv("PATH", str(tmp_path))
    check = check_machine.python()
    assert check.level is Level.WARNING
    assert "activate" in check.todo


def test_disks_are_named_by_what_lies_on_them(project):
    check = check_machine.disk()
    assert all(name in check.found for name in ("data", "DVC cache", "scratch"))


def test_a_check_that_fails_is_a_problem_of_its_own():
    def broken() -> Finding:
        raise ZeroDivisionError("by zero")

    assert examine(broken) == problem("the check itself failed: ZeroDivisionError: by zero")
