"""Write the report: verdicts, figures, numbers and cost on one page, and landscapes that turn on another."""

import json
import sys
from pathlib import Path
from typing import Any

from dpg.report.figures import interactive
from dpg.report.page import records, render
from dpg.report.tables import load
from dpg.runtime import config
from dpg.runtime.outputs import MissingOutputError, read_table, write_atomic
from dpg.runtime.schema import Params
from dpg.tracking import runs
from stages.common import entrypoint
from stages.common.lineage import record_paths, warn_of_changed_code
from stages.common.scope import PipelineScope, record, tables_of

REPORTS = Path("reports")
FIGURES = REPORTS / "figures"
PAGE = REPORTS / "index.html"
LANDSCAPES = REPORTS / "landscapes.html"
CALIBRATION = Path("data/calibrate/calibration.csv")


def main() -> None:
    """Write `reports/index.html`, and `reports/landscapes.html` beside it."""
    params = config.load()
    warn_of_changed_code(params)
    material = render.Material(
        params=params,
        tables=load(params.envs, params.algorithms, tables_of),
        claims=read_json(REPORTS / "claims.json"),
        captions=read_json(FIGURES / "captions.json"),
        figures=FIGURES,
        records={each.name: each for each in all_records(params)},
        calibration=read_table(CALIBRATION) if CALIBRATION.exists() else None,
    )
    write_atomic(render.render(material), PAGE)
    write_atomic(interactive.page(material.tables.landscape), LANDSCAPES)
    if run_id := material.records["figures"].run_id:
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


def all_records(params: Params) -> list[records.Record]:
    """The record of every stage whose tables the report shows, of the calibration and of the figures."""
    found = record_paths(params.envs, params.algorithms)
    found |= {stage: record(stage, PipelineScope()) for stage in ("calibrate", "figures")}
    return [records.read(name, path) for name, path in found.items()]


if __name__ == "__main__":
    entrypoint.run(main)
