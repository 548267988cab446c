"""Copies of the project in which the pipeline really runs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
ENV = "Hopper-v4"
CELL_STAGES = [
    "train",
    "ablation",
    "checkpoint",
    "gradient",
    "update_step",
    "update_gain",
    "value",
    "true_value",
    "baselines",
    "landscape",
]
TASK_STAGE = f"regimes@{ENV}"
TIMEOUT_S = 600  # seconds, after which nothing is expected to happen any more
ATTEMPTS = 5


def environment(**variables: str) -> dict[str, str]:
    """What a command in a copy sees: nothing of the settings that this process was started with."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_", "DPG_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return inherited | {"PATH": path} | variables


def shell(*command: str, cwd: Path, expect: int = 0, **variables: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=environment(**variables), capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def stopped_when(
    come: Callable[[], bool],
    command: list[str],
    project: Path,
    how: signal.Signals,
    again: Callable[[], None],
    **variables: str,
) -> str:
    """Start a command, and send a signal to it and all below it when the moment has come; what it printed.

    On a busy machine it may have ended before the signal. Then it is started again, after what `again` does.
    """
    for _ in range(ATTEMPTS):
        process = subprocess.Popen(
            command,
            cwd=project,
            env=environment(**variables),
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        deadline = time.monotonic() + TIMEOUT_S
        while not come() and process.poll() is None:
            assert time.monotonic() < deadline, "the moment does not come"
            time.sleep(0.005)
        if process.poll() is None:
            os.killpg(process.pid, how)
            printed = process.communicate()[0]
            if process.returncode != 0:
                return printed
        else:
            assert process.returncode == 0, process.communicate()[0]
        again()
    raise AssertionError(f"ended before the signal, {ATTEMPTS} times")


# What git keeps of a run of the default parameters, and the published record: no clone needs them.
RESULTS = ("dvc.lock", "reports/", "docs/record/")


def clone(source: Path, target: Path, **overrides: object) -> Path:
    """The source's files that git would keep but results, uncommitted changes too, in a repository of their own."""
    listed = shell("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=source)
    for name in listed.splitlines():
        if (source / name).is_file() and not name.startswith(RESULTS):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / name)
    for name, value in overrides.items():
        set_parameter(target, name, value)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "as it stands"]):
        shell("git", "-c", "user.name=t", "-c", "user.email=t@t", *command, cwd=target)
    return target


def copy(source: Path, target: Path) -> Path:
    """A project with its results, without its MLflow store and DVC's locks."""
    left_out = shutil.ignore_patterns("mlflow.db*", "mlartifacts", "tmp", "__pycache__")
    return shutil.copytree(source, target, symlinks=True, ignore=left_out)


def set_parameter(project: Path, name: str, value: object) -> None:
    """Change params.yaml as a person would."""
    yaml, path = YAML(), project / "params.yaml"
    params = yaml.load(path)
    *sections, key = name.split(".")
    section = params
    for part in sections:
        section = section[part]
    assert key in section
    section[key] = value
    yaml.dump(params, path)


def ran(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


def chain(*algorithms: str, stages: list[str] | None = None) -> set[str]:
    return {f"{stage}@{ENV}-{algorithm}" for algorithm in algorithms for stage in stages or CELL_STAGES}


def digest(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def runs(project: Path) -> pd.DataFrame:
    """Every MLflow run of a project, with its tags and metrics."""
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, max_results=1000)
    return pd.DataFrame(
        [
            {"id": run.info.run_id, "status": run.info.status, **run.data.tags, "metrics": run.data.metrics}
            for run in found
        ]
    )
