"""What the stages that measure snapshots of a cell share."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dpg.agent.snapshot import Snapshot, load_all
from dpg.runtime import config
from dpg.runtime.schema import Params
from dpg.tables.table import write_all
from stages.common.execution import RunningStage, run_stage
from stages.common.scope import Cell, tables


@dataclass(frozen=True)
class MeasuringStage(RunningStage):
    """A running stage with the parameters of the experiment and the snapshots that it measures."""

    params: Params
    snapshots: list[Snapshot]

    @property
    def timesteps(self) -> int:
        """Pairs of an iteration."""
        return self.snapshots[0].recipe.common.timesteps

    def write(self, rows: Mapping[type, Sequence[Any]]) -> dict[type, pd.DataFrame]:
        """Write tables, and return them by row type."""
        return write_all(rows, self.tables)

    def log_curve(self, metric: str, table: pd.DataFrame, column: str) -> None:
        """Log the mean of a column by iteration; spaces in the metric's name become underscores."""
        self.run.log_curve(metric.replace(" ", "_"), table, column, self.timesteps)


@contextmanager
def measuring(
    stage: str, cell: Cell, snapshots: Path, *arrays: Path, others: Sequence[str] = ("statistics",)
) -> Generator[MeasuringStage]:
    """Run a stage that measures the snapshots of a folder, and writes tables and folders of `arrays`.

    Its parameters are the seed, the sections with its own name, and `others`.
    """
    params, found = config.load(), load_all(snapshots)
    own = params.model_dump(include={stage} & Params.model_fields.keys()).get(stage, {})
    parameters = {"seed": params.seed, stage: own | getattr(params.budget, stage).model_dump()}
    parameters |= {name: getattr(params, name) for name in others}
    outputs, modules = (*arrays, tables(stage, cell)), found[0].recipe.modules
    with run_stage(stage, cell, parameters, *outputs, modules=modules) as running:
        yield MeasuringStage(**vars(running), params=params, snapshots=found)
