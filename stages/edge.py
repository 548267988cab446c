"""Where a stage meets the command line."""

import sys
from collections.abc import Callable
from typing import Any

import typer

from dpg.runtime.errors import UserError


def run(main: Callable[..., Any]) -> None:
    """Run a stage; what a user can mend is told in one clear message, with exit code 1."""
    try:
        typer.run(main)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
