"""The base class of errors that a user can fix."""


class UserError(Exception):
    """An error that the user can fix. Commands and stages print its message without a traceback."""
