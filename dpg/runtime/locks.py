"""Folders that processes lock by a file inside, which the system releases when the process ends."""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

LOCK = "in-use"
SHARED, EXCLUSIVE = fcntl.LOCK_SH, fcntl.LOCK_EX
MAX_ATTEMPTS = 100  # at a folder that other processes keep removing


def lock_folder(directory: Path, mode: int, waiting: Callable[[], AbstractContextManager[object]] = nullcontext) -> int:
    """Lock a folder, created if missing, in `SHARED` or `EXCLUSIVE` mode until the returned descriptor is closed.

    `waiting` is entered while another process holds the lock.
    """
    for attempts_left in reversed(range(MAX_ATTEMPTS)):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT)
        except (FileNotFoundError, FileExistsError):  # another process has just removed it
            if not attempts_left:
                raise
            continue
        try:
            with nullcontext() if is_free(lock) else waiting():
                fcntl.flock(lock, mode)
            if is_named(lock, directory / LOCK):
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)
    raise FileNotFoundError(errno.ENOENT, "other processes keep removing it", str(directory))


def lock_file(path: Path) -> int:
    """Lock a file exclusively until the returned descriptor is closed."""
    lock = os.open(path, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def is_free(lock: int) -> bool:
    """Whether no other process holds the lock; if so, take it exclusively."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_named(file: int, path: Path) -> bool:
    """Whether an open file still has that name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def clear(directory: Path) -> None:
    """Remove everything in a folder except its lock."""
    for path in directory.iterdir():
        if path.name == LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def discard(directory: Path, lock: int) -> None:
    """Remove a folder whose lock this process holds exclusively; files that cannot be removed stay.

    The lock goes last: until then other processes wait for it, and then they start with a new folder.
    """
    with suppress(OSError):
        if is_named(lock, directory / LOCK):  # otherwise the folder there now belongs to another process
            clear(directory)
            (directory / LOCK).unlink()
            directory.rmdir()
