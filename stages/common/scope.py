"""The scope of a stage (a cell, a task, or the whole pipeline) and the paths that follow from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

DATA = Path("data")


@runtime_checkable
class Scope(Protocol):
    """What one execution of a stage covers."""

    @property
    def tags(self) -> dict[str, str]:
        """MLflow tags that identify it."""
        ...

    @property
    def subdir(self) -> Path:
        """Its folder within a stage's folder."""
        ...


def tables(stage: str, scope: Scope) -> Path:
    """The folder of the tables that a stage writes."""
    return DATA / "tables" / stage / scope.subdir


def record(stage: str, scope: Scope) -> Path:
    """The file with a stage's MLflow run and cost."""
    path = DATA / "runs" / stage / scope.subdir
    return path.with_name(f"{path.name}.json")


@dataclass(frozen=True)
class Cell:
    """One environment and one algorithm; its agents are one population."""

    env: str
    algorithm: str

    @property
    def subdir(self) -> Path:
        """`<env>/<algorithm>`."""
        return Path(self.env, self.algorithm)

    @property
    def snapshots(self) -> Path:
        """All snapshots of the training."""
        return DATA / "train" / self.subdir

    @property
    def studied(self) -> Path:
        """The snapshots at which gradients and landscapes are measured."""
        return DATA / "checkpoint" / self.subdir / "studied"

    @property
    def curve(self) -> Path:
        """The snapshots at which curves over training are measured."""
        return DATA / "checkpoint" / self.subdir / "curve"

    @property
    def policies(self) -> Path:
        """The agents' exported final policies."""
        return DATA / "policies" / self.subdir

    def arrays(self, stage: str) -> Path:
        """The folder of the arrays that a stage writes."""
        return DATA / stage / self.subdir

    @property
    def tags(self) -> dict[str, str]:
        """MLflow tags of the cell."""
        return {"env": self.env, "algorithm": self.algorithm}

    def __str__(self) -> str:
        return f"{self.env} {self.algorithm}"


@dataclass(frozen=True)
class TaskScope:
    """One environment, for a stage that trains one algorithm in many configurations."""

    env: str
    algorithm: str

    @property
    def subdir(self) -> Path:
        """`<env>`."""
        return Path(self.env)

    @property
    def tags(self) -> dict[str, str]:
        """MLflow tags of the task."""
        return {"env": self.env, "algorithm": self.algorithm}

    def __str__(self) -> str:
        return self.env


@dataclass(frozen=True)
class PipelineScope:
    """The whole pipeline."""

    subdir: Path = Path()

    @property
    def tags(self) -> dict[str, str]:
        """None."""
        return {}

    def __str__(self) -> str:
        return ""


def tables_of(env: str, algorithm: str | None, stage: str) -> Path:
    """The folder of a stage's tables for a cell, or for a task where `algorithm` is None."""
    return tables(stage, TaskScope(env, "ppo") if algorithm is None else Cell(env, algorithm))
