"""The records of the stage runs that made the numbers, and their cost."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COSTS = ("pairs", "episodes", "shards", "wall_seconds", "core_seconds", "workers", "peak_memory_bytes")


@dataclass(frozen=True)
class Record:
    """One execution of a stage for a cell, a task, or everything: its MLflow run, its cost, and versions and hardware.

    `missing` says what to do if there is no such record.
    """

    name: str
    stage: str = ""
    env: str | None = None
    algorithm: str | None = None
    run_id: str = ""
    cost: Mapping[str, float] = field(default_factory=dict[str, float])
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    missing: str = ""

    @property
    def busy(self) -> float:
        """The share of the stage's time that its workers computed, on average."""
        return self.cost["core_seconds"] / (self.cost["wall_seconds"] * self.cost["workers"])


def read(path: Path, name: str, stage: str, env: str | None = None, algorithm: str | None = None) -> Record:
    """The record of a DVC stage; one that is absent or incomplete says how to make it."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        cost = {key: float(found["cost"][key]) for key in COSTS}
        return Record(name, stage, env, algorithm, str(found["run_id"]), cost, found.get("provenance", {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Record(
            name,
            stage,
            env,
            algorithm,
            missing=f"{path} is missing or incomplete: dvc repro --force --single-item {name}",
        )


def total(records: Sequence[Record]) -> dict[str, float]:
    """Pairs, episodes, wall and core seconds of all records together, and the peak memory of the largest."""
    costs = [record.cost for record in records if record.cost]
    sums = {
        name: sum((cost.get(name, 0.0) for cost in costs), 0.0)
        for name in ("pairs", "episodes", "wall_seconds", "core_seconds")
    }
    return sums | {"peak_memory_bytes": max((cost.get("peak_memory_bytes", 0.0) for cost in costs), default=0.0)}


def machines(records: Sequence[Record]) -> Iterator[tuple[list[str], Mapping[str, str]]]:
    """The sets of versions and hardware in use, each with its stages."""
    seen: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for record in records:
        if record.provenance:
            seen.setdefault(tuple(sorted(record.provenance.items())), []).append(record.name)
    for provenance, names in seen.items():
        yield names, dict(provenance)
