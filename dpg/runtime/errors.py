"""Errors that a user can fix, and which errors of files and memory are among them."""

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

HINTS = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free disk space") | dict.fromkeys(
    (errno.EROFS, errno.EACCES, errno.EPERM), "make it writable"
)


class UserError(Exception):
    """An error that the user can fix. Commands and stages print its message without a traceback."""


class FileError(UserError):
    """A file cannot be used: the message says which, why, and what to do about it."""


class MemoryLimitError(UserError):
    """There is not enough memory; the message says for what, if that is known."""


@contextmanager
def file_errors(written: Path | None = None) -> Generator[None]:
    """Turn errors of the operating system in the block into a `FileError` or a `MemoryLimitError`.

    Of files, those of any kind where the block does nothing but write `written`; elsewhere those that a user can fix.
    """
    try:
        yield
    except MemoryError as error:
        what = " ".join(str(error).split()) or "an allocation failed"
        raise MemoryLimitError(f"out of memory: {what}; ask for less, or use a larger machine") from error
    except OSError as error:
        hint = HINTS.get(error.errno or 0)
        if hint is None and written is None:
            raise
        why = error.strerror or error
        what = f"{written}: cannot be written ({why})" if written else f"{error.filename or 'a file'}: {why}"
        raise FileError(f"{what}; {hint} and run the same command again" if hint else what) from error
