"""Stand-ins of a run that has not happened: snapshots and tables of the right sizes, with made-up numbers.

Files have the size that they have whatever their numbers are, or nearly so: a float at full precision is some eighteen
characters long. So disk space is known from stand-ins that are written as the true ones will be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
from gymnasium.spaces import Box

from dpg.agent.export import export
from dpg.agent.population import Architecture, Population, initialize
from dpg.agent.snapshot import Recipe, Snapshot, save
from dpg.envs.examine import check_tasks
from dpg.envs.make import make_vector
from dpg.runtime.schema import Params
from dpg.runtime.seeding import Seed

INTEGER = 10  # what a count looks like where nobody says


@dataclass(frozen=True)
class Task:
    """What of a task decides what it costs, beside its speed."""

    env_id: str
    obs_dim: int
    action_dim: int
    time_limit: int | None


def tasks_of(params: Params) -> dict[str, Task]:
    """The tasks of an experiment, each made once.

    Raises:
        ConfigError: a task cannot be used; the message is the one that the stage `params` would give.
    """
    check_tasks(params)
    return {env: _task(params, env) for env in params.envs}


def _task(params: Params, env: str) -> Task:
    envs = make_vector(env, 1, params.common.env_modules)
    obs, action = envs.single_observation_space, envs.single_action_space
    envs.close()
    assert isinstance(obs, Box) and isinstance(action, Box)
    return Task(env, obs.shape[0], action.shape[0], gym.spec(env).max_episode_steps)


def population(task: Task, recipe: Recipe, members: int = 1) -> Population:
    """Agents before any experience."""
    architecture = Architecture(
        task.obs_dim, task.action_dim, recipe.common.policy_hidden, recipe.common.value_hidden, recipe.config.obs_clip
    )
    return initialize(architecture, recipe.config.init, [Seed(0) / "stand-in" / index for index in range(members)])


def snapshots(task: Task, recipe: Recipe, agents: int, iterations: Sequence[int]) -> list[Snapshot]:
    """One for every agent and iteration; their arrays are the same ones, so that thousands take no room."""
    state = population(task, recipe)
    return [
        Snapshot(agent, recipe, replace(state, iteration=iteration))
        for agent, iteration in product(range(agents), iterations)
    ]


def snapshot_bytes(task: Task, recipe: Recipe) -> int:
    """The size of a snapshot's file, by writing one."""
    (last,) = snapshots(task, recipe, 1, [recipe.iterations])
    with TemporaryDirectory() as folder:
        return save(last, Path(folder)).stat().st_size


def policy_bytes(task: Task, recipe: Recipe) -> int:
    """The size of an exported policy, by writing one."""
    (last,) = snapshots(task, recipe, 1, [recipe.iterations])
    with TemporaryDirectory() as folder:
        export(last, Box(-1, 1, (task.action_dim,)), Path(folder))
        return sum(path.stat().st_size for path in Path(folder).iterdir())


def table(
    row: type, rng: np.random.Generator, keys: Mapping[str, Sequence[Any]], constant: Mapping[str, Any]
) -> pd.DataFrame:
    """A table of rows of a dataclass, one for every combination of `keys`; other values are made up by their types."""
    index = pd.MultiIndex.from_product(list(keys.values()), names=list(keys)).to_frame(index=False)
    columns: dict[str, Any] = {**constant, **{name: index[name] for name in keys}}
    for field in fields(row):
        if field.name not in columns:
            kind = getattr(field.type, "__name__", field.type)
            columns[field.name] = rng.uniform(0.1, 1.0, len(index)) if kind == "float" else INTEGER
    order = [*constant, *(field.name for field in fields(row) if field.name not in constant)]
    extra = [name for name in keys if name not in order]
    return pd.DataFrame(columns, index=index.index)[[*extra, *order]]


def table_bytes(row: type, num_rows: int, **known: Any) -> int:
    """Bytes of a table as CSV, from the mean of some rows; `known` says values of which the length matters."""
    sample = table(row, np.random.default_rng(0), {"agent": [0, 1], "iteration": list(range(50, 80))}, known)
    header = len(sample.head(0).to_csv(index=False, lineterminator="\n"))
    text = len(sample.to_csv(index=False, lineterminator="\n"))
    return header + round((text - header) / len(sample) * num_rows)
