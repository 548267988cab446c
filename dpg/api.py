"""The laboratory from Python, for notebooks and scripts: agents as functions, tables as data frames, figures.

    from dpg import api

    policy = api.load_policy("data/train/Hopper-v4/ppo/agent00-iteration00100.safetensors")
    api.evaluate(policy).mean
    api.table("gradient/similarity.csv")
    api.figures()["fig09_rewards"].draw()

docs/tutorial.md goes through it. Paths are relative to the project's root; `project` names another.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from dpg.agent import snapshot
from dpg.agent.acting import Actor
from dpg.agent.snapshot import Snapshot
from dpg.envs.make import action_space_of
from dpg.numerics.statistics import Interval, mean_interval
from dpg.probes.collection import fresh_episodes, probe_seed
from dpg.runtime import project as layout
from dpg.runtime.errors import UserError
from dpg.runtime.seeding import Seed

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from dpg.report.gallery import Drawing

CONFIDENCE = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class Policy:
    """A snapshot's agent as a function of observations, with the bounds of its actions; its normaliser is frozen."""

    snapshot: Snapshot
    actor: Actor
    low: Float[np.ndarray, " A"]
    high: Float[np.ndarray, " A"]

    def __call__(
        self, obs: Float[np.ndarray, "*batch O"], rng: np.random.Generator | None = None
    ) -> Float[np.ndarray, "*batch A"]:
        """Actions for raw observations, one or a batch: the means, or samples drawn with `rng`.

        In float32, and clipped to the action space where training clipped them: what the environment is to be given.
        """
        expected = self.snapshot.state.architecture.obs_dim
        if obs.shape[-1:] != (expected,):
            raise ValueError(f"{self.snapshot}: observations have {expected} numbers, not shape {obs.shape}")
        rows = obs.reshape(-1, expected)
        noise = None if rng is None else rng.standard_normal((len(rows), len(self.low)), np.float32)
        action = self.actor.act(rows, noise)
        if self.snapshot.recipe.common.clip_actions:
            action = np.clip(action, self.low, self.high)
        return action.reshape(*obs.shape[:-1], -1)


@dataclass(frozen=True)
class Returns:
    """Raw undiscounted returns of E whole episodes, and their lengths in pairs; the interval resamples episodes."""

    return_: Float[np.ndarray, " E"]
    length: Int[np.ndarray, " E"]
    interval: Interval

    @property
    def mean(self) -> float:
        """The mean return."""
        return self.interval.mean


def load_policy(path: str | Path) -> Policy:
    """The agent of a snapshot; modules that register its task may lie in the snapshot's project.

    Raises:
        SnapshotError: the file is not a usable snapshot.
        EnvError: its task is not installed.
    """
    layout.make_importable(layout.around(Path(path)))
    return policy_of(snapshot.load(Path(path)))


def policy_of(agent: Snapshot) -> Policy:
    """The agent of a snapshot that is already in memory.

    Raises:
        EnvError: its task is not installed.
    """
    space = action_space_of(agent.recipe.env_id, agent.recipe.common.modules)
    return Policy(agent, Actor.of(agent.state), space.low, space.high)


def import_agent(path: str | Path, env_id: str | None = None, **options: Any) -> Snapshot:
    """An agent that another library trained, as a snapshot: what `dpg import` writes. No code of its files is run.

    `options` are the fields of `dpg.importing.options.Options`. `dpg.agent.snapshot.write` keeps the snapshot.

    Raises:
        AgentImportError: the files are no agent of a known kind, are not whole, or do not fit the task.
        EnvError: the task cannot be made.
    """
    from dpg.importing.options import Options
    from dpg.importing.read import import_agent as read

    return read(Path(path), Options(env_id=env_id, **options))


def evaluate(policy: Policy, num_episodes: int = 10, seed: int = 0, *, deterministic: bool = False) -> Returns:
    """Fresh whole episodes, other ones than the pipeline's; the same seed gives the same.

    The interval is at 95 %, by bootstrap over episodes; of a single one it is NaN.

    Raises:
        ValueError: there is to be no episode.
    """
    if num_episodes < 1:
        raise ValueError(f"num_episodes = {num_episodes}: must be at least 1")
    seeds = [episode_seed(policy.snapshot, seed, index) for index in range(num_episodes)]
    found = fresh_episodes(policy.snapshot, seeds, deterministic=deterministic)
    returns = found.return_[0]
    rng = (probe_seed(seed, "look", policy.snapshot) / "bootstrap").generator()
    return Returns(returns, found.length[0], mean_interval(returns, CONFIDENCE, RESAMPLES, rng))


def episode_seed(agent: Snapshot, seed: int, index: int) -> Seed:
    """Where the randomness of one of the episodes of `evaluate` comes from."""
    return probe_seed(seed, "look", agent) / f"episode={index}"


def snapshots(project: str | Path = ".") -> list[Path]:
    """Every snapshot that a project holds, by path."""
    return layout.snapshots(Path(project))


def tables() -> list[str]:
    """The names of all tables: the stage, and the file that it writes for every cell or task."""
    from dpg.report.tables import SOURCES, TASK_SOURCES

    return ["/".join(source) for source in (*SOURCES.values(), *TASK_SOURCES.values())]


def table(name: str, project: str | Path = ".") -> "pd.DataFrame":
    """A table of all cells of a project, one below the other; docs/tables.md says what the columns are.

    Raises:
        UserError: there is no such table, or a cell of `params.yaml` lacks it.
    """
    from dpg.report.tables import SOURCES, TASK_SOURCES, read
    from dpg.runtime import config

    names = {"/".join(source): key for key, source in (SOURCES | TASK_SOURCES).items()}
    if name not in names:
        raise UserError(f"there is no table {name!r}; there are {', '.join(names)}")
    params = config.load(Path(project, "params.yaml"))
    algorithms = [None] if names[name] in TASK_SOURCES else params.algorithms
    return read(names[name], params.envs, algorithms, _folder(project))


def figures(project: str | Path = ".") -> "dict[str, Drawing]":
    """Every figure of a project by its file's name, not yet drawn: `.draw()` gives a matplotlib `Figure`.

    Raises:
        UserError: a cell of `params.yaml` lacks a table.
    """
    from dpg.report.gallery import drawings
    from dpg.report.tables import load
    from dpg.runtime import config

    params = config.load(Path(project, "params.yaml"))
    measured = load(params.envs, params.algorithms, _folder(project))
    return {drawing.name: drawing for drawing in drawings(measured, params.common.timesteps, params.statistics)}


def _folder(project: str | Path) -> "Callable[[str, str | None, str], Path]":
    """Where a project keeps a stage's tables of a cell, or of a task."""
    return lambda env, algorithm, stage: Path(project, "data", "tables", stage, env, algorithm or "")
