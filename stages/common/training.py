"""What the stages that train have in common: parameters for MLflow, and histories as tables and metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from dpg.agent.recipe import Recipe
from dpg.learning.training import DivergenceError
from dpg.runtime.schema import Params
from dpg.tables.table import table_of, write
from dpg.tables.training import Record
from dpg.tracking import runs

IDENTITY = {"agent", "iteration", "pairs"}


def logged(params: Params, recipe: Recipe, budget: BaseModel) -> dict[str, Any]:
    """The parameters of a training, for MLflow."""
    return {
        "seed": params.seed,
        "scale": params.scale,
        "common": recipe.common.model_dump(),
        recipe.algorithm: recipe.config.model_dump(),
        "budget": budget.model_dump(),
    }


def write_history(kind: type, rows: Sequence[tuple[Mapping[str, Any], Record]], tables: Path) -> pd.DataFrame:
    """Write a history of the declared kind: each record after its key, sorted by key, agent and iteration."""
    columns = [column.name for column in table_of(kind).columns]
    table = pd.DataFrame([{**key, **asdict(record)} for key, record in rows], columns=columns)
    order = columns[: columns.index("iteration") + 1]
    return write(kind, table.sort_values(order, kind="stable"), tables)


def diverged(error: DivergenceError) -> str:
    """Why agents that nothing else is measured on have no history."""
    return f"needs agents that do not diverge: {error}"


def log_means(run: runs.Run, records: Sequence[Record], prefix: str = "") -> None:
    """The records' means over agents, by environment steps."""
    if not records:
        return
    means = pd.DataFrame([asdict(record) for record in records]).groupby("pairs").mean()
    for pairs, row in zip(means.index.to_numpy(), means.to_dict("records"), strict=True):
        metrics = {f"{prefix}{name}": value for name, value in row.items() if name not in IDENTITY}
        run.log_metrics(metrics, step=int(pairs))


def log_agents(run: runs.Run, children: Sequence[runs.Run], records: Sequence[Record]) -> None:
    """Every agent's metrics on its own run and their means on the cell's, by environment steps."""
    for record in records:
        metrics = {name: value for name, value in asdict(record).items() if name not in IDENTITY}
        children[record.agent].log_metrics(metrics, step=record.pairs)
    log_means(run, records)
    for each in (run, *children):
        each.flush()
