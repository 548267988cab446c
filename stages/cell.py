"""A cell of the pipeline, one environment and one algorithm, and where its files lie."""

from dataclasses import dataclass
from pathlib import Path

DATA = Path("data")


@dataclass(frozen=True)
class Cell:
    """One environment and one algorithm; seeds are the population inside it."""

    env: str
    algorithm: str

    def _path(self, *kind: str) -> Path:
        return DATA.joinpath(*kind, self.env, self.algorithm)

    @property
    def snapshots(self) -> Path:
        """All snapshots of the training."""
        return self._path("train")

    @property
    def studied(self) -> Path:
        """The snapshots that gradients and landscapes are measured at."""
        return self._path("checkpoint") / "studied"

    @property
    def curve(self) -> Path:
        """The snapshots that curves over training are measured at."""
        return self._path("checkpoint") / "curve"

    def tables(self, stage: str) -> Path:
        """The tables that a stage writes."""
        return self._path("tables", stage)

    def arrays(self, stage: str) -> Path:
        """The arrays that a stage writes."""
        return self._path(stage)

    def record(self, stage: str) -> Path:
        """Where a stage leaves the id of its MLflow run."""
        return self._path("runs", stage).with_suffix(".json")

    @property
    def tags(self) -> dict[str, str]:
        """The cell as MLflow tags."""
        return {"env": self.env, "algorithm": self.algorithm}

    def __str__(self) -> str:
        return f"{self.env} {self.algorithm}"
