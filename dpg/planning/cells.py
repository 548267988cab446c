"""Tasks and cells before anything has run, with dummy snapshots for the probes to plan with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from dpg.agent.population import Architecture, Population, initialize
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.envs.examine import check_tasks
from dpg.envs.make import spaces_of, time_limit
from dpg.learning import algorithm, contract
from dpg.runtime.budgets import Budget
from dpg.runtime.schema import Params
from dpg.runtime.seeding import Seed

SNAPSHOT_HEADER = 2700  # bytes


@dataclass(frozen=True)
class TaskSpec:
    """What decides the cost of a task, apart from its speed; `time_limit` is in pairs, None if there is none."""

    env_id: str
    obs_dim: int
    action_dim: int
    time_limit: int | None


def tasks_of(params: Params) -> dict[str, TaskSpec]:
    """The tasks of an experiment.

    Raises:
        ConfigError: a task cannot be used; the message is that of the stage `params`.
    """
    check_tasks(params)
    return {env: _task(env, params.modules) for env in params.envs}


def _task(env: str, modules: Sequence[str]) -> TaskSpec:
    obs, action = spaces_of(env, modules)
    return TaskSpec(env, obs.shape[0], action.shape[0], time_limit(env, modules))


@dataclass(frozen=True)
class UntrainedCell:
    """A task and an algorithm, before any training; its stages run on `workers` processes."""

    params: Params
    task: TaskSpec
    algorithm: str
    workers: int = 1

    @property
    def budget(self) -> Budget:
        """That of the chosen scale."""
        return self.params.budget

    @cached_property
    def recipe(self) -> Recipe:
        """How the cell is trained."""
        return self.recipe_with()

    def recipe_with(self, **changes: Any) -> Recipe:
        """The recipe with other values of `common`."""
        return Recipe.of(self.params, self.task.env_id, self.algorithm, self.budget.train.iterations, **changes)

    @cached_property
    def trained(self) -> list[int]:
        """Iterations of all snapshots but the last: those that an iteration starts from."""
        return list(range(0, self.recipe.iterations, self.budget.train.snapshot_every))

    @cached_property
    def studied(self) -> list[int]:
        """Iterations at which gradients and landscapes are measured."""
        return self.budget.checkpoint.studied(self.trained, self.recipe.iterations)

    @cached_property
    def curve(self) -> list[int]:
        """Iterations at which curves over training are measured."""
        return self.budget.checkpoint.curve(self.trained)

    @cached_property
    def state(self) -> Population:
        """One agent before any experience."""
        common = self.recipe.common
        sizes = (self.task.obs_dim, self.task.action_dim, common.policy_hidden, common.value_hidden)
        architecture = Architecture(*sizes, self.recipe.config.obs_clip)
        population = initialize(architecture, self.recipe.config.init, [Seed(0) / "dummy"])
        state = contract.initial_state(algorithm.of(self.recipe), population, self.recipe.config)
        return replace(population, algorithm_state=state)

    @property
    def policy_size(self) -> int:
        """Parameters of a policy."""
        return self.state.policy.shape[-1]

    @property
    def value_size(self) -> int:
        """Parameters of a value net."""
        return self.state.value.shape[-1]

    @property
    def episode_length(self) -> int:
        """Pairs of the longest episode; of T pairs where the task has no time limit."""
        return self.task.time_limit or self.recipe.common.timesteps

    @property
    def snapshot_bytes(self) -> int:
        """The size of a snapshot's file: both vectors with Adam's moments, normalisers, the algorithm's own state."""
        vectors = 3 * 4 * (self.policy_size + self.value_size)
        state = sum(array.nbytes for array in self.state.algorithm_state.values())
        return vectors + 2 * 8 * self.task.obs_dim + state + SNAPSHOT_HEADER

    def snapshots(self, iterations: Sequence[int], agents: int | None = None) -> list[Snapshot]:
        """Dummies, which share their arrays: thousands need no memory."""
        return [
            Snapshot(agent, self.recipe, replace(self.state, iteration=iteration))
            for agent, iteration in product(range(agents or self.budget.train.agents), iterations)
        ]
