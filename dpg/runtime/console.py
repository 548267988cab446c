"""Standard streams and warnings of a command or a stage."""

import io
import os
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from dpg.runtime.errors import UserError, file_errors


def configure_process() -> None:
    """Keep the terminal's encoding and warning options from ending a program; call once, at its start.

    Characters that the encoding lacks are escaped. Warnings stay warnings, here and in child processes, even where
    PYTHONWARNINGS or -W turns them into errors: the libraries emit many.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if any(option.startswith("error") for option in sys.warnoptions):
        os.environ.pop("PYTHONWARNINGS", None)
        warnings.simplefilter("default")


def run(app: Callable[..., Any], name: str) -> None:
    """Run a command line; an error that the user can fix is printed as one message, with exit code 1."""
    configure_process()
    try:
        with file_errors():
            app(prog_name=name)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


@contextmanager
def stdout_to_stderr() -> Generator[None]:
    """In the block, standard output goes to standard error: only the command's own result belongs on it.

    The file descriptor is redirected, so C code and child processes are included.
    """
    sys.stdout.flush()
    ours = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(ours, 1)
        os.close(ours)
