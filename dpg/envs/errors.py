"""The error of environments."""

from dpg.runtime.errors import UserError


class EnvError(UserError):
    """An environment cannot be used, or returned invalid values."""
