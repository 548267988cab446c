"""A small stage of the tests' own, in a project of its own, and how an execution of it ended."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.waiting import TIMEOUT_S, wait_for

ROOT = Path(__file__).resolve().parents[2]
STAGE = """
import os, time
from dataclasses import dataclass
from pathlib import Path
import pandas as pd
from safetensors.numpy import save
from dpg.runtime.outputs import write_table
from dpg.runtime.seeding import Seed
from stages.common import entrypoint
from stages.common.scope import Cell, tables
from stages.common.execution import run_stage

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
        while not Path("released").exists():
            time.sleep(0.01)
    return (Seed(3) / "job" / job.index).generator().standard_normal(job.size)


def main(env: str, algorithm: str, size: int = 1000) -> None:
    cell = Cell(env, algorithm)
    jobs = [Job(index, size) for index in range(40)]
    parameters = {"seed": 3, "size": size}
    with run_stage("sample", cell, parameters, cell.arrays("sample"), tables("sample", cell)) as stage:
        arrays, out = stage.outputs
        rows = []
        results = stage.map(measure, jobs, work=lambda job: job.size)
        for job, draws in zip(jobs, results):
            (arrays / f"{job.index}.safetensors").write_bytes(save({"draws": draws}))
            rows.append(Row(job.index, float(draws.mean())))
            if job.index == WHERE - 1 and TROUBLE == "nap":
                Path("taken").touch()
        write_table(pd.DataFrame(rows), out / "sample.csv")


if __name__ == "__main__":
    entrypoint.run(main)
"""
COMMAND = (sys.executable, "stage.py", "A-v0", "ppo")
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
        (root / "stage.py").write_text(STAGE, encoding="utf-8")

    def run_stage(self, trouble: str = "none 0", stop: signal.Signals | None = None) -> Ending:
        """Run the stage; where it naps, stop it."""
        before = self.runs()
        path = self.root / "stderr"
        process = self.start(path, *COMMAND, STAGE_TROUBLE=trouble)
        try:
            if stop is not None:
                self.wait_for_nap(process, path)
                # Ctrl-C reaches the workers as well.
                (os.killpg if stop is signal.SIGINT else os.kill)(process.pid, stop)
            code = process.wait(TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
        (new,) = self.runs() - before
        return Ending(
            code,
            path.read_text(encoding="utf-8"),
            self.outputs(),
            len(list(self.root.glob(".scratch/**/*.shard"))),
            self.client.get_run(new),
            self.record(),
        )

    def start(self, stderr: Path, *command: str, **variables: str) -> subprocess.Popen[bytes]:
        """A command in a process group of its own."""
        with stderr.open("w", encoding="utf-8") as file:
            return subprocess.Popen(
                command, cwd=self.root, env=self._environment | variables, stderr=file, start_new_session=True
            )

    def wait_for_nap(self, process: subprocess.Popen[bytes], stderr: Path) -> None:
        """Wait until a stage, which the process is or runs, naps."""
        nap = self.root / "napping"
        wait_for(nap.exists, lambda: process.poll() is None, stderr)
        nap.unlink()
        (self.root / "taken").unlink()

    def runs(self) -> set[str]:
        """The ids of all runs in the store."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return {run.info.run_id for run in self.client.search_runs(experiments)}

    def outputs(self) -> dict[str, bytes]:
        """What the stage has published, and whatever else lies there."""
        folders = (self.root / "data" / "sample", self.root / "data" / "tables")
        files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}

    def record(self) -> dict[str, Any] | None:
        """What the stage has left of its execution."""
        path = self.root / "data/runs/sample/A-v0/ppo.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
