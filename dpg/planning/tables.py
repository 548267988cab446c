"""The tables of a run that has not happened: every row that the true ones will have, with made-up numbers."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dpg.learning.training import Record
from dpg.planning.cell import Cell
from dpg.planning.stand_ins import Task, table
from dpg.probes import alignment, baselines, gradient, states, true_value, update_step
from dpg.probes.evaluation import Evaluation
from dpg.probes.gradient import Noise, Similarity
from dpg.probes.survey import Survey
from dpg.probes.value import PredictionError
from dpg.report.tables import SOURCES, TASK_SOURCES
from dpg.runtime.schema import Params


def write(params: Params, tasks: dict[str, Task], folder: Path) -> None:
    """Write all that the figures are drawn from, where `place` says."""
    rng = np.random.default_rng(0)
    for env, algorithm in product(params.envs, params.algorithms):
        for name, rows in cell_tables(Cell(params, tasks[env], algorithm), rng).items():
            stage, file = SOURCES[name]
            _write(rows, place(folder, env, algorithm, stage) / file)
    for env in params.envs:
        stage, file = TASK_SOURCES["regimes"]
        _write(regimes(params, env, rng), place(folder, env, None, stage) / file)


def place(folder: Path, env: str, algorithm: str | None, stage: str) -> Path:
    """Where the tables of a stage lie."""
    return folder / stage / env / (algorithm or "")


def _write(rows: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(path, index=False)


def cell_tables(cell: Cell, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """The tables of a cell, by their name in `dpg.report.tables`."""
    params, budget = cell.params, cell.params.budget
    agents = list(range(budget.train.agents))
    history = {"agent": agents, "iteration": list(range(budget.train.iterations))}
    studied = {"agent": agents, "iteration": cell.studied}
    wanted = Survey.of(params)
    points = wanted.grid.points
    planes = {
        "agent": agents[: budget.landscape.agents],
        "iteration": cell.studied,
        "update_pairs": list(wanted.update_pairs),
    }
    budgets = {"budget_pairs": list(wanted.pair_budgets)}
    grid = {"point": list(range(len(points)))}
    against = {"against": ["each other", "true"], "pairs": list(budget.gradient.sizes)}
    scored = {"split": ["train", "heldout"], "target": ["gae", "returns"]}
    sizes = {"advantage": list(baselines.WAYS), "pairs": list(budget.baselines.sizes)}
    compared = {"baseline": list(baselines.BASELINES)} | sizes
    contrasted = {"baseline": ["true value"], "other": ["value net", "zero"]} | sizes
    on_grid = {
        "landscape": table(alignment.Point, rng, planes | grid, cell.owner),
        "concentration": table(alignment.FewerPairs, rng, planes | budgets | grid, cell.owner),
    }
    for rows in on_grid.values():
        rows[["step", "random"]] = points[rows.pop("point")]
    return {
        "history": in_pairs(table(Record, rng, history, cell.owner), params.common.timesteps),
        "ablation": in_pairs(table(Record, rng, history, cell.owner), params.common.timesteps),
        "evaluation": table(Evaluation, rng, studied | {"actions": ["sampled", "deterministic"]}, cell.owner),
        "similarity": table(Similarity, rng, studied | against, cell.owner),
        "noise": table(Noise, rng, studied, cell.owner),
        "agreement": table(gradient.Agreement, rng, {"iteration": cell.studied} | against, cell.owner),
        "updates": table(update_step.Agreement, rng, {"agent": agents, "iteration": cell.curve}, cell.owner),
        "value": table(PredictionError, rng, {"agent": agents, "iteration": cell.curve} | scored, cell.owner),
        "fits": table(true_value.Quality, rng, studied, cell.owner),
        "losses": table(true_value.Epoch, rng, studied | {"epoch": list(range(1, 31))}, cell.owner),
        "states": table(states.StateValue, rng, studied | {"state": list(range(budget.true_value.states))}, cell.owner),
        "opinions": table(states.Opinion, rng, studied | {"net": ["value net", "true value"]}, cell.owner),
        "baselines": table(baselines.Comparison, rng, studied | compared, cell.owner),
        "differences": table(baselines.Difference, rng, studied | contrasted, cell.owner),
        "gains": table(baselines.Gain, rng, {"iteration": cell.studied} | contrasted, cell.owner),
        **on_grid,
        "resolution": table(alignment.Resolution, rng, planes | budgets, cell.owner),
        "alignment": table(alignment.Alignment, rng, planes, cell.owner),
    }


def regimes(params: Params, env: str, rng: np.random.Generator) -> pd.DataFrame:
    """The table of a task's regimes."""
    budget = params.budget.regimes
    owner: dict[str, Any] = {"env": env, "algorithm": "ppo"}
    parts = []
    for timesteps in budget.timesteps:
        iterations = list(range(budget.total_pairs // timesteps))
        keys = {"lr": list(budget.rates), "agent": list(range(budget.agents)), "iteration": iterations}
        parts.append(in_pairs(table(Record, rng, keys, owner | {"timesteps": timesteps}), timesteps))
    return pd.concat(parts)


def in_pairs(rows: pd.DataFrame, timesteps: int) -> pd.DataFrame:
    """A training's rows with the pairs that an agent has collected by then."""
    return rows.assign(pairs=(rows["iteration"] + 1) * timesteps)
