"""How a stage fails, and how it is stopped: processes, ended by real signals."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from dpg.runtime.errors import UserError
from stages.common import entrypoint
from tests.waiting import TIMEOUT_S, wait_for


def test_what_a_user_can_mend_is_one_message_and_exit_code_1(monkeypatch, capsys):
    def main() -> None:
        raise UserError("ppo.lr = -1: must be positive")

    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(SystemExit) as stopped:
        entrypoint.run(main)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: ppo.lr = -1: must be positive\n"


def test_a_defect_keeps_its_traceback(monkeypatch):
    def main() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(ZeroDivisionError):
        entrypoint.run(main)


ROOT = Path(__file__).resolve().parents[2]
NAP = """
import ctypes, os, sys, time
from pathlib import Path
from stages.common import entrypoint

while Path("slow").exists():  # it takes long to import
    Path("importing").touch()
    time.sleep(0.01)

def main() -> None:
    Path("napping").touch()
    if Path("deaf").exists():
        mutex = ctypes.create_string_buffer(64)
        while True:  # the second time, for ever
            ctypes.CDLL(None).pthread_mutex_lock(mutex)
    try:
        while not Path("released").exists():
            time.sleep(0.01)
    finally:
        Path("cleaned").touch()

if __name__ == "__main__":
    entrypoint.run(main)
"""
FULL = """
from pathlib import Path
from stages.common import entrypoint

def main() -> None:
    with Path("data").open("wb") as file:
        for _ in range(3):
            file.write(bytes(10**6))

entrypoint.run(main)
"""


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """Stages run in a folder of their own, with this code."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("DVC_STAGE", raising=False)
    (tmp_path / "stage.py").write_text(NAP, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stage_that_is_interrupted_cleans_up_says_so_and_ends_with_130(environment, how):
    """Schedulers end jobs with SIGTERM: they must end as cleanly as by Ctrl-C."""
    process = subprocess.Popen([sys.executable, "stage.py"], cwd=environment, stderr=subprocess.PIPE, encoding="utf-8")
    wait_for((environment / "napping").exists)
    process.send_signal(how)
    _, stderr = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert stderr == "error: interrupted; nothing was published\n"
    assert (environment / "cleaned").exists()


def test_a_full_disk_is_one_clear_line(on_a_small_disk, tmp_path):
    ended = on_a_small_disk(tmp_path, [sys.executable, "-c", FULL])
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("No space left on device; free disk space and run the same command again")


def test_a_read_only_disk_is_one_clear_line_that_names_the_file(on_a_small_disk, tmp_path):
    shell = 'mount -o remount,ro "$PWD" && exec "$0" -c "$1"'
    ended = on_a_small_disk(tmp_path, ["sh", "-c", shell, sys.executable, FULL])
    assert ended.returncode == 1
    assert ended.stderr == "error: data: Read-only file system; make it writable and run the same command again\n"


def test_an_error_of_the_system_that_no_user_can_mend_keeps_its_traceback(monkeypatch):
    def main() -> None:
        Path("nowhere").read_bytes()

    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(FileNotFoundError):
        entrypoint.run(main)


@contextmanager
def under_dvc(
    folder: Path, first: str = "napping", **variables: str
) -> Iterator[tuple[subprocess.Popen, psutil.Process]]:
    """A process that runs the stage in a shell of its own, as DVC does; and the stage, which has made that file."""
    (folder / "runner.py").write_text(
        "import subprocess, sys\n"
        f"subprocess.call('{sys.executable} stage.py; true', shell=True, stderr=open('stderr', 'w'))\n",
        encoding="utf-8",
    )
    with subprocess.Popen([sys.executable, "runner.py"], cwd=folder, env=os.environ | variables) as parent:
        wait_for((folder / first).exists)
        family = psutil.Process(parent.pid).children(recursive=True)
        (stage,) = [each for each in family if "stage.py" in each.cmdline()]
        try:
            yield parent, stage
        finally:
            parent.kill()
            with suppress(psutil.NoSuchProcess):
                stage.kill()


def test_a_stage_whose_dvc_was_killed_ends_by_itself(environment):
    """Nobody would record its outputs, and the next `dvc repro` would start a second one."""
    with under_dvc(environment, DVC_STAGE="train@0") as (parent, stage):
        parent.kill()
        parent.wait()
        stage.wait(TIMEOUT_S)
        assert (environment / "cleaned").exists()
        assert (environment / "stderr").read_text(encoding="utf-8") == "error: interrupted; nothing was published\n"


def test_a_stage_ends_though_nobody_collects_its_dead_dvc(environment):
    """In a container whose first process does not wait for others, a killed DVC stays as a zombie."""
    with under_dvc(environment, DVC_STAGE="train@0") as (parent, stage):
        parent.kill()
        stage.wait(TIMEOUT_S)
        assert psutil.Process(parent.pid).status() == psutil.STATUS_ZOMBIE


def test_a_stage_ends_with_its_dvc_also_in_a_call_that_heeds_no_signal(environment):
    """Python looks at signals between calls, and some calls take minutes."""
    (environment / "deaf").touch()
    with under_dvc(environment, DVC_STAGE="train@0") as (parent, stage):
        parent.kill()
        stage.wait(TIMEOUT_S)
        assert (environment / "stderr").read_text(encoding="utf-8") == "error: interrupted; nothing was published\n"


def test_a_stage_whose_dvc_was_killed_before_it_began_does_not_begin(environment):
    """Its imports take seconds."""
    (environment / "slow").touch()
    with under_dvc(environment, first="importing", DVC_STAGE="train@0") as (parent, stage):
        parent.kill()
        parent.wait()
        (environment / "slow").unlink()
        stage.wait(TIMEOUT_S)
        assert not (environment / "napping").exists()
        assert (
            (environment / "stderr")
            .read_text(encoding="utf-8")
            .startswith("error: the DVC that ran this stage has ended, ")
        )


def test_a_stage_that_was_started_by_hand_goes_on_when_its_shell_is_closed(environment):
    with under_dvc(environment) as (parent, stage):
        parent.kill()
        parent.wait()
        (environment / "released").touch()
        stage.wait(TIMEOUT_S)
        assert (environment / "cleaned").exists()
        assert (environment / "stderr").read_text(encoding="utf-8") == ""
