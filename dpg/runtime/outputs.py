"""Atomic outputs, each with a single writer and published by renaming; and tables as CSV."""

import os
import platform
import shutil
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from dpg.runtime import locks, parent_process
from dpg.runtime.errors import UserError, file_errors


class MissingOutputError(UserError):
    """An output of an earlier stage is missing; the message says how to make it."""


@dataclass(frozen=True)
class Writer:
    """The exclusive right to write some outputs, each as a draft first."""

    targets: tuple[Path, ...]
    since: float = field(default_factory=time.monotonic)

    @property
    def drafts(self) -> list[Path]:
        """Where to write the outputs until they are published; nothing exists there at first."""
        return [_private(target) / target.name for target in self.targets]

    def publish(self) -> None:
        """Replace the targets by the drafts.

        Raises:
            OrphanError: the DVC that started this process has ended.
        """
        parent_process.find_dvc()
        for draft, target in zip(self.drafts, self.targets, strict=True):
            shutil.rmtree(target, ignore_errors=True)
            os.replace(draft, target)


@contextmanager
def sole_writer(*targets: Path) -> Generator[Writer]:
    """In the block, this process is the only writer of the targets; it first waits for any other, and says so.

    Unpublished drafts are removed with the block; those of killed processes before it.

    Raises:
        FileError: nothing can be written next to a target.
    """
    with ExitStack() as stack:
        for target in sorted(targets):  # one order for all processes, so that no two wait for each other
            stack.enter_context(_locked(target))
        yield Writer(targets)


@contextmanager
def _locked(target: Path) -> Generator[None]:
    private = _private(target)
    with file_errors(target):
        lock = locks.lock_folder(private, locks.EXCLUSIVE, lambda: _announce(target))
    with lock:
        try:
            locks.clear(private)
            (private / locks.LOCK).write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
            yield
        finally:
            locks.discard(private, lock)


def _private(target: Path) -> Path:
    """The folder where the writer of a target keeps its draft."""
    return target.with_name(f".{target.name}.partial")


def _announce(target: Path) -> None:
    """Say which process writes a target, and since when."""
    file = _private(target) / locks.LOCK
    with suppress(OSError):  # it has just ended
        writer = file.read_text(encoding="utf-8") or "a process"
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(file.stat().st_mtime))
        print(f"waiting for {writer}, which has been writing {target} since {since}", file=sys.stderr, flush=True)


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A draft to write, which replaces the file when the block succeeds."""
    with sole_writer(path) as writer:
        yield writer.drafts[0]
        writer.publish()


def write_atomic(text: str, path: Path) -> None:
    """Write a file that is either complete or absent."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_table(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Write a table as CSV with floats at full precision, and return it."""
    table.to_csv(path, index=False, lineterminator="\n")
    return table


def read_table(path: Path) -> pd.DataFrame:
    """Read a table as it was written.

    Raises:
        MissingOutputError: there is no such table.
    """
    if not path.exists():
        raise MissingOutputError(f"{path} is missing: run `dvc repro` to make it")
    # A task's id may look like a number or like NaN; missing values were written as empty fields.
    return pd.read_csv(path, dtype={"env": str}, keep_default_na=False, na_values=[""])


# In a stage's folder, next to tables that lack rows: why, one reason per line.
REASONS = "not_measured.txt"


def write_reasons(reasons: Iterable[str], *folders: Path) -> None:
    """Write why something is not measured into the folders; no file without a reason."""
    if text := "".join(f"{reason}\n" for reason in reasons):
        for folder in folders:
            (folder / REASONS).write_text(text, encoding="utf-8")


def read_reasons(folder: Path) -> list[str]:
    """The reasons that `write_reasons` wrote."""
    path = folder / REASONS
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
