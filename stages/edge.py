"""Where a stage meets the command line, and whatever ends it."""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Any

import psutil
import typer

from dpg.runtime.errors import UserError

# What the system refuses for a reason that a user can mend.
NO_ROOM = {errno.ENOSPC: "make room", errno.EDQUOT: "make room", errno.EROFS: "make it writable"}
NOT_ALLOWED = {errno.EACCES: "make it writable", errno.EPERM: "make it writable"}
INTERRUPTED = 130


def run(main: Callable[..., Any]) -> None:
    """Run a stage; what a user can mend is told in one clear message, with exit code 1, and Ctrl-C ends with 130."""
    signal.signal(signal.SIGTERM, _interrupt)
    if "DVC_STAGE" in os.environ:
        _end_with_dvc()

    @wraps(main)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            main(*args, **kwargs)
        except UserError as error:
            _fail(str(error), 1)
        except OSError as error:
            hint = (NO_ROOM | NOT_ALLOWED).get(error.errno or 0)
            if hint is None:
                raise
            _fail(f"{error.filename or 'a file'}: {error.strerror}; {hint} and run the same command again", 1)
        except KeyboardInterrupt:
            _fail("stopped before the end; nothing was published", INTERRUPTED)

    typer.run(guarded)


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise typer.Exit(code)


def _interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
    # Schedulers end a job so: it is to end as cleanly as by Ctrl-C.
    raise KeyboardInterrupt


def _end_with_dvc() -> None:
    """End the stage when the DVC that runs it is killed: nobody would take its outputs, and another may start it."""
    # Between the two there may be a shell.
    above = next((process for process in psutil.Process().parents() if "dvc" in _command(process)), None)
    if above is None:
        return

    def watch() -> None:
        while _is_alive(above):
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended meanwhile, or is another user's
        return ""


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False
