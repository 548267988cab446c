"""Outputs that are whole or absent: directories published by rename, and tidy tables in CSV."""

import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from dpg.runtime.errors import UserError


class MissingOutputError(UserError):
    """A stage lacks what an earlier one should have left; the message says what and how to make it."""


@contextmanager
def publish(*targets: Path) -> Generator[list[Path]]:
    """Fresh directories to write in, which become the targets when the block ends well and vanish when it does not."""
    partials = [target.with_name(f".{target.name}.partial") for target in targets]
    for partial in partials:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    try:
        yield partials
        for partial, target in zip(partials, targets, strict=True):
            shutil.rmtree(target, ignore_errors=True)
            os.replace(partial, target)
    finally:
        for partial in partials:
            shutil.rmtree(partial, ignore_errors=True)


def write_whole(text: str, path: Path) -> None:
    """A file that is whole or absent."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    os.replace(partial, path)


def write_table(rows: Sequence[Any] | pd.DataFrame, path: Path) -> pd.DataFrame:
    """Write rows (dataclasses of one kind) as CSV, floats at full precision, and return them as a table."""
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame([asdict(row) for row in rows])
    table.to_csv(path, index=False, lineterminator="\n")
    return table


def read_table(path: Path) -> pd.DataFrame:
    """A table as it was written.

    Raises:
        MissingOutputError: the table is not there.
    """
    if not path.exists():
        raise MissingOutputError(f"{path} is missing: run `dvc repro` to make it")
    # A task's id may look like a number or a word for nothing; what is missing was written as nothing.
    return pd.read_csv(path, dtype={"env": str}, keep_default_na=False, na_values=[""])
