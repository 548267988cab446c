"""Ctrl-C in a stage, and experiments side by side, with real DVC and MLflow."""

import time
from pathlib import Path
from signal import SIGINT

import psutil
from mlflow import MlflowClient
from ruamel.yaml import YAML

from tests.pipeline.project import ENV, TIMEOUT_S, clone, digest, shell, stopped_when


def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(reference, tmp_path):
    copy = clone(reference, tmp_path / "project", scale="smoke", algorithms=["ppo"])
    stage = "train@Hopper-v4-ppo"
    shell("dvc", "repro", "params", cwd=copy)
    command = ["dvc", "repro", "-s", "-f", stage]
    begun = lambda: any((copy / ".scratch" / "train").rglob("*.shard"))  # noqa: E731
    output = stopped_when(begun, command, copy, SIGINT, again=lambda: None)
    assert "finished shard" in output
    assert "the same command resumes from there" in output
    assert "Traceback" not in output
    assert not (copy / "data" / "train" / ENV / "ppo").exists()
    below = [each for each in psutil.process_iter(["cmdline"]) if str(copy) in " ".join(each.info["cmdline"] or [])]
    assert not below
    output = shell(*command, cwd=copy)
    assert "resuming: " in output
    assert digest(copy / "data" / "train") == {
        name: data for name, data in digest(reference / "data" / "train").items() if "trpo" not in name
    }


def test_queued_experiments_side_by_side_lose_no_run_and_cross_no_shard(reference, tmp_path):
    """Two workers of DVC's queue, on a store that is not there yet, at the same stage with different parameters."""
    copy = clone(reference, tmp_path / "project", scale="smoke", algorithms=["ppo"])
    rates = {"slow": "1.0e-4", "fast": "1.0e-3"}
    for name, rate in rates.items():
        shell("dvc", "exp", "run", "--queue", "-n", name, "-S", f"ppo.lr={rate}", "train@Hopper-v4-ppo", cwd=copy)
    shell("dvc", "queue", "start", "-j", "2", cwd=copy)
    deadline = time.monotonic() + TIMEOUT_S
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
    assert snapshots["slow"] == trained((reference / "dvc.lock").read_text(encoding="utf-8"))
    assert snapshots["fast"] != snapshots["slow"]


def refs(copy: Path) -> dict[str, str]:
    """DVC's experiments by name."""
    listed = shell("git", "for-each-ref", "--format=%(refname)", "refs/exps", cwd=copy).split()
    return {ref.rsplit("/", 1)[1]: ref for ref in listed if ref.count("/") == 4}


def trained(lock: str) -> str:
    """The digest of the snapshots of the PPO cell, in a `dvc.lock`."""
    outs = YAML(typ="safe").load(lock)["stages"]["train@Hopper-v4-ppo"]["outs"]
    return next(out["md5"] for out in outs if out["path"] == "data/train/Hopper-v4/ppo")
