"""What a stage is about, and where its files lie: a cell of the pipeline, a task, or the whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

DATA = Path("data")


@runtime_checkable
class Scope(Protocol):
    """What one execution of a stage is about."""

    @property
    def tags(self) -> dict[str, str]:
        """Its name as MLflow tags."""
        ...

    @property
    def subdir(self) -> Path:
        """Its folder within a stage's."""
        ...


def tables(stage: str, scope: Scope) -> Path:
    """The tables that a stage writes."""
    return DATA / "tables" / stage / scope.subdir


def record(stage: str, scope: Scope) -> Path:
    """Where a stage leaves the id of its MLflow run, and what it took."""
    path = DATA / "runs" / stage / scope.subdir
    return path.with_name(f"{path.name}.json")


@dataclass(frozen=True)
class Cell:
    """One environment and one algorithm; seeds are the population inside it."""

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
        """The snapshots that gradients and landscapes are measured at."""
        return DATA / "checkpoint" / self.subdir / "studied"

    @property
    def curve(self) -> Path:
        """The snapshots that curves over training are measured at."""
        return DATA / "checkpoint" / self.subdir / "curve"

    @property
    def policies(self) -> Path:
        """The agents' final policies, for use elsewhere."""
        return DATA / "policies" / self.subdir

    def arrays(self, stage: str) -> Path:
        """The arrays that a stage writes."""
        return DATA / stage / self.subdir

    @property
    def tags(self) -> dict[str, str]:
        """The cell as MLflow tags."""
        return {"env": self.env, "algorithm": self.algorithm}

    def __str__(self) -> str:
        return f"{self.env} {self.algorithm}"


@dataclass(frozen=True)
class TaskScope:
    """One environment, on which one algorithm is trained in many ways."""

    env: str
    algorithm: str

    @property
    def subdir(self) -> Path:
        """`<env>`."""
        return Path(self.env)

    @property
    def tags(self) -> dict[str, str]:
        """The task as MLflow tags."""
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
    """Where a stage left the tables of a cell, or of a task where `algorithm` is None."""
    return tables(stage, TaskScope(env, "ppo") if algorithm is None else Cell(env, algorithm))
