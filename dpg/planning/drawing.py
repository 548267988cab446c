"""What drawing takes: some of a report's figures, from the tables in a folder. `python -m dpg.planning.drawing`.

One figure of each kind is drawn while the time lasts, those first that differ most; a kind that was not drawn counts as
the mean of the plain ones that were. The tables are stand-ins with the rows that the true ones will have.
"""

import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from pydantic import BaseModel, ConfigDict

from dpg.planning import memory
from dpg.report import style, tables
from dpg.report.gallery import Drawing, drawings
from dpg.runtime.schema import Params

SECONDS = 2.5
# A landscape is unlike the others; of these, rewards have the most points.
FIRST = ("fig07_landscape", "fig01", "fig09")


class Drawn(BaseModel):
    """A report's figures: how many, their bytes in all formats, core seconds, and the process's peak in bytes.

    `start_seconds` is what passes before the first can be drawn.
    """

    model_config = ConfigDict(frozen=True)

    figures: int
    output_bytes: int
    seconds: float
    start_seconds: float
    peak: int


def measure(params: Params, folder: Path) -> Drawn:
    """Read the tables, draw one figure of each kind while the time lasts, and reckon what all take."""
    importlib.import_module("stages.figures")
    measured = tables.load(
        params.envs, params.algorithms, lambda env, algorithm, stage: folder / stage / env / (algorithm or "")
    )
    gallery = drawings(measured, params.common.timesteps, params.statistics)
    start_seconds = time.process_time()
    drawn: dict[str, tuple[int, float]] = {}
    for drawing in sorted(gallery, key=_rank):
        if kind_of(drawing.name, params.envs) not in drawn and time.process_time() - start_seconds < SECONDS:
            drawn[kind_of(drawing.name, params.envs)] = _draw(drawing, params)
    plain = [cost for kind, cost in drawn.items() if kind != FIRST[0]] or list(drawn.values())
    typical = mean(size for size, _ in plain), mean(seconds for _, seconds in plain)
    costs = [drawn.get(kind_of(drawing.name, params.envs), typical) for drawing in gallery]
    captions = sum(len(drawing.name) + len(drawing.caption) for drawing in gallery)
    return Drawn(
        figures=len(gallery),
        output_bytes=round(sum(size for size, _ in costs)) + captions,
        seconds=sum(seconds for _, seconds in costs),
        start_seconds=start_seconds,
        peak=memory.peak(),
    )


def kind_of(name: str, envs: Sequence[str]) -> str:
    """The figure's name without the task and what follows it."""
    return next((name.partition(f"_{env}")[0] for env in envs if f"_{env}" in name), name)


def _rank(drawing: Drawing) -> int:
    return next((rank for rank, start in enumerate(FIRST) if drawing.name.startswith(start)), len(FIRST))


def _draw(drawing: Drawing, params: Params) -> tuple[int, float]:
    """Bytes in all formats, and core seconds."""
    began = time.process_time()
    with TemporaryDirectory() as folder:
        paths = style.save(drawing.draw(), Path(folder), drawing.name, params.figures.formats, params.figures.dpi)
        return sum(path.stat().st_size for path in paths), time.process_time() - began


def main() -> None:
    """Read parameters as JSON on standard input, and draw from the folder that the command line names."""
    reply, sys.stdout = sys.stdout, sys.stderr
    params = Params.model_validate_json(sys.stdin.read())
    print(measure(params, Path(sys.argv[1])).model_dump_json(), file=reply)


if __name__ == "__main__":
    main()
