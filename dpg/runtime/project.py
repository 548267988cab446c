"""The project's folder, and importing the user's modules from it."""

import os
import sys
from pathlib import Path


def root() -> Path:
    """The project's root; for an experiment in DVC's temporary copy, the root of the original."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def snapshots(folder: Path) -> list[Path]:
    """Every snapshot of the project in this folder, sorted by path."""
    return sorted(folder.glob("data/**/agent*-iteration*.safetensors"))


def make_importable(folder: Path | None = None) -> None:
    """Make the user's own modules importable from a folder (default: the current one), then from the project's root.

    `python -m` does this by itself; commands, notebooks and workers do not.
    """
    here = str((folder or Path.cwd()).resolve())
    if here not in sys.path:
        sys.path.insert(0, here)
    if str(root()) not in sys.path:
        sys.path.append(str(root()))


def around(path: Path) -> Path | None:
    """The project that contains a file: the nearest folder above it with a `params.yaml`."""
    return next((folder for folder in path.resolve().parents if (folder / "params.yaml").is_file()), None)
