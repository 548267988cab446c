"""Write the report: verdicts, figures, numbers and cost on one page, and interactive landscapes on another."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dpg.report.experiment import read
from dpg.report.figures.spec import FigureEntry
from dpg.report.page import interactive, render
from dpg.report.page.records import Record
from dpg.report.page.records import read as read_record
from dpg.runtime import config
from dpg.runtime.outputs import MissingOutputError, read_table, write_atomic
from dpg.runtime.schema import Params
from dpg.tracking import runs
from stages.common import entrypoint
from stages.common.lineage import scopes, warn_of_changed_code
from stages.common.scope import Scope, record, tables_of

REPORTS = Path("reports")
FIGURES = REPORTS / "figures"
PAGE = REPORTS / "index.html"
LANDSCAPES = REPORTS / "landscapes.html"
CALIBRATION = Path("data/calibrate/calibration.csv")


def main() -> None:
    """Write `reports/index.html` and `reports/landscapes.html`."""
    params = config.load()
    warn_of_changed_code(params)
    data = render.ReportData(
        params=params,
        experiment=read(params, tables_of),
        claims=read_json(REPORTS / "claims.json"),
        figures=[FigureEntry(**entry) for entry in read_json(FIGURES / "index.json")],
        folder=FIGURES,
        records={each.name: each for each in all_records(params)},
        calibration=read_table(CALIBRATION) if CALIBRATION.exists() else None,
    )
    write_atomic(render.render(data), PAGE)
    write_atomic(interactive.page(data.experiment), LANDSCAPES)
    if run_id := data.records["figures"].run_id:
        runs.attach(PAGE, run_id)
    print(PAGE.resolve(), file=sys.stderr)


def read_json(path: Path) -> Any:
    """What the figures' stage left.

    Raises:
        MissingOutputError: it is not there or not whole.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise MissingOutputError(f"{path} is missing or not whole: run `dvc repro --force figures`") from None


def all_records(params: Params) -> Iterator[Record]:
    """The record of every stage whose tables the report shows, of the calibration and of the figures."""
    for name, (stage, scope) in scopes(params.envs, params.algorithms).items():
        yield read_record(record(stage, scope), name, stage, scope.env, scope.algorithm or None)
    for stage in ("calibrate", "figures"):
        yield read_record(record(stage, Scope()), stage, stage)


if __name__ == "__main__":
    entrypoint.run(main)
