"""Which MLflow runs made what the last stages read, whether they ran just now or DVC served them from its cache.

Each stage leaves its run's id beside its results, as an output of its own: it comes out of the cache, and out of a
remote, together with them. Nothing that is computed depends on it.
"""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from dpg.report.tables import SOURCES, TASK_SOURCES
from stages.common.scope import Cell, Scope, TaskScope, record


def paths(envs: Sequence[str], algorithms: Sequence[str]) -> dict[str, Path]:
    """Where the stages that tables come from leave their records, by the stage's name in DVC."""
    scopes: list[tuple[str, str, Scope]] = [
        (stage, f"{env}-{algorithm}", Cell(env, algorithm))
        for stage in _stages(SOURCES)
        for env, algorithm in product(envs, algorithms)
    ]
    scopes += [(stage, env, TaskScope(env, "ppo")) for stage in _stages(TASK_SOURCES) for env in envs]
    return {f"{stage}@{name}": record(stage, scope) for stage, name, scope in scopes}


def origins(envs: Sequence[str], algorithms: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The records of all stages of all cells, by the stage's name in DVC; those that are not there are left out."""
    found = paths(envs, algorithms)
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in found.items() if path.exists()}


def _stages(sources: dict[str, tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(stage for stage, _ in sources.values()))
