"""A cell of a pipeline that has not run: how its agents will be trained, and which of their snapshots are studied."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dpg.agent.snapshot import Recipe, Snapshot
from dpg.planning import stand_ins
from dpg.planning.stand_ins import Task
from dpg.runtime.schema import AlgorithmName, Params, nearest


@dataclass(frozen=True)
class Cell:
    """A task and an algorithm, under some parameters."""

    params: Params
    task: Task
    algorithm: AlgorithmName

    @property
    def recipe(self) -> Recipe:
        """How the cell is trained."""
        return Recipe.of(self.params, self.task.env_id, self.algorithm, self.params.budget.train.iterations)

    @property
    def trained(self) -> list[int]:
        """Iterations of the snapshots that an iteration starts from: all but the last one, which only ends one."""
        return list(range(0, self.recipe.iterations, self.params.budget.train.snapshot_every))

    @property
    def studied(self) -> list[int]:
        """Iterations that gradients and landscapes are measured at."""
        return nearest(self.params.budget.checkpoint.fractions, self.trained, self.recipe.iterations)

    @property
    def curve(self) -> list[int]:
        """Iterations that curves over training are measured at."""
        return [i for i in self.trained if i % self.params.budget.checkpoint.curve_every == 0]

    def snapshots(self, iterations: Sequence[int], agents: int | None = None) -> list[Snapshot]:
        """Stand-ins for the snapshots of these iterations."""
        return stand_ins.snapshots(self.task, self.recipe, agents or self.params.budget.train.agents, iterations)

    @cached_property
    def snapshot_bytes(self) -> int:
        """The size of a snapshot's file."""
        return stand_ins.snapshot_bytes(self.task, self.recipe)

    @property
    def owner(self) -> dict[str, str]:
        """The columns that a table of the cell begins with."""
        return {"env": self.task.env_id, "algorithm": self.algorithm}
