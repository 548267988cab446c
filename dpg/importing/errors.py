"""What can be wrong with an agent's files."""

from pydantic import ValidationError

from dpg.runtime.errors import UserError


class AgentImportError(UserError):
    """An agent cannot be imported; the message says what was found and what is expected."""


class UnsafeFileError(AgentImportError):
    """A file names code that no agent needs; the message names it. Nothing of the file was run."""


def first_fault(error: ValidationError) -> str:
    """The first value that a model refuses, and why."""
    fault = error.errors()[0]
    found = "" if fault["type"] == "missing" else f" = {fault['input']!r:.60}"
    return f"{'.'.join(map(str, fault['loc']))}{found}: {fault['msg']}"
