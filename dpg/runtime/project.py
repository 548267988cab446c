"""Where the project lies."""

import os
import sys
from pathlib import Path


def root() -> Path:
    """The project's root; in an experiment that DVC runs in a temporary copy, the original's."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def snapshots(folder: Path) -> list[Path]:
    """Every snapshot that a project in this folder holds, by path."""
    return sorted(folder.glob("data/**/agent*-iteration*.safetensors"))


def make_importable(folder: Path | None = None) -> None:
    """Let a user's own modules be imported from a folder; by default from where we are, then from the project's root.

    `python -m` does so by itself; a command, a notebook or a worker does not.
    """
    here = str((folder or Path.cwd()).resolve())
    if here not in sys.path:
        sys.path.insert(0, here)
    if str(root()) not in sys.path:
        sys.path.append(str(root()))


def around(path: Path) -> Path | None:
    """The project that a file lies in: the nearest folder above it that has a `params.yaml`."""
    return next((folder for folder in path.resolve().parents if (folder / "params.yaml").is_file()), None)
