"""The cache of finished shards, from which an interrupted run of a stage resumes.

A stage's cache is `.scratch/<stage>/<cell>/<key>/` under the project's root, where the key is a digest of parameters
and code. Each file is named by the shard's function and a digest of its inputs, so that results of other experiments,
code or data are never reused. Files are written under another name first, and carry a digest that is checked on
reading.

A cache is removed once its stage has published. Leftovers of killed runs are bounded: beyond `DPG_SCRATCH_GB` (default
20) the oldest unused ones are removed, and if that is not enough, results are no longer cached.
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
from typing import IO, Any

from dpg.runtime import fingerprint, locks, project, serialization
from dpg.runtime.errors import UserError
from dpg.runtime.locks import LOCK

DIGEST = 32  # bytes
UNUSED_CHECKS = 5  # of a folder's lock, which processes that list the folders hold for a moment
SUFFIX = ".shard"
DEFAULT_LIMIT_GB = 20.0
PARTS = 100  # of the limit: after each the folder is measured again


class ShardCacheError(UserError):
    """Finished shards cannot be cached in a folder."""

    def __init__(self, directory: Path, error: OSError) -> None:
        todo = "Free disk space or make the folder writable, and run the same command again: it resumes from the shards"
        super().__init__(f"finished shards cannot be cached in {directory}: {error.strerror or error}. {todo} there")


def root() -> Path:
    """The scratch folder of the project, which may not exist."""
    return project.root() / ".scratch"


def limit_bytes() -> int:
    """The maximum size of the scratch folder: `DPG_SCRATCH_GB` (1 GB is 1e9 bytes).

    Raises:
        UserError: `DPG_SCRATCH_GB` is negative or no number.
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
    """The cache of a stage that has not published."""

    path: Path
    num_results: int
    num_bytes: int
    modified: float  # seconds since the epoch
    in_use: bool


def leftovers() -> list[Leftover]:
    """The caches in the scratch folder, oldest first."""
    found: list[Leftover] = []
    for directory, _, files in os.walk(root()):  # it tolerates folders that vanish meanwhile
        if LOCK in files:
            with suppress(OSError):  # just published, or another user's
                found.append(_inspect(Path(directory)))
    return sorted(found, key=lambda leftover: leftover.modified)


class ShardCache:
    """The cache of one stage of one cell."""

    def __init__(self, directory: Path, limit: int) -> None:
        self.directory = directory
        self._limit = limit
        self._metadata: list[IO[str]] = []  # locked
        self._room = 0  # free bytes, as measured when a result needed more
        self._full = False

    @property
    def num_results(self) -> int:
        """The number of cached results."""
        return len(_sizes(self.directory))

    @property
    def num_bytes(self) -> int:
        """The size of the cached results."""
        return sum(_sizes(self.directory))

    @staticmethod
    def key(function: Callable[..., Any], shard: Any) -> str:
        """The cache key of `function(shard)`."""
        return f"{function.__module__}.{function.__qualname__}-{serialization.digest(shard)}"

    def __contains__(self, key: str) -> bool:
        return self._path(key).exists()

    def get(self, key: str) -> Any:
        """The result with this key; a damaged file is removed.

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
        print(f"warning: {path} is damaged: its shard is computed again", file=sys.stderr, flush=True)
        path.unlink(missing_ok=True)
        raise KeyError(key)

    def put(self, key: str, result: Any) -> None:
        """Cache a result, if there is room.

        Raises:
            ShardCacheError: the file cannot be written.
        """
        if self._full:
            return
        payload = serialization.to_bytes(result)
        needed = DIGEST + len(payload)
        if needed > self._room:
            self._room = self._make_room(needed)
        if needed > self._room:
            print(
                "warning: DPG_SCRATCH_GB is reached: shards that finish from now on are lost if this run is killed",
                file=sys.stderr,
            )
            self._full = True
            return
        self._room -= needed
        self._write(self._path(key), _digest(key, payload) + payload)

    def read_metadata(self, name: str) -> str | None:
        """What an earlier run wrote under this name; None if there is none, or that run has not ended."""
        with suppress(OSError), (self.directory / name).open("r+", encoding="utf-8") as file:
            return file.read() if locks.is_free(file) else None
        return None

    def write_metadata(self, name: str, text: str) -> None:
        """Write a line for a later run that resumes from this cache."""
        self._write(self.directory / name, text.encode(), hold=True)

    def close(self) -> None:
        """Release the metadata to later runs."""
        for file in self._metadata:
            file.close()

    def _make_room(self, needed: int) -> int:
        """Free bytes, after removing unused leftovers where `needed` would not fit.

        Other processes fill the same folder: no more is given than `needed` or a part of the limit, whichever is more.
        """
        own = self.num_bytes
        free = self._limit - own - _bound_leftovers(self._limit - own - needed, self.directory)
        return min(free, max(needed, self._limit // PARTS))

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}{SUFFIX}"

    def _write(self, path: Path, data: bytes, *, hold: bool = False) -> None:
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(data)
            if hold:
                self._metadata.append(partial.open("r+", encoding="utf-8"))
                locks.is_free(self._metadata[-1])  # nobody else knows it yet: this takes its lock
            os.replace(partial, path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise ShardCacheError(self.directory, error) from error


@contextmanager
def open_shard_cache(
    stage: str, cell: str, inputs: Mapping[str, Any], modules: tuple[str, ...] = ()
) -> Generator[ShardCache]:
    """The cache of a stage of a cell, for these inputs (JSON) and the present code.

    It is removed when the block succeeds, unless another process uses it; otherwise it stays.

    Raises:
        ShardCacheError: the folder cannot be created.
    """
    content = json.dumps({"inputs": inputs, "code": fingerprint.code(modules)}, sort_keys=True, default=str)
    directory = root() / stage / cell / hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
    limit = limit_bytes()
    try:
        lock = locks.lock_folder(directory, locks.SHARED)
    except OSError as error:
        raise ShardCacheError(directory, error) from error
    with lock, closing(ShardCache(directory, limit)) as cache:
        yield cache
        for _ in range(UNUSED_CHECKS):
            if locks.is_free(lock):
                _discard(directory, lock)
                break
            time.sleep(0.01)


def _bound_leftovers(limit: int, ours: Path) -> int:
    """Remove unused leftovers, oldest first, until at most `limit` bytes remain; return the bytes that remain."""
    others = [leftover for leftover in leftovers() if leftover.path != ours]
    total = sum(leftover.num_bytes for leftover in others)
    for leftover in others:
        if total > limit and _remove(leftover.path):
            total -= leftover.num_bytes
    return total


def _remove(directory: Path) -> bool:
    """Remove a folder unless it is in use; the lock is held until it is gone, so that no process starts to use it."""
    with suppress(OSError), (directory / LOCK).open("r+", encoding="utf-8") as lock:
        if locks.is_free(lock):
            _discard(directory, lock)
    return not directory.exists()


def _inspect(directory: Path) -> Leftover:
    sizes = _sizes(directory)
    with (directory / LOCK).open("r+", encoding="utf-8") as lock:
        return Leftover(directory, len(sizes), sum(sizes), directory.stat().st_mtime, not locks.is_free(lock))


def _sizes(directory: Path) -> list[int]:
    """The size of each result, in bytes."""
    return [path.stat().st_size for path in directory.glob(f"*{SUFFIX}")]


def _discard(directory: Path, lock: IO[str]) -> None:
    """Remove a folder whose lock this process holds exclusively, and parents that are empty then."""
    locks.discard(directory, lock)
    with suppress(OSError):
        while (directory := directory.parent) != root().parent:
            directory.rmdir()


def _digest(key: str, payload: bytes) -> bytes:
    return hashlib.blake2b(key.encode() + b"\0" + payload, digest_size=DIGEST).digest()
