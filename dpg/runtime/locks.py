"""Folders that processes hold by a lock on a file in them, which the system releases when its process ends."""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

LOCK = "in-use"
SHARED, ALONE = fcntl.LOCK_SH, fcntl.LOCK_EX
ENTRIES = 100  # tries to enter a folder that others remove


def enter(directory: Path, how: int, waiting: Callable[[], AbstractContextManager[object]] = nullcontext) -> int:
    """Hold a folder, made where it is missing, `SHARED` with others or `ALONE`, until the lock returned is closed.

    Where another holds it, `waiting` is around the time until it may be held.
    """
    for tries_left in reversed(range(ENTRIES)):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT)
        except (FileNotFoundError, FileExistsError):  # it was removed while we were at it
            if not tries_left:
                raise
            continue
        try:
            with nullcontext() if is_free(lock) else waiting():
                fcntl.flock(lock, how)
            if is_named(lock, directory / LOCK):
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)
    raise FileNotFoundError(errno.ENOENT, "others remove it again and again", str(directory))


def hold(path: Path) -> int:
    """A lock on a file, held alone until it is closed."""
    lock = os.open(path, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def is_free(lock: int) -> bool:
    """Whether nobody else holds the lock; it is held alone, if so, until it is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_named(file: int, path: Path) -> bool:
    """Whether an open file has that name, and not lost it meanwhile."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def clear(directory: Path) -> None:
    """Remove everything in a folder but its lock."""
    for path in directory.iterdir():
        if path.name == LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def discard(directory: Path, lock: int) -> None:
    """Remove a folder whose lock we hold alone; what cannot be removed stays.

    The lock goes last: until then newcomers wait for it, and then they begin with a fresh folder.
    """
    with suppress(OSError):
        if is_named(lock, directory / LOCK):  # else another removed it, and what lies there now is a third one's
            clear(directory)
            (directory / LOCK).unlink()
            directory.rmdir()
