"""The scope of a stage (a cell, a task, or the whole pipeline) and the paths that follow from it."""

from dataclasses import asdict, dataclass
from pathlib import Path

DATA = Path("data")


@dataclass(frozen=True)
class Scope:
    """What one execution of a stage covers: an environment and an algorithm, or, without them, the whole pipeline."""

    env: str = ""
    algorithm: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """MLflow tags that identify it."""
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def subdir(self) -> Path:
        """Its folder within a stage's folder."""
        return Path(self.env, self.algorithm)

    def __str__(self) -> str:
        return " ".join(self.subdir.parts)


@dataclass(frozen=True)
class TaskScope(Scope):
    """One environment, for a stage that trains one algorithm in many configurations."""

    @property
    def subdir(self) -> Path:
        """`<env>`."""
        return Path(self.env)


@dataclass(frozen=True)
class Cell(Scope):
    """One environment and one algorithm; its agents are one population."""

    @property
    def snapshots(self) -> Path:
        """All snapshots of the training."""
        return self.arrays("train")

    @property
    def studied(self) -> Path:
        """The snapshots at which gradients and landscapes are measured."""
        return self.arrays("checkpoint") / "studied"

    @property
    def curve(self) -> Path:
        """The snapshots at which curves over training are measured."""
        return self.arrays("checkpoint") / "curve"

    @property
    def policies(self) -> Path:
        """The agents' exported final policies."""
        return self.arrays("policies")

    def arrays(self, stage: str) -> Path:
        """The folder of the arrays that a stage writes."""
        return DATA / stage / self.subdir


def tables(stage: str, scope: Scope) -> Path:
    """The folder of the tables that a stage writes."""
    return DATA / "tables" / stage / scope.subdir


def tables_of(env: str, algorithm: str | None, stage: str) -> Path:
    """The folder of a stage's tables for a cell, or for a task where `algorithm` is None."""
    return tables(stage, Scope(env, algorithm or ""))


def record(stage: str, scope: Scope) -> Path:
    """The file with a stage's MLflow run and cost."""
    path = DATA / "runs" / stage / scope.subdir
    return path.with_name(f"{path.name}.json")
