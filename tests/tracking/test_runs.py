"""Runs in a real MLflow store."""

import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest
from mlflow import MlflowClient

from dpg.tracking import runs
from dpg.tracking.errors import TrackingError
from dpg.tracking.uri import EXPERIMENT


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """One project for all tests: making a store takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("project")
        patch.setenv("DVC_ROOT", str(root))
        patch.setenv("DVC_STAGE", "train@Hopper-v4-ppo")
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_EXP_NAME"):
            patch.delenv(name, raising=False)
        yield root


def client(project) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project}/mlflow.db")


def test_a_stage_leaves_parameters_metrics_tables_tags_and_its_id(project):
    params = {"seed": 0, "ppo": {"lr": 1.25e-4, "reward_clip": None, "anneal": True}, "sizes": (100, 200)}
    (project / "tables").mkdir()
    (project / "tables" / "history.csv").write_text("a\n1\n", encoding="utf-8")
    with runs.stage_run("train", params, {"env": "Hopper-v4"}, None) as run:
        run.log_metrics({"kl": 0.5, "mean_return": float("nan")}, step=2000)
        run.log_metrics({"kl": 0.25}, step=4000)
        run.log_artifacts(project / "tables", "tables")
        run.child("agent 3", {"agent": "3"})
    found = client(project).get_run(run.id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "train@Hopper-v4-ppo"
    assert found.data.params == {
        "seed": "0", "ppo.lr": "0.000125", "ppo.reward_clip": "null", "ppo.anneal": "true", "sizes": "[100, 200]",
    }  # fmt: skip
    steps = [(metric.step, metric.value) for metric in client(project).get_metric_history(found.info.run_id, "kl")]
    assert steps == [(2000, 0.5), (4000, 0.25)]
    assert "mean_return" not in found.data.metrics
    assert found.data.tags["stage"] == "train"
    assert found.data.tags["env"] == "Hopper-v4"
    assert found.data.tags["version.mujoco"] == "4.0.0"
    assert [file.path for file in client(project).list_artifacts(found.info.run_id, "tables")] == ["tables/history.csv"]
    assert (project / "mlartifacts").is_dir()
    (child,) = client(project).search_runs([found.info.experiment_id], "tags.agent = '3'")
    assert child.data.tags["mlflow.parentRunId"] == found.info.run_id
    assert child.data.tags["env"] == "Hopper-v4"
    assert child.data.params == found.data.params


def test_means_over_agents_step_in_environment_steps(project):
    table = pd.DataFrame({"iteration": [0, 0, 30, 30], "cosine": [0.2, 0.4, 0.1, 0.1]})
    with runs.stage_run("gradient", {}, {}, None) as run:
        run.log_curve("cosine", table, "cosine", timesteps=2000)
    history = client(project).get_metric_history(run.id, "cosine")
    assert [(metric.step, metric.value) for metric in history] == [
        (0, pytest.approx(0.3)),
        (60_000, pytest.approx(0.1)),
    ]


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_stage_that_ends_badly_says_so(project, error, status):
    with pytest.raises(error), runs.stage_run("train", {}, {}, None) as run:
        child = run.child("agent 0", {})
        run.log_metrics({"kl": 1.0}, step=1)
        raise error
    found = client(project).get_run(run.id)
    assert found.info.status == client(project).get_run(child.id).info.status == status
    assert found.data.metrics == {"kl": 1.0}


def test_the_run_of_a_killed_stage_is_closed_by_the_one_that_goes_on(project):
    """One that was killed had no time to end itself, nor its agents'."""
    stage = runs.stage_run("train", {}, {}, None)
    killed = stage.__enter__()
    child = killed.child("agent 0", {"agent": "0"})
    assert client(project).get_run(child.id).info.status == "RUNNING"
    with runs.stage_run("train", {}, {}, resumes=killed.id) as run:
        pass
    for each in (killed, child):
        found = client(project).get_run(each.id)
        assert found.info.status == "KILLED"
        assert found.data.tags["resumed_by"] == run.id


def test_an_earlier_run_that_the_store_does_not_know_is_no_trouble(project):
    with runs.stage_run("train", {}, {}, resumes="0" * 32) as run:
        pass
    assert client(project).get_run(run.id).info.status == "FINISHED"


def test_a_server_that_cannot_be_reached_stops_the_stage_at_its_start(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with (
        pytest.raises(TrackingError, match=r"http://127.0.0.1:9 cannot be used"),
        runs.stage_run("train", {}, {}, None),
    ):
        pytest.fail("the work began")


def test_a_store_that_refuses_something_is_said_aloud_and_spares_the_work(project, capsys):
    with runs.stage_run("train", {"seed": 0}, {}, None) as run:
        run.log_params({"seed": 1})  # MLflow does not change a parameter
    assert f"warning: MLflow run {run.id} lost data" in capsys.readouterr().err
    assert client(project).get_run(run.id).info.status == "FINISHED"


@pytest.mark.slow
def test_an_artifact_store_without_its_package_or_its_credentials_spares_the_work(
    project, monkeypatch, tmp_path, capsys
):
    """Neither error is MLflow's own."""
    name = "artifacts in a bucket"
    client(project).create_experiment(name, artifact_location="s3://bucket/folder")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    (tmp_path / "table.csv").write_text("a\n1\n", encoding="utf-8")
    with runs.stage_run("value", {}, {}, None) as run:
        run.log_artifacts(tmp_path, "tables")
    assert client(project).get_run(run.id).info.status == "FINISHED"
    assert f"warning: MLflow run {run.id} lost data: " in capsys.readouterr().err


def test_a_store_that_is_slow_to_fail_is_left_alone_for_a_while(project, monkeypatch, tmp_path):
    """It would cost a training of nine runs and fifty snapshots hours; the end of the run is tried in any case."""
    asked: list[str] = []

    class Failing(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            asked.append(self.path)
            time.sleep(0.3)
            self.send_error(400)

    name = "artifacts on a slow server"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    (tmp_path / "table.csv").write_text("a\n1\n", encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client(project).create_experiment(name, artifact_location=f"http://127.0.0.1:{server.server_port}/artifacts")
        with runs.stage_run("value", {}, {}, None) as run:
            child = run.child("agent 0", {})
            for each in (run, child, run):
                each.log_file(tmp_path / "table.csv")
            run.log_metrics({"kl": 0.5}, step=0)
        server.shutdown()
    assert (len(asked), run.all_lost) == (1, 3)
    found = client(project).get_run(run.id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"kl": 0.5})
    assert client(project).get_run(child.id).info.status == "FINISHED"


def test_a_nested_run_that_the_store_does_not_make_is_refused_with_advice(project):
    with runs.stage_run("train", {}, {}, None) as run:
        experiment = client(project).get_run(run.id).info.experiment_id
        client(project).delete_experiment(experiment)
        with pytest.raises(TrackingError, match="must be in the 'active' state"):
            run.child("agent 0", {})
        client(project).restore_experiment(experiment)


def test_four_stages_may_start_at_once_on_a_missing_store(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    script = "from dpg.tracking import runs\nwith runs.stage_run('train', {}, {}, None): pass"
    started = [
        subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.PIPE, encoding="utf-8")
        for _ in range(4)
    ]
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, errors
    (experiment,) = [e for e in client(tmp_path).search_experiments() if e.name == EXPERIMENT]
    assert len(client(tmp_path).search_runs([experiment.experiment_id])) == 4


def test_a_run_says_which_runs_made_what_it_reads(project):
    """Those that this store knows are links; of the others it says which store has them."""
    with runs.stage_run("train", {}, {}, None) as made:
        pass
    here = {"run_id": made.id, "tracking_uri": "sqlite:///here.db"}
    elsewhere = {"run_id": "0" * 32, "tracking_uri": "https://elsewhere"}
    with runs.stage_run("figures", {}, {}, None, "What it does.") as run:
        assert run.link({"train@A-v0-ppo": here, "value@A-v0-ppo": elsewhere}) == ["value@A-v0-ppo"]
    tags = client(project).get_run(run.id).data.tags
    assert tags["made_by.train.A-v0-ppo"] == made.id
    assert tags["made_by.value.A-v0-ppo"] == "0" * 32
    note = tags["mlflow.note.content"]
    experiment = client(project).get_run(made.id).info.experiment_id
    assert note.startswith("What it does.\n")
    assert f"| train@A-v0-ppo | [train@Hopper-v4-ppo](#/experiments/{experiment}/runs/{made.id}) |" in note
    assert f"| value@A-v0-ppo | `{'0' * 32}` in https://elsewhere |" in note
    assert run.lost == 0


def test_what_was_lost_is_counted_and_said_again_at_the_end(project, capsys):
    with runs.stage_run("train", {"seed": 0}, {}, None) as run:
        child = run.child("agent 0", {})
        run.log_params({"seed": 1})  # MLflow does not change a parameter
        child.log_params({"seed": 2})
    assert run.all_lost == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"warning: MLflow lost 2 messages of train@Hopper-v4-ppo: its run {run.id} is incomplete")


def test_runs_of_an_experiment_of_dvcs_are_named_after_it(project, monkeypatch):
    """Charts show names alone."""
    monkeypatch.setenv("DVC_EXP_NAME", "faster")
    with runs.stage_run("train", {}, {}, None) as run:
        child = run.child("Hopper-v4 ppo agent 0", {})
    names = [client(project).get_run(each.id).info.run_name for each in (run, child)]
    assert names == ["train@Hopper-v4-ppo faster", "Hopper-v4 ppo agent 0 faster"]


def test_a_file_joins_a_run_that_has_ended(project, tmp_path, capsys):
    page = tmp_path / "index.html"
    page.write_text("<html>", encoding="utf-8")
    with runs.stage_run("figures", {}, {}, None) as run:
        pass
    runs.attach(page, run.id)
    assert [file.path for file in client(project).list_artifacts(run.id)] == ["index.html"]
    assert capsys.readouterr().err == ""
    runs.attach(page, "0" * 32)
    assert f"index.html is missing from MLflow's run {'0' * 32}" in capsys.readouterr().err
