"""What can be wrong with an agent's files."""

from dpg.runtime.errors import UserError


class AgentImportError(UserError):
    """An agent cannot be imported; the message says what was found and what is expected."""


class UnsafeFileError(AgentImportError):
    """A file names code that no agent needs; the message names it. Nothing of the file was run."""
