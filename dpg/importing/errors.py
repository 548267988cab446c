"""What can be wrong with an agent's files."""

from pydantic import ValidationError

from dpg.runtime.errors import UserError

MAX_MESSAGE = 600


class AgentImportError(UserError):
    """An agent cannot be imported; the message says what was found and what is expected.

    A file can put any text into it, so it is one line of limited length without characters that terminals obey.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class UnsafeFileError(AgentImportError):
    """A file names code that no agent needs; the message names it. Nothing of the file was run."""


def one_line(text: str) -> str:
    """A text with characters that cannot be printed written as escapes, and cut where it is too long."""
    if len(text) > MAX_MESSAGE:
        text = f"{text[:MAX_MESSAGE]}..."
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def first_fault(error: ValidationError) -> str:
    """The first value that a model refuses, and why."""
    fault = error.errors()[0]
    found = "" if fault["type"] == "missing" else f" = {fault['input']!r:.60}"
    return f"{'.'.join(map(str, fault['loc']))}{found}: {fault['msg']}"
