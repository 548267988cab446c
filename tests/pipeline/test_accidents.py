"""A pipeline that is killed again and again, with real DVC and MLflow, ends with the bytes of one that never was."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML

from tests.pipeline.project import ENV, ROOT, clone, digest, environment, ran, shell

STAGES = [
    "train",
    "ablation",
    "regimes",
    "checkpoint",
    "gradient",
    "update_step",
    "value",
    "true_value",
    "baselines",
    "landscape",
]
SEED = 4
PATIENCE = 300  # seconds


def cost(project: Path, stage: str) -> dict:
    path = f"{stage}/{ENV}.json" if stage == "regimes" else f"{stage}/{ENV}/ppo.json"
    return json.loads((project / "data" / "runs" / path).read_text())["cost"]


def kept(project: Path, stage: str) -> int:
    """Finished shards of a stage in the scratch folder."""
    return len(list((project / ".scratch" / stage).rglob("*.shard")))


def start(project: Path, *command: str, **variables: str) -> subprocess.Popen:
    """A command in a process group of its own."""
    return subprocess.Popen(
        command,
        cwd=project,
        env=environment(**variables),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill_when(project: Path, come: Callable[[], bool], what: str, jobs: int) -> None:
    """Start `dvc repro`; kill it and all below it when the moment has come."""
    process = start(project, "dvc", "repro", DPG_JOBS=str(jobs))
    deadline = time.monotonic() + PATIENCE
    while not come():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"it does not get to {what}"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def survivor(project, tmp_path_factory):
    """A copy in which every stage was killed at random moments, and then ended; and what was kept at the last kill.

    The work goes on now with one worker, now with two.
    """
    settings = {"scale": "smoke", "algorithms": ["ppo"], "figures.formats": ["svg"]}
    copy = clone(ROOT, tmp_path_factory.mktemp("killed") / "project", **settings)
    rng = random.Random(SEED)
    left = {}
    for stage in STAGES:
        # Early enough for shards to be left to do when the signal comes.
        most = max(1, cost(project, stage)["shards"] // 2)
        moments = sorted(rng.sample(range(1, most + 1), min(most, 2 if stage == "train" else 1)))
        for moment in moments:
            kill_when(copy, lambda: kept(copy, stage) >= moment, f"{moment} shards of {stage}", rng.choice([1, 2]))  # noqa: B023
            left[stage] = kept(copy, stage)
    drawn = rng.randint(1, 10)
    partial = copy / "reports" / ".figures.partial"
    kill_when(copy, lambda: len(list(partial.glob("*"))) >= drawn, f"{drawn} files of figures", jobs=1)
    output = shell("dvc", "repro", cwd=copy)
    assert ran(output) - {"calibrate"} == {"figures", "report"}
    return copy, left


def test_a_killed_pipeline_ends_with_the_same_bytes(project, survivor):
    """Whatever the number of workers, too: in the project each stage had one, here some had two."""
    copy, _ = survivor
    ours, theirs = digest(copy / "data"), digest(project / "data")
    names = {name for name in ours if "runs/" not in name}
    assert len(names) > 20
    different = [name for name in sorted(names) if ours[name] != theirs[name]]
    assert not different
    assert ran(shell("dvc", "repro", cwd=copy)) == set()


@pytest.mark.parametrize("stage", STAGES)
def test_only_unfinished_shards_are_done_again(project, survivor, stage):
    copy, left = survivor
    taken = cost(copy, stage)
    assert taken["shards"] == cost(project, stage)["shards"]
    assert taken["resumed_shards"] == left[stage] > 0


def test_nothing_is_left_behind(survivor):
    copy, _ = survivor
    assert not (copy / ".scratch").exists()
    assert not list(copy.rglob("*.partial"))


def test_figures_that_were_killed_are_whole(survivor):
    copy, _ = survivor
    figures = copy / "reports" / "figures"
    captions = json.loads((figures / "captions.json").read_text())
    drawn = {f"{name}.svg" for name in captions}
    assert {path.name for path in figures.iterdir()} == drawn | {"captions.json", "landscape_alignment.csv"}


def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(project, tmp_path):
    copy = clone(project, tmp_path / "project", scale="smoke", algorithms=["ppo"])
    stage = "train@Hopper-v4-ppo"
    shell("dvc", "repro", "params", cwd=copy)
    process = start(copy, "dvc", "repro", "-s", stage)
    while kept(copy, "train") < 1:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    told = time.monotonic()
    output = process.communicate(timeout=60)[0]
    assert time.monotonic() - told < 10
    assert process.returncode != 0
    assert "finished shard" in output
    assert "the same command goes on from there" in output
    assert "Traceback" not in output
    assert not (copy / "data" / "train" / ENV / "ppo").exists()
    below = [each for each in psutil.process_iter(["cmdline"]) if str(copy) in " ".join(each.info["cmdline"] or [])]
    assert not below
    output = shell("dvc", "repro", "-s", stage, cwd=copy)
    assert "resuming: " in output
    assert digest(copy / "data" / "train") == {
        name: data for name, data in digest(project / "data" / "train").items() if "trpo" not in name
    }


def test_queued_experiments_side_by_side_lose_no_run_and_cross_no_shard(project, tmp_path):
    """Two workers of DVC's queue, on a store that is not there yet, at the same stage with different parameters."""
    copy = clone(project, tmp_path / "project", scale="smoke", algorithms=["ppo"])
    rates = {"slow": "1.0e-4", "fast": "1.0e-3"}
    for name, rate in rates.items():
        shell("dvc", "exp", "run", "--queue", "-n", name, "-S", f"ppo.lr={rate}", "train@Hopper-v4-ppo", cwd=copy)
    shell("dvc", "queue", "start", "-j", "2", cwd=copy)
    deadline = time.monotonic() + PATIENCE
    while True:
        status = shell("dvc", "queue", "status", cwd=copy)
        if "Queued" not in status and "Running" not in status:
            break
        assert time.monotonic() < deadline, status
        time.sleep(1)
    assert status.count("Success") == 2, status
    client = MlflowClient(f"sqlite:///{copy}/mlflow.db")
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    stages = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    assert {run.data.tags["dvc.exp_name"] for run in stages} == set(rates)
    assert len(found) == 2 * (1 + 2)  # a stage and its two agents, twice
    assert all(run.info.status == "FINISHED" for run in found)
    assert not (copy / ".scratch").exists()
    # The one with the project's own rate has the project's own snapshots: nothing of the other came in.
    snapshots = {name: trained(shell("git", "show", f"{ref}:dvc.lock", cwd=copy)) for name, ref in refs(copy).items()}
    assert snapshots["slow"] == trained((project / "dvc.lock").read_text())
    assert snapshots["fast"] != snapshots["slow"]


def refs(copy: Path) -> dict[str, str]:
    """DVC's experiments by name."""
    listed = shell("git", "for-each-ref", "--format=%(refname)", "refs/exps", cwd=copy).split()
    return {ref.rsplit("/", 1)[1]: ref for ref in listed if ref.count("/") == 4}


def trained(lock: str) -> str:
    """The digest of the snapshots of the PPO cell, in a `dvc.lock`."""
    outs = YAML(typ="safe").load(lock)["stages"]["train@Hopper-v4-ppo"]["outs"]
    return next(out["md5"] for out in outs if out["path"] == "data/train/Hopper-v4/ppo")
