"""What goes wrong with environments."""

from dpg.runtime.errors import UserError


class EnvError(UserError):
    """An environment cannot be used, or returned what no environment should."""
