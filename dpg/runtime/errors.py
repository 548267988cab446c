"""The base of all errors that a user can mend."""


class UserError(Exception):
    """Something is wrong that a user can mend; the message is written for them. Edges print it without a traceback."""
