"""Outputs that are whole or absent: written by one process, published by rename; and tidy tables in CSV."""

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from dpg.runtime import lifeline, locks
from dpg.runtime.errors import UserError


class MissingOutputError(UserError):
    """A stage lacks what an earlier one should have left; the message says what and how to make it."""


@dataclass(frozen=True)
class Claim:
    """The sole right to write some outputs, each as a draft that no other process touches."""

    targets: tuple[Path, ...]
    since: float = field(default_factory=time.monotonic)

    @property
    def drafts(self) -> list[Path]:
        """Where the outputs are written until they are published; nothing is there at first."""
        return [_private(target) / target.name for target in self.targets]

    def publish(self) -> None:
        """The drafts become the targets, in the place of what was there.

        Raises:
            OrphanError: the DVC that runs this process has ended.
        """
        lifeline.runner()
        for draft, target in zip(self.drafts, self.targets, strict=True):
            shutil.rmtree(target, ignore_errors=True)
            os.replace(draft, target)


@contextmanager
def claim(*targets: Path, waiting: Callable[[], AbstractContextManager[object]] = nullcontext) -> Generator[Claim]:
    """In the block, this process alone writes the targets: it waits for another that does, and says so.

    Drafts that are not published vanish with the block, and those of killed processes before it. `waiting` is around
    the time until another has ended.
    """
    with ExitStack() as stack:
        for target in sorted(targets):  # everybody in the same order, so that no two wait for each other
            stack.enter_context(_claimed(target, waiting))
        yield Claim(targets)


@contextmanager
def _claimed(target: Path, waiting: Callable[[], AbstractContextManager[object]]) -> Generator[None]:
    @contextmanager
    def told() -> Generator[None]:
        print(f"waiting for {_writer(target)}", file=sys.stderr, flush=True)
        with waiting():
            yield

    private = _private(target)
    lock = locks.enter(private, locks.ALONE, told)
    try:
        locks.clear(private)
        (private / locks.LOCK).write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        locks.discard(private, lock)
        os.close(lock)


def _private(target: Path) -> Path:
    """The folder of the one process that writes a target."""
    return target.with_name(f".{target.name}.partial")


def _writer(target: Path) -> str:
    """Who writes a target now, and since when."""
    file = _private(target) / locks.LOCK
    with suppress(OSError):  # it has just ended
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(file.stat().st_mtime))
        return f"{file.read_text(encoding='utf-8') or 'a process'}, which has been writing {target} since {since}"
    return f"another process, which writes {target}"


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """The name of a draft to write, which becomes the file when the block ends well: it is whole or absent."""
    with claim(path) as claimed:
        yield claimed.drafts[0]
        claimed.publish()


def write_whole(text: str, path: Path) -> None:
    """A file that is whole or absent."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_table(rows: Sequence[Any] | pd.DataFrame, path: Path, kind: type | None = None) -> pd.DataFrame:
    """Write rows (dataclasses of one `kind`) as CSV, floats at full precision, and return them as a table.

    Where there may be no rows, `kind` gives the columns.
    """
    columns = None if kind is None else [each.name for each in fields(kind)]
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame([asdict(row) for row in rows], columns=columns)
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


# In a stage's folder, beside tables that lack rows: why, a reason a line.
REASONS = "not_measured.txt"


def write_reasons(reasons: Iterable[str], *folders: Path) -> None:
    """Leave in some folders why something is not measured; nothing where there is no reason."""
    if text := "".join(f"{reason}\n" for reason in reasons):
        for folder in folders:
            (folder / REASONS).write_text(text, encoding="utf-8")


def read_reasons(folder: Path) -> list[str]:
    """What `write_reasons` left."""
    path = folder / REASONS
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
