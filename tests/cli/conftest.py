"""Small DVC projects, whose stages tell when they ran and do what files tell them to."""

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# base's output never changes; left, right and join make a diamond; cell is a matrix.
PIPELINE = """
stages:
  base:
    cmd: python work.py base
    deps: [settings.txt]
    outs: [base.txt]
  left:
    cmd: python work.py left base.txt left-source.txt
    deps: [base.txt, left-source.txt]
    outs: [left.txt]
  right:
    cmd: python work.py right base.txt
    deps: [base.txt]
    outs: [right.txt]
  join:
    cmd: python work.py join left.txt right.txt
    deps: [left.txt, right.txt]
    outs: [join.txt]
  cell:
    matrix:
      name: ${names}
    cmd: python work.py cell-${item.name} base.txt
    deps: [base.txt]
    outs: ["cell-${item.name}.txt"]
"""
WORK = """
import json, os, sys, time
from pathlib import Path

name, *deps = sys.argv[1:]
started = time.time()
Path(f"started-{name}").write_text(str(os.getpid()))
print(f"{name} speaks", flush=True)
if Path(f"fail-{name}").exists():
    sys.exit(f"{name} was told to fail")
meet = Path(f"meet-{name}")  # names a stage that has to run at the same time
patience = time.time() + 300
while meet.exists() and not Path(f"started-{meet.read_text()}").exists():
    if time.time() > patience:
        sys.exit(f"{name} ran alone")
    time.sleep(0.05)
while Path(f"hold-{name}").exists():
    time.sleep(0.05)
Path(f"{name}.txt").write_text(name + "".join(Path(dep).read_text() for dep in deps))
with Path("ran.log").open("a") as log:
    log.write(json.dumps([name, started, time.time(), os.environ.get("DPG_JOBS")]) + chr(10))
"""


def environment_of_commands(**extra: str) -> dict[str, str]:
    """The tests' own environment, without what would change what a command does."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_", "DPG_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**inherited, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "", "COLUMNS": "120", **extra}


def run_dpg(
    *arguments: str,
    cwd: Path,
    expect: int | None = 0,
    start: tuple[str, ...] = (sys.executable, "-m", "dpg.cli"),
    **extra: str,
) -> str:
    """Run `dpg` in a project and return all that it says; `expect` is its exit code, None if any will do."""
    done = subprocess.run(
        [*start, *arguments],
        cwd=cwd, env=environment_of_commands(**extra), encoding="utf-8", check=False, timeout=300,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert expect is None or done.returncode == expect, done.stdout
    return done.stdout


def run_dvc(*arguments: str, cwd: Path) -> str:
    """Run `dvc` in a project and return all that it says."""
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=cwd, env=environment_of_commands(), encoding="utf-8", check=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ).stdout  # fmt: skip


def initialize(project: Path) -> None:
    """A DVC project without git."""
    run_dvc("init", "--no-scm", "--quiet", cwd=project)
    run_dvc("config", "core.analytics", "false", cwd=project)
    run_dvc("config", "core.check_update", "false", cwd=project)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory) -> Path:
    """The project before anything has run; to be copied."""
    project = tmp_path_factory.mktemp("fresh") / "project"
    project.mkdir()
    (project / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (project / "params.yaml").write_text("names: [x, y]\n", encoding="utf-8")
    (project / "work.py").write_text(WORK, encoding="utf-8")
    (project / "settings.txt").write_text("1", encoding="utf-8")
    (project / "left-source.txt").write_text("1", encoding="utf-8")
    initialize(project)
    return project


@pytest.fixture(scope="session")
def finished(fresh, tmp_path_factory) -> Path:
    """The project after `dpg repro`; to be copied."""
    project = shutil.copytree(fresh, tmp_path_factory.mktemp("finished") / "project")
    run_dpg("repro", "-j", "2", cwd=project)
    return project


@pytest.fixture
def project(fresh, tmp_path) -> Path:
    """A project in which nothing has run."""
    return shutil.copytree(fresh, tmp_path / "project")


@pytest.fixture
def done(finished, tmp_path) -> Path:
    """A project in which everything has run."""
    project = shutil.copytree(finished, tmp_path / "done")
    for mark in [project / "ran.log", *project.glob("started-*")]:
        mark.unlink()
    return project


@pytest.fixture(scope="session")
def dpg():
    """Run `dpg` in a folder; returns all that it says."""
    return run_dpg


@pytest.fixture(scope="session")
def script():
    """Run the console script `dpg` in a folder; returns all that it says.

    Unlike `python -m` it does not put the folder on the path of modules.
    """
    return partial(run_dpg, start=(str(Path(sys.executable).parent / "dpg"),))


@pytest.fixture(scope="session")
def dvc():
    """Run `dvc` in a folder; returns all that it says."""
    return run_dvc


@pytest.fixture(scope="session")
def environment():
    """The environment variables of such commands."""
    return environment_of_commands
