"""Whatever prevents a run from using its MLflow store is found by inspecting it, and reported with fitting advice."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from dpg.tracking import runs, store
from dpg.tracking.errors import TrackingError, explained
from dpg.tracking.store import inspect_store, open_store
from dpg.tracking.uri import EXPERIMENT, database_file

# As some CI systems name a checkout, and as a person may: decoded once too often, they are other folders.
NAMES = ("feature%2Fx?", "who's 'with space & #hash'; ü")
USE = """
from pathlib import Path
from dpg.tracking import runs, store, uri
Path("params.txt").write_text("valid", encoding="utf-8")
with runs.stage_run("params", {}, {}, None) as run:
    run.log_file(Path("params.txt"))
print(uri.tracking_uri())
print(store.inspect_store())
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A store with one run; to be copied. Making it takes MLflow some seconds."""
    root = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        with runs.stage_run("train", {}, {}, None):
            pass
    return root


def enter(root: Path, patch: pytest.MonkeyPatch, uri: str = "") -> None:
    for name in [name for name in os.environ if name.startswith(("MLFLOW_TRACKING", "MLFLOW_EXP", "_MLFLOW", "DVC_"))]:
        patch.delenv(name)
    patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    patch.setattr(store, "TIMEOUT_S", 0)
    patch.chdir(root)
    if uri:
        patch.setenv("MLFLOW_TRACKING_URI", uri)


@pytest.fixture
def project(made, tmp_path, monkeypatch) -> Path:
    root = shutil.copytree(made, tmp_path / "project")
    enter(root, monkeypatch)
    return root


def refusal() -> str:
    """What the inspection and the run say, which must be the same, and no secret."""
    said = []
    for use in (inspect_store, open_store):
        with pytest.raises(TrackingError) as caught, explained():
            use()
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "secret" not in said[0]
    return said[0]


def change(project: Path, statement: str) -> None:
    with sqlite3.connect(project / "mlflow.db") as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_project_may_lie_in_any_folder(tmp_path, name):
    """With its environment in it: MLflow is imported from a folder of that name, too."""
    packages = tmp_path / name / "packages"
    packages.parent.mkdir()
    packages.symlink_to(Path(mlflow.__file__).parents[2])
    root = tmp_path / "nothing else" / name
    root.mkdir(parents=True)
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "_MLFLOW", "DVC_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=root,
        env=environment | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(packages)])},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    uri, found = done.stdout.splitlines()
    assert found == f"{uri}, 1 runs"
    assert database_file(uri) == root / "mlflow.db"
    assert {path.relative_to(root).parts[0] for path in root.rglob("params.txt")} == {"mlartifacts", "params.txt"}
    assert [path.name for path in root.parent.iterdir()] == [name]


def test_a_deleted_experiment_can_be_restored_or_left(project, monkeypatch):
    client = MlflowClient("sqlite:///mlflow.db")
    number = client.get_experiment_by_name(EXPERIMENT).experiment_id
    client.delete_experiment(number)
    said = refusal()
    assert f"the experiment '{EXPERIMENT}' was deleted\n" in said
    assert f"mlflow experiments restore --experiment-id {number}" in said and "MLFLOW_EXPERIMENT_NAME" in said
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    open_store()
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    client.restore_experiment(number)
    open_store()


def test_another_versions_schema(project):
    change(project, "UPDATE alembic_version SET version_num = '0584bdc529eb'")
    assert f"`mlflow db upgrade sqlite:///{project}/mlflow.db`" in refusal()
    change(project, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    assert "which a newer MLflow made" in refusal()


def test_a_database_that_another_program_keeps_locked(project):
    connection = sqlite3.connect(project / "mlflow.db")
    connection.execute("BEGIN EXCLUSIVE")
    assert "another program has it locked" in refusal()
    connection.close()
    open_store()


def test_what_is_no_database(project):
    (project / "mlflow.db").write_text("no database, though as long as the header of one: " * 4, encoding="utf-8")
    said = refusal()
    assert "move the file away, or set MLFLOW_TRACKING_URI" in said and "unset" not in said
    (project / "mlflow.db").unlink()
    (project / "mlflow.db").mkdir()
    assert "it is a folder" in refusal()


def test_a_missing_database_is_not_made_by_a_look(project):
    (project / "mlflow.db").unlink()
    assert inspect_store().endswith("/mlflow.db, which the first run will create")
    assert not (project / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file:mlruns", "mlflow migrate-filestore"),
        ("mlruns", "MLFLOW_ALLOW_FILE_STORE=true"),
        ("mongodb://me:secret@host/runs", "MLflow knows no store with the scheme 'mongodb'"),
        ("mssql+nodriver://me:secret@host/runs", "its URI cannot be read"),
        ("sqlite://mlflow.db", "three slashes"),
        ("http://me:secret@127.0.0.1:9", "no server answers ([Errno 111] Connection refused)\nstart the server"),
    ],
)
def test_a_store_that_is_none(project, monkeypatch, uri, message):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert message in refusal()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (401, "MLFLOW_TRACKING_USERNAME"),
        (403, "MLFLOW_TRACKING_USERNAME"),
        (503, "start the server"),
        (404, "not an MLflow server"),
    ],
)
def test_a_server_that_refuses(project, monkeypatch, code, message):
    """As a proxy before a server answers, or another server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{server.server_port}")
        said = refusal()
        server.shutdown()
    assert message in said


def test_the_whole_table_of_runs_is_reachable_where_a_description_cannot_hold_it(project):
    """The paper's nine cells have some ninety runs; MLflow cuts a description at 8,000 letters."""
    with runs.stage_run("train", {}, {}, None) as made:
        pass
    names = [f"update_step@Humanoid-v4-ppo_m.{index:02}" for index in range(93)]
    with runs.stage_run("figures", {}, {}, None, "What it does.") as run:
        run.link({name: {"run_id": made.id, "tracking_uri": "here"} for name in names})
    assert run.all_lost == 0
    client, _ = open_store()
    note = client.get_run(run.id).data.tags["mlflow.note.content"]
    assert len(note) <= 8000
    *table, rest = [line for line in note.splitlines() if "train](" in line or "made_by.md" in line]
    assert all(line.endswith(f"{made.id}) |") for line in table)
    assert f"and {93 - len(table)} more: [made_by.md](#/experiments/1/runs/{run.id}/artifacts/made_by.md)" in rest
    whole = Path(client.download_artifacts(run.id, "made_by.md")).read_text(encoding="utf-8")
    assert all(f"| {name} | [train](#/experiments/1/runs/{made.id}) |" in whole for name in names)
