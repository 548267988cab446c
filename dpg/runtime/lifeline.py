"""Processes that end with the one that they work for: a stage with its DVC, a worker with its stage."""

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from dpg.runtime.errors import UserError

# DVC runs commands in the user's shell, which may stay between the two.
SHELLS = ("sh", "ash", "dash", "bash", "zsh", "fish", "ksh", "mksh", "csh", "tcsh")
POLL_INTERVAL_S = 0.5


class OrphanError(UserError):
    """The DVC that ran this process has ended: nobody would take its outputs, and another may run it again."""


def runner() -> psutil.Process | None:
    """The process that runs this one as a stage: DVC, or a program that uses it. None where no DVC runs it.

    DVC shares its process group with the commands that it runs; whoever adopts them after its end does not.

    Raises:
        OrphanError: it has ended.
    """
    if "DVC_STAGE" not in os.environ:
        return None
    for process in psutil.Process().parents():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):  # it ended meanwhile
            if process.name() not in SHELLS and os.getpgid(process.pid) == os.getpgrp():
                return process
    raise OrphanError(
        "the DVC that ran this stage has ended, so nothing is published; the same command goes on from what is kept "
        "(to run a stage by hand, unset DVC_STAGE)"
    )


def when_ended(process: psutil.Process, then: Callable[[], None]) -> None:
    """Call `then`, in a thread, as soon as a process has ended."""

    def watch() -> None:
        _wait(process)
        then()

    threading.Thread(target=watch, daemon=True).start()


def _wait(process: psutil.Process) -> None:
    with suppress(AttributeError, OSError):  # not on Linux, not allowed, or it has ended
        handle = os.pidfd_open(process.pid)
        try:
            if _is_alive(process):  # else its number may be another's by now
                poll = select.poll()
                poll.register(handle, select.POLLIN)
                poll.poll()
        finally:
            os.close(handle)
    while _is_alive(process):
        time.sleep(POLL_INTERVAL_S)


def _is_alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie, whom nobody has waited for, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False
