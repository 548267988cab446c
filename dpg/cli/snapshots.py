"""The argument that names a snapshot: its file, which shells complete."""

from pathlib import Path
from typing import Annotated

import typer

from dpg.runtime import project


def complete(incomplete: str) -> list[str]:
    """Completions of a snapshot's path, one folder at a time."""
    paths = [path.as_posix() for path in project.snapshots(Path())]
    steps = [incomplete]
    while len(steps) == 1 and not steps[0].endswith(".safetensors"):
        start = steps[0]
        ends = {path: path.find("/", len(start)) for path in paths if path.startswith(start)}
        steps = sorted({path[: end + 1] if end >= 0 else path for path, end in ends.items()})
    return steps


Snapshot = Annotated[
    Path,
    typer.Argument(
        metavar="SNAPSHOT", help="A snapshot's file, such as those in `data/train`.", autocompletion=complete
    ),
]
