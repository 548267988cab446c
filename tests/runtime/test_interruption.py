"""Whatever ends a stage ends its workers, within seconds and without their noise."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.waiting import TIMEOUT_S, wait_for

SCRIPT = """
import os, sys, time
from pathlib import Path
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards, open_context

def nap(index):
    Path(f"began-{os.getpid()}").touch()
    time.sleep(10_000)

try:
    with open_context() as context, Progress("test", 8) as progress:
        list(map_shards(nap, range(8), context, progress=progress, work=lambda shard: 1))
except KeyboardInterrupt:
    sys.exit(130)
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def stage(tmp_path):
    """A stage with two workers, leader of its own process group as under a terminal, and what it prints."""
    path = tmp_path / "stderr"
    with path.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            cwd=tmp_path,
            env=os.environ | {"DPG_JOBS": "2", "PYTHONPATH": str(ROOT)},
            stderr=stderr,
            start_new_session=True,
        )
    yield process, path
    with suppress(ProcessLookupError):  # its workers as well, whether it has ended or not
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Every process that the stage started; also those that see to loky's semaphores."""
    return psutil.Process(process.pid).children(recursive=True)


def at_work(folder: Path) -> bool:
    return len(list(folder.glob("began-*"))) == 2


def check_gone(family: list[psutil.Process]) -> None:
    assert len(family) >= 2
    _, alive = psutil.wait_procs(family, timeout=TIMEOUT_S)
    assert alive == []


def test_workers_end_when_their_stage_is_killed(stage, tmp_path):
    """Otherwise they would hold their cores until their shards end, next to those of the resumed run."""
    process, _ = stage
    wait_for(lambda: at_work(tmp_path))
    family = workers(process)
    process.kill()
    process.wait()
    check_gone(family)


def has_loky(process: psutil.Process) -> bool:
    return any("popen_loky" in word for word in process.cmdline())


@pytest.mark.parametrize("delay", [0.0, 0.1, None], ids=["starting", "importing", "at work"])
def test_ctrl_c_ends_all_without_a_traceback(stage, tmp_path, delay):
    """The terminal interrupts the workers as well, which leave it to the stage, also before code of ours runs there."""
    process, stderr = stage
    wait_for(lambda: at_work(tmp_path) if delay is None else sum(map(has_loky, workers(process))) == 2)
    time.sleep(delay or 0.0)
    family = workers(process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 130
    check_gone(family)
    text = stderr.read_text(encoding="utf-8")  # loky's tracker of semaphores may, rarely, warn that one was taken
    assert "Traceback" not in text
    assert "KeyboardInterrupt" not in text
