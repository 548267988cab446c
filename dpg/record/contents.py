"""The sources of a record as the report reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dpg.record import lock as locks
from dpg.record import sources
from dpg.report.experiment import Experiment, read
from dpg.report.page.records import Record
from dpg.runtime import config
from dpg.runtime.outputs import read_table
from dpg.runtime.schema import Params
from stages.common.scope import Scope

DPI = 100


@dataclass(frozen=True)
class Contents:
    """What a record is derived from.

    `runs` are the stages by their names in DVC, and `lock` has those with results; `calibration` is None if the
    estimators were not checked.
    """

    params: Params
    experiment: Experiment
    runs: Mapping[str, Record]
    lock: locks.Lock
    calibration: pd.DataFrame | None
    command: str


def load(record: Path) -> Contents:
    """Read the sources of a record.

    Raises:
        UserError: a source is missing or not as declared; a line for each.
    """
    params = config.load(record / "params.yaml")
    figures = params.figures.model_copy(update={"formats": ("png",), "dpi": DPI})
    experiment = read(
        params, lambda env, algorithm, stage: record / sources.tables_of(stage, Scope(env, algorithm or ""))
    )
    found, lock = sources.provenance(record), locks.read(record / "dvc.lock")
    waiting = sources.unfinished(params, lock)
    calibration = read_table(record / "tables/calibrate/calibration.csv")
    return Contents(
        params=params.model_copy(update={"figures": figures}),
        experiment=experiment,
        runs={
            name: _run(name, found["runs"].get(name), waiting.get(name, ""), *where)
            for name, where in sources.stages(params).items()
        },
        lock=lock.of(params.scale),
        calibration=None if calibration.empty else calibration,
        command=found["command"],
    )


def _run(name: str, entry: Mapping[str, Any] | None, waiting: str, stage: str, scope: Scope) -> Record:
    where = (name, stage, scope.env or None, scope.algorithm or None)
    if waiting or entry is None:
        return Record(*where, missing=waiting or locks.NOT_RUN)
    return Record(*where, run_id=entry["run_id"], cost=entry["cost"], provenance=entry["provenance"])
