"""What drawing takes: some of a report's figures, from the tables in a folder. `python -m dpg.planning.drawing`.

Three are drawn and stand for all: a landscape, the rewards for what is drawn over every iteration of a training, and
the value nets' errors for the rest. The tables are stand-ins with the rows that the true ones will have.
"""

import importlib
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel, ConfigDict

from dpg.planning import memory
from dpg.report import style, tables
from dpg.report.gallery import Drawing, drawings
from dpg.runtime.schema import Params

# By the beginning of their names, figures and those that stand for them.
STAND_INS = {
    "fig07_landscape": "fig07_landscape",
    "fig06": "fig07_landscape",
    "fig09": "fig09",
    "fig03": "fig09",
    "sec22": "fig09",
}
OTHERS = "fig04"


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
    """Read the tables, draw the figures that stand for all, and reckon what all take."""
    importlib.import_module("stages.figures")
    measured = tables.load(
        params.envs, params.algorithms, lambda env, algorithm, stage: folder / stage / env / (algorithm or "")
    )
    gallery = drawings(measured, params.common.timesteps, params.statistics)
    start_seconds = time.process_time()
    drawn = {name: _draw(next(d for d in gallery if d.name.startswith(name)), params) for name in _models()}
    costs = [drawn[model_of(drawing.name)] for drawing in gallery]
    captions = sum(len(drawing.name) + len(drawing.caption) for drawing in gallery)
    return Drawn(
        figures=len(gallery),
        output_bytes=sum(size for size, _ in costs) + captions,
        seconds=sum(seconds for _, seconds in costs),
        start_seconds=start_seconds,
        peak=memory.peak(),
    )


def model_of(name: str) -> str:
    """The beginning of the name of the figure that stands for one."""
    return next((model for start, model in STAND_INS.items() if name.startswith(start)), OTHERS)


def _models() -> list[str]:
    return list(dict.fromkeys([*STAND_INS.values(), OTHERS]))


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
