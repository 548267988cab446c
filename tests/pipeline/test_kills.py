"""Killed stages, with real DVC and MLflow, resume where they were and end with the bytes of an uninterrupted run.

The project in which nothing was killed gave every stage one worker; here some have two.
"""

import json
import random
import shutil
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.pipeline.project import CELL_STAGES, ENV, copy, digest, ran, set_parameter, shell, stopped_when

SEED = 4


def record(stage: str) -> Path:
    """Where a stage leaves what it took."""
    return Path("data/runs", stage, f"{ENV}.json" if stage == "regimes" else f"{ENV}/ppo.json")


def cost(project: Path, stage: str) -> dict:
    return json.loads((project / record(stage)).read_text(encoding="utf-8"))["cost"]


def kept(project: Path, stage: str) -> int:
    """Finished shards of a stage in the scratch folder."""
    return len(list((project / ".scratch" / stage).rglob("*.shard")))


def outputs(project: Path, stage: str) -> list[Path]:
    """The folders that a stage of PPO's cell, or of the task, leaves its results in."""
    cell = Path(ENV) if stage == "regimes" else Path(ENV, "ppo")
    parts = [stage, f"tables/{stage}", *(["policies"] if stage == "checkpoint" else [])]
    found = [project / "data" / part / cell for part in parts]
    return [folder for folder in found if folder.exists()]


@pytest.mark.parametrize("stage", [*CELL_STAGES, "regimes"])
def test_only_unfinished_shards_are_done_again_and_the_bytes_are_the_same(reference, project, stage):
    rng = random.Random(f"{SEED} {stage}")
    command = ["python", "-m", f"stages.{stage}", ENV, *([] if stage == "regimes" else ["ppo"])]
    whole = cost(reference, stage)["shards"]
    folders = outputs(project, stage)
    before = {folder: digest(folder) for folder in folders}

    def remove() -> None:
        for folder in folders:
            shutil.rmtree(folder)

    remove()
    # Early enough for shards to be left to do when the signal comes.
    moment = rng.randint(1, max(1, whole // 2))
    jobs = str(rng.choice([1, 2]))
    stopped_when(lambda: kept(project, stage) >= moment, command, project, SIGKILL, remove, DPG_JOBS=jobs)
    assert not [path for folder in folders for path in folder.glob("[!.]*")]  # but what begins with a dot: unfinished
    left = kept(project, stage)
    shell(*command, cwd=project, DPG_JOBS=str(rng.choice([1, 2])))
    assert {folder: digest(folder) for folder in folders} == before
    assert sum(map(len, before.values())) > 0
    assert (cost(project, stage)["shards"], cost(project, stage)["resumed_shards"]) == (whole, left)
    assert 0 < left < whole or whole == 1
    assert not (project / ".scratch" / stage).exists()
    assert not list(project.rglob("*.partial"))


def test_a_dvc_that_was_killed_goes_on_and_nothing_below_runs_again(reference, tmp_path):
    """Again and again: at the first shard of a training, and later."""
    project, stage = copy(reference, tmp_path / "project"), "train"
    folder = project / "data" / "train" / ENV / "ppo"
    command = ["dvc", "repro", "--single-item", "--force", f"{stage}@{ENV}-ppo"]
    for moment in (1, 2):
        come = lambda: kept(project, stage) >= moment  # noqa: B023, E731
        stopped_when(come, command, project, SIGKILL, lambda: None, DPG_JOBS="2")
    assert not folder.exists()
    assert "resuming: " in shell(*command, cwd=project)
    assert digest(folder) == digest(reference / "data" / "train" / ENV / "ppo")
    assert ran(shell("dvc", "repro", cwd=project)) <= {"figures", "report"}  # which name the runs of all stages


def test_figures_that_were_killed_are_whole(project):
    set_parameter(project, "figures.formats", ["svg"])
    figures = project / "reports" / "figures"
    remove = lambda: shutil.rmtree(figures)  # noqa: E731
    remove()
    command = ["python", "-m", "stages.figures"]
    come = lambda: len(list(project.glob("reports/.figures.partial/figures/*"))) >= 3  # noqa: E731
    stopped_when(come, command, project, SIGKILL, remove, DPG_JOBS="1")
    assert not figures.exists()
    shell(*command, cwd=project)
    index = json.loads((figures / "index.json").read_text(encoding="utf-8"))
    assert {path.name for path in figures.iterdir()} == {
        *(f"{entry['name']}.svg" for entry in index),
        "index.json",
        "landscape_alignment.csv",
    }
    assert not list(project.rglob("*.partial"))
