"""Which MLflow runs made the inputs of the last stages, whether they ran just now or came from DVC's cache.

Each stage records its run's id as an output of its own, which a cache or a remote restores along with its results.
No computed number depends on it.
"""

import json
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from dpg.report.tables import SOURCES, TASK_SOURCES
from dpg.runtime import own_code
from dpg.runtime.schema import Params
from stages.common.scope import Cell, Scope, TaskScope, record


def record_paths(envs: Sequence[str], algorithms: Sequence[str]) -> dict[str, Path]:
    """The record of every stage that writes tables, by the stage's name in DVC."""
    scopes: list[tuple[str, str, Scope]] = [
        (stage, f"{env}-{algorithm}", Cell(env, algorithm))
        for stage in _stages(SOURCES)
        for env, algorithm in product(envs, algorithms)
    ]
    scopes += [(stage, env, TaskScope(env, "ppo")) for stage in _stages(TASK_SOURCES) for env in envs]
    return {f"{stage}@{name}": record(stage, scope) for stage, name, scope in scopes}


def read_records(envs: Sequence[str], algorithms: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The existing records of all stages, by the stage's name in DVC."""
    found = record_paths(envs, algorithms)
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in found.items() if path.exists()}


def _stages(sources: dict[str, tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(stage for stage, _ in sources.values()))


def warn_of_changed_code(params: Params) -> None:
    """Say on standard error which algorithms' results are those of other code than there is now."""
    for line in own_code.changes(params):
        print(f"warning: {line}: {own_code.REMEDY}", file=sys.stderr)
