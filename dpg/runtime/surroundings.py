"""Where a program of ours meets what surrounds it: its terminal, its user's settings, and modules of the user's own."""

import io
import os
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager


def settle() -> None:
    """Keep the user's settings from ending a program: call it once, where the program begins.

    What the terminal's encoding lacks is printed as an escape. Warnings stay warnings, here and in the programs that
    this one starts, also where PYTHONWARNINGS or -W makes them errors: libraries give many.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if any(option.startswith("error") for option in sys.warnoptions):
        os.environ.pop("PYTHONWARNINGS", None)
        warnings.simplefilter("default")


@contextmanager
def foreign_output() -> Generator[None]:
    """Standard output belongs to the command: in the block, what anything prints to it goes to standard error.

    The file descriptor is redirected: this holds for code in C, and for child processes, too.
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
