"""Finished shards of stages that have not ended: what a killed run goes on from.

They lie in `.scratch/<stage>/<cell>/<key>/` under the project's root, where the key is a digest of parameters and code,
and each file is named by the function and the content of the shard that it is the result of. So nothing is taken up
that another experiment, other code or other data left: it has another name. A file is written under another name first,
and carries a digest of its content that is checked when it is read.

The folder goes when its stage has published. What killed runs leave is bounded: beyond `DPG_SCRATCH_GB` (default 20)
the oldest that are not in use are removed, and where that is not enough, results are no longer kept.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpg.runtime import fingerprint, locks, project, serialization
from dpg.runtime.errors import UserError
from dpg.runtime.locks import LOCK

DIGEST = 32  # bytes
LOOKS = 5  # at whether a folder is in use; whoever lists folders uses each for a moment
SUFFIX = ".shard"
DEFAULT_LIMIT_GB = 20.0


class ShardCacheError(UserError):
    """Finished shards cannot be kept; the message says why and what to do."""


def root() -> Path:
    """The scratch folder of the project; it may not be there."""
    return project.root() / ".scratch"


def limit_bytes() -> int:
    """The most that the scratch folder is to hold: `DPG_SCRATCH_GB` (1 GB is 1e9 bytes).

    Raises:
        UserError: it is not a number, or negative.
    """
    text = os.environ.get("DPG_SCRATCH_GB", str(DEFAULT_LIMIT_GB))
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise UserError(f"DPG_SCRATCH_GB = {text!r}: must be a number of gigabytes, 0 or more")
    return int(limit * 1e9)


@dataclass(frozen=True)
class Leftover:
    """The folder of one execution of a stage: finished shards that have not been published."""

    path: Path
    num_results: int
    num_bytes: int
    modified: float  # seconds since the epoch
    in_use: bool


def leftovers() -> list[Leftover]:
    """What lies in the scratch folder, the oldest first."""
    found: list[Leftover] = []
    for directory, _, files in os.walk(root()):  # folders that go meanwhile are no error to it
        if LOCK in files:
            with suppress(OSError):  # it was published meanwhile, or is another user's
                found.append(_inspect(Path(directory)))
    return sorted(found, key=lambda leftover: leftover.modified)


class ShardCache:
    """The finished shards of one execution of a stage."""

    def __init__(self, directory: Path, limit: int) -> None:
        self.directory = directory
        self._limit = limit
        self._metadata_locks: list[int] = []  # locks on what it has left
        self._room = self._make_room(0)
        self._full = False

    @property
    def num_results(self) -> int:
        """Results that are kept."""
        return sum(1 for _ in self.directory.glob(f"*{SUFFIX}"))

    @property
    def num_bytes(self) -> int:
        """Bytes of the results that are kept."""
        return sum(path.stat().st_size for path in self.directory.glob(f"*{SUFFIX}"))

    @staticmethod
    def key(function: Callable[..., Any], shard: Any) -> str:
        """The name of `function(shard)`."""
        return f"{function.__module__}.{function.__qualname__}-{serialization.digest(shard)}"

    def __contains__(self, key: str) -> bool:
        return self._path(key).exists()

    def get(self, key: str) -> Any:
        """The result of that name; a file that is not whole, or not of that name, is removed.

        Raises:
            KeyError: there is none.
        """
        path = self._path(key)
        try:
            data = path.read_bytes()
            if data[:DIGEST] == _digest(key, data[DIGEST:]):
                return serialization.from_bytes(data[DIGEST:])
        except FileNotFoundError:
            raise KeyError(key) from None
        except (OSError, serialization.SerializationError):
            pass
        print(f"warning: {path} is damaged: its shard is done again", file=sys.stderr, flush=True)
        path.unlink(missing_ok=True)
        raise KeyError(key)

    def put(self, key: str, result: Any) -> None:
        """Keep a result, if there is room.

        Raises:
            ShardCacheError: it cannot be written.
        """
        if self._full:
            return
        payload = serialization.to_bytes(result)
        needed = DIGEST + len(payload)
        if needed > self._room:
            self._room = self._make_room(needed)
        if needed > self._room:
            print("warning: DPG_SCRATCH_GB is reached: what follows is lost if this run is killed", file=sys.stderr)
            self._full = True
            return
        self._room -= needed
        self._write(self._path(key), _digest(key, payload) + payload)

    def read_metadata(self, name: str) -> str | None:
        """The line that the last execution at this work left here; None if there is none, or it has not ended."""
        with suppress(OSError), (self.directory / name).open("r+", encoding="utf-8") as file:
            return file.read() if locks.is_free(file.fileno()) else None
        return None

    def write_metadata(self, name: str, text: str) -> None:
        """Leave a line for an execution that goes on from here when this one has ended."""
        self._write(self.directory / name, text.encode(), hold=True)

    def close(self) -> None:
        """What was left is that of an execution that has ended."""
        for lock in self._metadata_locks:
            os.close(lock)

    def _make_room(self, needed: int) -> int:
        """Bytes that there is room for, after what others left was removed if it leaves too little."""
        own = self.num_bytes
        return self._limit - own - _bound(self._limit - own - needed, self.directory)

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}{SUFFIX}"

    def _write(self, path: Path, data: bytes, *, hold: bool = False) -> None:
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(data)
            if hold:
                self._metadata_locks.append(locks.hold(partial))
            os.replace(partial, path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise ShardCacheError(_cannot_keep(self.directory, error)) from error


@contextmanager
def open_shard_cache(
    stage: str, cell: str, inputs: Mapping[str, Any], modules: tuple[str, ...] = ()
) -> Generator[ShardCache]:
    """The scratch folder of a stage of a cell, with these inputs (JSON), run by this code.

    It is removed when the block ends well, unless another process is at the same work; else it stays.

    Raises:
        ShardCacheError: the folder cannot be made.
    """
    directory = _directory(stage, cell, inputs, modules)
    limit = limit_bytes()
    with _in_use(directory) as lock, closing(ShardCache(directory, limit)) as cache:
        yield cache
        for _ in range(LOOKS):
            if locks.is_free(lock):
                _discard(directory, lock)
                break
            time.sleep(0.01)


@contextmanager
def pin(stage: str, cell: str, inputs: Mapping[str, Any], modules: tuple[str, ...] = ()) -> Generator[None]:
    """In the block, whoever is at the same work leaves its scratch folder when it ends well.

    Raises:
        ShardCacheError: the folder cannot be made.
    """
    with _in_use(_directory(stage, cell, inputs, modules)):
        yield


def _directory(stage: str, cell: str, inputs: Mapping[str, Any], modules: tuple[str, ...]) -> Path:
    content = json.dumps({"inputs": inputs, "code": fingerprint.code(modules)}, sort_keys=True, default=str)
    return root() / stage / cell / hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


@contextmanager
def _in_use(directory: Path) -> Generator[int]:
    """A lock on the folder, which is made where it is missing."""
    try:
        lock = locks.enter(directory, locks.SHARED)
    except OSError as error:
        raise ShardCacheError(_cannot_keep(directory, error)) from error
    try:
        yield lock
    finally:
        os.close(lock)


def _bound(limit: int, ours: Path) -> int:
    """Remove what others left, the oldest first, until they take at most `limit`; return what they take."""
    others = [leftover for leftover in leftovers() if leftover.path != ours]
    total = sum(leftover.num_bytes for leftover in others)
    for leftover in others:
        if total > limit and _remove(leftover.path):
            total -= leftover.num_bytes
    return total


def _remove(directory: Path) -> bool:
    """Remove a folder, unless it is in use; it stays locked until it is gone, so that nobody begins to use it."""
    with suppress(OSError):
        lock = os.open(directory / LOCK, os.O_RDWR)
        try:
            if locks.is_free(lock):
                _discard(directory, lock)
        finally:
            os.close(lock)
    return not directory.exists()


def _inspect(directory: Path) -> Leftover:
    sizes = [path.stat().st_size for path in directory.glob(f"*{SUFFIX}")]
    lock = os.open(directory / LOCK, os.O_RDWR)
    try:
        in_use = not locks.is_free(lock)
    finally:
        os.close(lock)
    return Leftover(directory, len(sizes), sum(sizes), directory.stat().st_mtime, in_use)


def _discard(directory: Path, lock: int) -> None:
    """Remove a folder whose lock we hold alone, and the folders above it that are empty then."""
    locks.discard(directory, lock)
    with suppress(OSError):
        while (directory := directory.parent) != root().parent:
            directory.rmdir()


def _digest(key: str, payload: bytes) -> bytes:
    return hashlib.blake2b(key.encode() + b"\0" + payload, digest_size=DIGEST).digest()


def _cannot_keep(directory: Path, error: OSError) -> str:
    return (
        f"finished work cannot be kept in {directory}: {error.strerror or error}. "
        "Make room, or make the folder writable, and run the same command again: it goes on from what is kept"
    )
