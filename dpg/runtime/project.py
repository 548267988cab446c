"""Where the project lies."""

import os
from pathlib import Path


def root() -> Path:
    """The project's root; in an experiment that DVC runs in a temporary copy, the original's."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()
