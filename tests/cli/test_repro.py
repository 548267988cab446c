"""`dpg repro` on a small project, with DVC itself."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dpg.cli.scheduler import Outcome, State
from dpg.cli.stage_processes import StageProcesses
from tests.waiting import wait_for

EVERYTHING = {"base", "left", "right", "join", "cell-x", "cell-y"}


def log(project: Path) -> dict[str, tuple[float, float, str]]:
    """When each command began and ended, and with which DPG_JOBS; none may have run twice."""
    path = project / "ran.log"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    assert len({line[0] for line in lines}) == len(lines), lines
    return {name: (started, ended, jobs) for name, started, ended, jobs in lines}


def nothing_is_left(output: str) -> bool:
    return "Running stage" not in output and "Data and pipelines are up to date." in output


@pytest.fixture
def start(environment):
    """Start `dpg repro -j 2` in a process group of its own; ends the group afterwards."""
    started: list[subprocess.Popen] = []

    def begin(project: Path) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", "dpg.cli", "repro", "-j", "2"],
            cwd=project, env=environment(), encoding="utf-8", start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def begun(project: Path, stage: str) -> bool:
    path = project / f"started-{stage}"
    return path.exists() and path.read_text(encoding="utf-8") != ""


def ends(pid: int) -> bool:
    """A process goes, or waits only for whoever has inherited it to take note of its end."""
    try:
        process = psutil.Process(pid)
        patience = time.monotonic() + 300
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < patience:
            time.sleep(0.01)
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_everything_runs_in_order_and_plain_dvc_finds_nothing_to_do(project, dpg, dvc):
    output = dpg("repro", "-j", "2", cwd=project)
    ran = log(project)
    assert set(ran) == EVERYTHING
    for stage, parents in {"left": ["base"], "right": ["base"], "join": ["left", "right"], "cell-x": ["base"]}.items():
        assert all(ran[parent][1] <= ran[stage][0] for parent in parents), stage
    assert re.search(r"^cell@x +\| cell-x speaks$", output, flags=re.MULTILINE), output
    assert "6 of 6 stages stale" in output
    assert "6 done" in output
    assert nothing_is_left(dvc("repro", cwd=project))
    assert set(log(project)) == EVERYTHING


@pytest.mark.slow
def test_a_second_time_nothing_runs(done, dpg):
    lock = (done / "dvc.lock").read_bytes()
    assert dpg("repro", "-j", "2", cwd=done) == "Up to date: 6 stages.\n"
    assert log(done) == {}
    assert (done / "dvc.lock").read_bytes() == lock


@pytest.mark.slow
def test_a_stage_that_says_what_dvc_says_is_believed_to_have_run(done, dpg):
    (done / "work.py").write_text(
        (done / "work.py").read_text(encoding="utf-8") + 'print(f"{name} didn\'t change, skipping")\n', encoding="utf-8"
    )
    (done / "left-source.txt").write_text("2", encoding="utf-8")
    dpg("repro", cwd=done)
    assert set(log(done)) == {"left", "join"}


@pytest.mark.slow
def test_a_stage_whose_output_stays_calls_nothing_else(done, dpg, dvc):
    (done / "settings.txt").write_text("2", encoding="utf-8")
    output = dpg("repro", cwd=done)
    assert set(log(done)) == {"base"}
    assert "1 done, 5 unchanged" in output
    assert "join" not in output
    assert nothing_is_left(dvc("repro", cwd=done))


def test_what_depends_on_a_change_runs_and_nothing_else(done, dpg, dvc):
    (done / "left-source.txt").write_text("2", encoding="utf-8")
    dpg("repro", cwd=done)
    assert set(log(done)) == {"left", "join"}
    assert (done / "join.txt").read_text(encoding="utf-8") == "joinleftbase2rightbase"
    assert nothing_is_left(dvc("repro", cwd=done))


@pytest.mark.slow
def test_an_output_changed_by_hand_is_made_again_with_what_read_it(done, dpg, dvc):
    (done / "left.txt").unlink()
    (done / "left.txt").write_text("by hand", encoding="utf-8")
    dpg("repro", cwd=done)
    assert (done / "left.txt").read_text(encoding="utf-8") == "leftbase1"
    assert (done / "join.txt").read_text(encoding="utf-8") == "joinleftbase1rightbase"
    assert nothing_is_left(dvc("repro", cwd=done))


@pytest.mark.slow
def test_a_new_cell_runs_alone(done, dpg):
    (done / "params.yaml").write_text("names: [x, z, y]\n", encoding="utf-8")
    dpg("repro", "cell", cwd=done)
    assert set(log(done)) == {"cell-z"}


@pytest.mark.slow
def test_targets_run_with_what_they_need(project, dpg):
    dpg("repro", "cell@y", "left", cwd=project)
    assert set(log(project)) == {"base", "cell-y", "left"}


@pytest.mark.slow
def test_force_runs_what_is_not_stale(done, dpg, dvc):
    dpg("repro", "--force", "left", cwd=done)
    assert set(log(done)) == {"base", "left"}
    assert nothing_is_left(dvc("repro", cwd=done))


@pytest.mark.slow
def test_warnings_are_no_errors_whatever_the_users_settings(done, dpg):
    """DVC and what it uses give some, here and in the processes that run the stages."""
    (done / "left-source.txt").write_text("2", encoding="utf-8")
    assert "2 done" in dpg("repro", cwd=done, PYTHONWARNINGS="error")


@pytest.mark.slow
def test_independent_stages_overlap_in_time(project, dpg):
    """Each waits until the other has begun: one after the other, both would fail."""
    (project / "meet-left").write_text("right", encoding="utf-8")
    (project / "meet-right").write_text("left", encoding="utf-8")
    for cell in ("x", "y"):  # their turn is later
        (project / f"meet-cell-{cell}").write_text("left", encoding="utf-8")
    dpg("repro", "-j", "2", cwd=project)
    ran = log(project)
    assert max(ran["left"][0], ran["right"][0]) < min(ran["left"][1], ran["right"][1])


@pytest.mark.slow
def test_a_failure_leaves_the_rest_done(project, dpg):
    (project / "fail-left").touch()
    output = dpg("repro", "-j", "2", cwd=project, expect=1)
    assert set(log(project)) == EVERYTHING - {"left", "join"}
    assert "left was told to fail" in output
    assert re.search(r"^ *left +failed", output, flags=re.MULTILINE), output
    assert re.search(r"^ *join +not run: left failed", output, flags=re.MULTILINE), output
    assert "Traceback" not in output
    (project / "fail-left").unlink()
    (project / "ran.log").unlink()
    dpg("repro", "-j", "2", cwd=project)
    assert set(log(project)) == {"left", "join"}


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "given", "expected"), [(1, None, None), (10_000, None, "1"), (2, "7", "7")])
def test_the_cores_are_shared_out_unless_told_otherwise(project, dpg, jobs, given, expected):
    from dpg.runtime.local_workers import num_jobs

    dpg("repro", "-j", str(jobs), "base", cwd=project, **({"DPG_JOBS": given} if given else {}))
    assert log(project)["base"][2] == (expected or str(num_jobs()))


@pytest.mark.slow
def test_ctrl_c_stops_and_the_same_command_goes_on(project, dpg, dvc, start):
    (project / "hold-left").touch()
    (project / "hold-right").touch()
    process = start(project)
    wait_for(lambda: begun(project, "left") and begun(project, "right"))
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130, output
    assert "waiting for left, right" in output
    assert "the same command resumes" in output
    assert set(log(project)) == {"base"}
    assert re.search(r"^ *left +interrupted", output, flags=re.MULTILINE), output
    assert re.search(r"^ *cell@x +not run", output, flags=re.MULTILINE), output
    for stage in ("left", "right"):
        assert ends(int((project / f"started-{stage}").read_text(encoding="utf-8"))), stage
        (project / f"hold-{stage}").unlink()
    dpg("repro", "-j", "2", cwd=project)
    assert set(log(project)) == EVERYTHING  # base once only
    assert nothing_is_left(dvc("repro", cwd=project))


@pytest.mark.slow
def test_sigterm_is_passed_on(project, dpg, start):
    (project / "hold-left").touch()
    (project / "hold-right").touch()
    process = start(project)
    wait_for(lambda: begun(project, "left") and begun(project, "right"))
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 143, output
    assert "Stopping" in output
    for stage in ("left", "right"):
        assert ends(int((project / f"started-{stage}").read_text(encoding="utf-8"))), stage
        (project / f"hold-{stage}").unlink()
    dpg("repro", "-j", "2", cwd=project)
    assert set(log(project)) == EVERYTHING


@pytest.mark.slow
def test_sigterm_ends_a_command_that_was_only_about_to_start(project, start):
    """The signal comes while DVC reads the pipeline, which it does before every command."""
    (project / "hold-base").touch()
    process = start(project)
    wait_for(psutil.Process(process.pid).children)
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 143, output
    assert re.search(r"^ *base +(interrupted|not run)", output, flags=re.MULTILINE), output


def test_sigterm_ends_a_command_whose_process_is_just_being_made(project, environment, monkeypatch):
    (project / "hold-base").touch()
    monkeypatch.chdir(project)
    processes = StageProcesses(lambda *line: None, lambda running: None, force=False, environment=environment())
    create = asyncio.create_subprocess_exec

    async def create_as_the_signal_comes(*arguments, **options):
        process = await create(*arguments, **options)
        processes.stop(signal.SIGTERM)
        await asyncio.sleep(0.01)  # asyncio, too, does other things before it hands the process over
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", create_as_the_signal_comes)

    async def call() -> Outcome:
        return await asyncio.wait_for(processes.call("base", changed=()), timeout=300)

    assert asyncio.run(call()).state is State.INTERRUPTED


@pytest.mark.slow
def test_what_a_user_can_mend_is_one_message(project, tmp_path, dpg):
    assert dpg("repro", "lefft", cwd=project, expect=1).startswith("error: DVC: ")
    assert "not inside of a DVC repository" in dpg("repro", cwd=tmp_path, expect=1)
    output = dpg("repro", cwd=project, expect=1, DPG_JOBS="many")
    assert output.startswith("error: DPG_JOBS = 'many'")
    dpg("repro", "-j", "0", cwd=project, expect=2)
    assert log(project) == {}
