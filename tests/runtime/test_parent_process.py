"""A child process learns that its parent has ended."""

import os
import subprocess
import sys
import threading

import psutil
import pytest

from dpg.runtime import parent_process
from tests.waiting import TIMEOUT_S


@pytest.fixture
def process():
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield started
    started.kill()
    started.communicate()


def test_the_end_is_noticed_also_where_nobody_has_waited_for_the_process(process):
    noticed = threading.Event()
    parent_process.on_exit(psutil.Process(process.pid), noticed.set)
    process.kill()
    assert noticed.wait(TIMEOUT_S)


def test_a_process_that_has_ended_already_is_told_of(process):
    ended = psutil.Process(process.pid)
    process.kill()
    process.wait()
    noticed = threading.Event()
    parent_process.on_exit(ended, noticed.set)
    assert noticed.wait(TIMEOUT_S)


def test_who_is_not_run_by_dvc_has_no_runner(monkeypatch):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert parent_process.find_dvc() is None


def test_the_runner_is_the_process_above_the_shell(monkeypatch):
    """Whatever its name: DVC can be used from a program."""
    monkeypatch.setenv("DVC_STAGE", "train")
    script = "from dpg.runtime import parent_process; print(parent_process.find_dvc().pid)"
    noticed = subprocess.check_output(["sh", "-c", f"{sys.executable} -c '{script}'; true"], encoding="utf-8")
    assert int(noticed) == os.getpid()
