"""Processes that end together with their parent: a stage with its DVC, a worker with its stage."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from dpg.runtime.errors import UserError

# DVC runs commands in the user's shell, which may remain as a process in between.
SHELLS = ("sh", "ash", "dash", "bash", "zsh", "fish", "ksh", "mksh", "csh", "tcsh")
POLL_INTERVAL_S = 0.5


class OrphanError(UserError):
    """The DVC that started this process has ended: nobody would record its outputs."""


def find_dvc() -> psutil.Process | None:
    """The process that runs this one as a stage: DVC, or a program that uses it. None outside of DVC.

    DVC shares its process group with its commands; a process that adopts them after its end does not.

    Raises:
        OrphanError: DVC has ended.
    """
    if "DVC_STAGE" not in os.environ:
        return None
    for process in psutil.Process().parents():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):  # it has just ended
            if process.name() not in SHELLS and os.getpgid(process.pid) == os.getpgrp():
                return process
    raise OrphanError(
        "the DVC that ran this stage has ended, so nothing is published; the same command resumes from its shards "
        "(to run a stage by hand, unset DVC_STAGE)"
    )


def on_exit(process: psutil.Process, callback: Callable[[], None]) -> None:
    """Call `callback` in a thread within half a second of the end of a process."""

    def watch() -> None:
        while _is_alive(process):
            time.sleep(POLL_INTERVAL_S)
        callback()

    threading.Thread(target=watch, daemon=True).start()


def _is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two calls
        return False
