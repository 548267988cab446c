"""What the training stages share: parameters for MLflow, the training itself, and histories as tables and metrics."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from dpg.agent.recipe import Recipe
from dpg.learning import campaign
from dpg.learning.campaign import Group, TrainedGroup
from dpg.learning.training import DivergenceError
from dpg.runtime.progress import Progress
from dpg.runtime.schema import Params
from dpg.runtime.shards import map_shards
from dpg.tables.table import table_of, write
from dpg.tables.training import IterationRecord
from dpg.tracking import runs
from stages.common.execution import RunningStage, run_stage
from stages.common.scope import Scope, tables

IDENTITY = {"agent", "iteration", "pairs"}


@contextmanager
def training(
    stage: str, scope: Scope, params: Params, recipe: Recipe, budget: BaseModel, *arrays: Path, vary: str = ""
) -> Generator[RunningStage]:
    """Run a stage that trains agents, and writes tables and folders of `arrays`.

    All agents have the recipe, except for the parameter of the algorithm that the stage varies.
    """
    parameters: dict[str, Any] = {"seed": params.seed, "scale": params.scale, "common": recipe.common, "budget": budget}
    parameters[recipe.algorithm] = recipe.config.model_dump(exclude={vary})
    with run_stage(stage, scope, parameters, *arrays, tables(stage, scope), modules=recipe.modules) as running:
        yield running


def train(stage: RunningStage, groups: Sequence[Group], every: int | None = None) -> Iterator[TrainedGroup]:
    """`campaign.train` on the stage's workers, with progress over all agents."""
    with Progress(stage.title, sum(group.num_pairs for group in groups)) as progress:
        work = attrgetter("num_pairs")
        run = partial(map_shards, campaign.run_shard, context=stage.context, progress=progress, work=work)
        yield from campaign.train(groups, run, every)


def rounds(stage: RunningStage, groups: Sequence[Group], every: int) -> Iterator[tuple[TrainedGroup, ...]]:
    """`train` of groups with the same recipe: the results of all agents at each stop."""
    agents = sum(len(group.agents) for group in groups)
    return zip(*[train(stage, groups, every)] * agents, strict=True)


def write_history(kind: type, rows: Sequence[tuple[Mapping[str, Any], IterationRecord]], tables: Path) -> pd.DataFrame:
    """Write a history of the declared kind: each record after its key, sorted by key, agent and iteration."""
    columns = [column.name for column in table_of(kind).columns]
    table = pd.DataFrame([{**key, **asdict(record)} for key, record in rows], columns=columns)
    order = columns[: columns.index("iteration") + 1]
    return write(kind, table.sort_values(order, kind="stable"), tables)


def diverged(error: DivergenceError) -> str:
    """Why agents that nothing else is measured on have no history."""
    return f"needs agents that do not diverge: {error}"


def log_means(run: runs.Run, records: Sequence[IterationRecord], prefix: str = "") -> None:
    """The records' means over agents, by environment steps."""
    if not records:
        return
    means = pd.DataFrame([asdict(record) for record in records]).groupby("pairs").mean()
    for pairs, row in zip(means.index.to_numpy(), means.to_dict("records"), strict=True):
        metrics = {f"{prefix}{name}": value for name, value in row.items() if name not in IDENTITY}
        run.log_metrics(metrics, step=int(pairs))


def log_agents(run: runs.Run, children: Sequence[runs.Run], records: Sequence[IterationRecord]) -> None:
    """Every agent's metrics on its own run and their means on the cell's, by environment steps."""
    for record in records:
        metrics = {name: value for name, value in asdict(record).items() if name not in IDENTITY}
        children[record.agent].log_metrics(metrics, step=record.pairs)
    log_means(run, records)
    for each in (run, *children):
        each.flush()
