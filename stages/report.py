"""Write the report: verdicts, figures, numbers and cost on one page."""

import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

from dpg.report.page import records, render
from dpg.report.tables import SOURCES, TASK_SOURCES, load
from dpg.runtime import config
from dpg.runtime.outputs import MissingOutputError, read_table, write_whole
from dpg.runtime.schema import Params
from stages import edge
from stages.cell import Cell, Owner, Task, Whole, record, tables_of

REPORTS = Path("reports")
FIGURES = REPORTS / "figures"
PAGE = REPORTS / "index.html"
CALIBRATION = Path("data/calibrate/calibration.csv")


def main() -> None:
    """Write `reports/index.html`."""
    params = config.load()
    material = render.Material(
        params=params,
        tables=load(params.envs, params.algorithms, tables_of),
        claims=read_json(REPORTS / "claims.json"),
        captions=read_json(FIGURES / "captions.json"),
        figures=FIGURES,
        records={each.name: each for each in all_records(params)},
        calibration=read_table(CALIBRATION) if CALIBRATION.exists() else None,
    )
    write_whole(render.render(material), PAGE)
    print(PAGE.resolve(), file=sys.stderr)


def read_json(path: Path) -> Any:
    """What the figures' stage left.

    Raises:
        MissingOutputError: it is not there or not whole.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        raise MissingOutputError(f"{path} is missing or not whole: run `dvc repro --force figures`") from None


def all_records(params: Params) -> list[records.Record]:
    """The record of every stage whose tables the report shows, and of the figures."""
    cells = [Cell(env, algorithm) for env, algorithm in product(params.envs, params.algorithms)]
    owners: list[tuple[str, str, Owner]] = [
        (stage, f"@{cell.env}-{cell.algorithm}", cell)
        for stage in dict.fromkeys(stage for stage, _ in SOURCES.values())
        for cell in cells
    ]
    owners += [
        (stage, f"@{env}", Task(env, "ppo"))
        for stage in dict.fromkeys(stage for stage, _ in TASK_SOURCES.values())
        for env in params.envs
    ]
    owners += [("calibrate", "", Whole()), ("figures", "", Whole())]
    return [records.read(f"{stage}{cell}", record(stage, owner)) for stage, cell, owner in owners]


if __name__ == "__main__":
    edge.run(main)
