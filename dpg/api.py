"""The laboratory from Python, for notebooks and scripts: agents as functions, tables as data frames, figures.

    from dpg import api

    policy = api.load_policy("data/train/Hopper-v4/ppo/agent00-iteration00100.safetensors")
    api.evaluate(policy).mean
    api.table("gradient/similarity.csv")
    api.figures()["fig09_rewards"].draw()

docs/tutorial.md goes through it. Paths are relative to the project's root; `project` names another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from dpg.agent import snapshot
from dpg.agent.acting import Actor
from dpg.agent.snapshot import Snapshot
from dpg.envs.errors import EnvError
from dpg.envs.make import action_space_of, spaces_of
from dpg.numerics.statistics import Interval, mean_interval
from dpg.probes.collection import fresh_episodes, probe_seed
from dpg.runtime import project as layout
from dpg.runtime.errors import UserError
from dpg.runtime.schema import STATISTICS
from dpg.runtime.seeding import Seed

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from dpg.diagnose.run import Diagnosis
    from dpg.report.figures.spec import FigureInstance


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

        In float32, and clipped to the action space where training clipped them: as the environment expects them.
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
    """The agent of a snapshot; the modules that it names may lie in the snapshot's project.

    Raises:
        SnapshotError: the file is not a usable snapshot.
        EnvError: its task is not installed.
    """
    return policy_of(snapshot.load(Path(path)))


def policy_of(agent: Snapshot) -> Policy:
    """The agent of a snapshot that is already in memory.

    Raises:
        EnvError: its task is not installed.
    """
    space = action_space_of(agent.recipe.env_id, agent.recipe.modules)
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

    return read(Path(path), Options.of(env_id=env_id, **options))


def evaluate(policy: Policy, num_episodes: int = 10, seed: int = 0, *, deterministic: bool = False) -> Returns:
    """Fresh whole episodes, other ones than the pipeline's; the same seed gives the same.

    The interval is at 95 %, by bootstrap over episodes; of a single one it is NaN.

    Raises:
        ValueError: `num_episodes` is less than 1.
    """
    if num_episodes < 1:
        raise ValueError(f"num_episodes = {num_episodes}: must be at least 1")
    seeds = [episode_seed(policy.snapshot, seed, index) for index in range(num_episodes)]
    found = fresh_episodes(policy.snapshot, seeds, deterministic=deterministic)
    returns = found.return_[0]
    rng = (probe_seed(seed, "look", policy.snapshot) / "bootstrap").generator()
    return Returns(returns, found.length[0], mean_interval(returns, STATISTICS.confidence, STATISTICS.resamples, rng))


def episode_seed(agent: Snapshot, seed: int, index: int) -> Seed:
    """Where the randomness of one of the episodes of `evaluate` comes from."""
    return probe_seed(seed, "look", agent) / f"episode={index}"


def diagnose(
    path: str | Path,
    env_id: str | None = None,
    *,
    minutes: float = 4.0,
    tier: str | None = None,
    checks: Sequence[str] = (),
    seed: int = 0,
    **options: Any,
) -> "Diagnosis":
    """What may be wrong with an agent: `.findings`, each with a status, effects and what to try; `.to_json()`.

    Sample sizes are those of the largest tier that fits into `minutes` on this machine; the same `tier` gives the same.
    `checks` names some, instead of all. `path` is a snapshot, or what `import_agent` takes with `options`.

    Raises:
        UserError: there is no such tier or check, no time, or the agent cannot be read (see `load_agent`).
    """
    from dpg.diagnose.catalog import chosen
    from dpg.diagnose.plan import named
    from dpg.diagnose.run import diagnose as run

    if not minutes > 0:
        raise UserError(f"minutes = {minutes}: must be more than 0")
    sizes, some = named(tier) if tier else None, chosen([checks] if isinstance(checks, str) else checks)
    return run(load_agent(path, env_id, **options), Path(path), tier=sizes, minutes=minutes, seed=seed, checks=some)


def load_agent(path: str | Path, env_id: str | None = None, **options: Any) -> Snapshot:
    """A snapshot of ours, or an agent that `import_agent` reads with `options`, in the task `env_id` if it is given.

    Raises:
        SnapshotError: the file is not a usable snapshot.
        AgentImportError: the files are no agent of a known kind, are not whole, or do not fit the task.
        EnvError: the task cannot be made, or has other spaces than a snapshot's.
        UserError: `options` are given for a snapshot.
    """
    file = Path(path)
    if file.suffix != ".safetensors" or file.with_suffix(".json").exists():
        return import_agent(file, env_id, **options)
    found = snapshot.load(file)
    if given := [name for name, value in options.items() if value]:
        raise UserError(f"{file}: a snapshot has its own settings; {', '.join(given)} cannot be given")
    if env_id is not None:
        found = replace(found, recipe=found.recipe.model_copy(update={"env_id": env_id}))
    recipe, architecture = found.recipe, found.state.architecture
    spaces = tuple(space.shape for space in spaces_of(recipe.env_id, recipe.modules))
    if spaces != ((architecture.obs_dim,), (architecture.action_dim,)):
        raise EnvError(
            f"{recipe.env_id} has observations of shape {spaces[0]} and actions of shape {spaces[1]}; the agent takes "
            f"{architecture.obs_dim} and gives {architecture.action_dim} numbers: name its task with --env"
        )
    return found


def snapshots(project: str | Path = ".") -> list[Path]:
    """Every snapshot that a project holds, by path."""
    return layout.snapshots(Path(project))


def tables() -> list[str]:
    """The names of all tables: the stage, and the file that it writes for every cell or task."""
    return list(_tables())


def table(name: str, project: str | Path = ".") -> "pd.DataFrame":
    """A table of all cells of a project, concatenated; docs/tables.md says what the columns are.

    Raises:
        UserError: there is no such table, or a cell of `params.yaml` lacks it.
    """
    from dpg.runtime import config
    from dpg.tables.store import read

    known = _tables()
    if name not in known:
        raise UserError(f"there is no table {name!r}; there are {', '.join(known)}")
    params = config.load(Path(project, "params.yaml"))
    return read(known[name], params.envs, params.algorithms, _folder(project))


def figures(project: str | Path = ".") -> "dict[str, FigureInstance]":
    """Every figure of a project by the name of its files, not yet drawn: `.draw()` gives a matplotlib `Figure`.

    Raises:
        UserError: a cell of `params.yaml` lacks a table.
    """
    from dpg.report.experiment import read
    from dpg.report.figures.catalog import instances
    from dpg.runtime import config

    experiment = read(config.load(Path(project, "params.yaml")), _folder(project))
    return {instance.name: instance for instance in instances(experiment)}


def _tables() -> dict[str, type]:
    """The row types of the tables of cells and tasks."""
    from dpg.tables.catalog import catalog
    from dpg.tables.table import TableScope, table_of

    return {name: row for name, row in catalog().items() if table_of(row).scope is not TableScope.PIPELINE}


def _folder(project: str | Path) -> "Callable[[str, str | None, str], Path]":
    """Where a project keeps a stage's tables of a cell, or of a task."""
    return lambda env, algorithm, stage: Path(project, "data", "tables", stage, env, algorithm or "")
