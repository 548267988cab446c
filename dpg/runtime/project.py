"""Where the project lies."""

import os
from pathlib import Path


def root() -> Path:
    """The project's root; in an experiment that DVC runs in a temporary copy, the original's."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def snapshots(folder: Path) -> list[Path]:
    """Every snapshot that a project in this folder holds, by path."""
    return sorted(folder.glob("data/**/agent*-iteration*.safetensors"))
