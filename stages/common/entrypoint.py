"""Where a stage meets the command line, and whatever ends it."""

import errno
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from types import FrameType
from typing import Any

import psutil
import typer

from dpg.runtime import lifeline
from dpg.runtime.errors import UserError
from dpg.runtime.surroundings import settle

# What the system refuses for a reason that a user can mend.
NO_ROOM = {errno.ENOSPC: "make room", errno.EDQUOT: "make room", errno.EROFS: "make it writable"}
NOT_ALLOWED = {errno.EACCES: "make it writable", errno.EPERM: "make it writable"}
INTERRUPTED = 130
STOPPED = "stopped before the end; nothing was published"
STOP_TIMEOUT_S = 5.0


def run(main: Callable[..., Any]) -> None:
    """Run a stage; what a user can mend is told in one clear message, with exit code 1, and Ctrl-C ends with 130."""
    settle()
    signal.signal(signal.SIGTERM, _interrupt)

    @wraps(main)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            if dvc := lifeline.runner():
                lifeline.when_ended(dvc, _end)
            main(*args, **kwargs)
        except UserError as error:
            _fail(str(error), 1)
        except OSError as error:
            hint = (NO_ROOM | NOT_ALLOWED).get(error.errno or 0)
            if hint is None:
                raise
            _fail(f"{error.filename or 'a file'}: {error.strerror}; {hint} and run the same command again", 1)
        except KeyboardInterrupt:
            _fail(STOPPED, INTERRUPTED)

    try:
        typer.run(guarded)
    finally:
        gc.freeze()  # else the interpreter, at its exit, looks through all that was imported, for a second or more


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise typer.Exit(code)


def _interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
    # Schedulers end a job so: it is to end as cleanly as by Ctrl-C.
    raise KeyboardInterrupt


def _end() -> None:
    """End this stage as by Ctrl-C; by force where that takes long, in a call that does not heed signals or a cleanup.

    Nobody would take its outputs, and the same command may be given again.
    """
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_TIMEOUT_S)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    print(f"error: {STOPPED}", file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)
