"""The command line of a stage: errors, signals and exit codes."""

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

from dpg.runtime import parent_process
from dpg.runtime.console import configure_process
from dpg.runtime.errors import UserError, file_errors

INTERRUPTED = 130
STOPPED = "interrupted; nothing was published"
STOP_TIMEOUT_S = 5.0


def run(main: Callable[..., Any]) -> None:
    """Run a stage: an error that the user can fix prints one message and exits with 1, Ctrl-C and SIGTERM with 130."""
    configure_process()
    signal.signal(signal.SIGTERM, _interrupt)

    @wraps(main)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            if dvc := parent_process.find_dvc():
                parent_process.on_exit(dvc, _stop)
            with file_errors():
                main(*args, **kwargs)
        except UserError as error:
            _fail(str(error), 1)
        except KeyboardInterrupt:
            _fail(STOPPED, INTERRUPTED)

    try:
        typer.run(guarded)
    finally:
        gc.freeze()  # otherwise the exiting interpreter traverses all imported modules, for a second or more


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise typer.Exit(code)


def _interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
    # Batch schedulers send SIGTERM; treat it as Ctrl-C.
    raise KeyboardInterrupt


def _stop() -> None:
    """Stop this stage as Ctrl-C would, then by force: a call may ignore signals, and clean-up may take long."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_TIMEOUT_S)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    print(f"error: {STOPPED}", file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)
