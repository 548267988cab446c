"""`dpg ui` shows the project's runs."""

import socket
import subprocess
import sys
import time
import urllib.request

import pytest


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
def test_the_pages_are_there(tmp_path, environment):
    """With the project's own store: an experiment of a name that no other store has."""
    settings = environment()
    make = "from mlflow import MlflowClient as C; C('sqlite:///mlflow.db').create_experiment('of this project')"
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, env=settings, check=True, capture_output=True)
    port = free_port()
    command = [sys.executable, "-m", "dpg.cli", "ui", "--port", str(port)]
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=settings, stdout=log, stderr=log, start_new_session=True)
    try:
        request = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name?experiment_name=of%20this%20project"
        for _ in range(300):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    assert b"of this project" in answer.read()
                    break
            except OSError:
                assert server.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
                time.sleep(0.2)
        else:
            pytest.fail((tmp_path / "log").read_text(encoding="utf-8"))
    finally:
        server.terminate()
        server.wait(300)


def test_a_project_without_runs_says_how_to_make_some(tmp_path, dpg):
    output = dpg("ui", cwd=tmp_path, expect=1)
    assert output.startswith("error: there are no runs yet (sqlite:///")
    assert not (tmp_path / "mlflow.db").exists()


def test_a_servers_own_pages_are_pointed_to(tmp_path, dpg):
    output = dpg("ui", cwd=tmp_path, MLFLOW_TRACKING_URI="https://mlflow.example.org")
    assert "https://mlflow.example.org" in output
