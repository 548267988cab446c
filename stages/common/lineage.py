"""Which MLflow runs made the inputs of the last stages, whether they ran just now or came from DVC's cache.

Each stage records its run's id as an output of its own, which a cache or a remote restores along with its results.
No computed number depends on it.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

from dpg.runtime import own_code
from dpg.runtime.schema import Params
from dpg.tables.catalog import catalog
from dpg.tables.store import stages
from dpg.tables.table import TableScope, table_of
from stages.common.scope import Scope, record

UNNAMED_STORE = "a store that the published record does not name"


def scopes(envs: Sequence[str], algorithms: Sequence[str]) -> dict[str, tuple[str, Scope]]:
    """The stages that write tables, each with the cell or task of its paths, by the stage's name in DVC."""
    rows = [row for row in catalog().values() if table_of(row).scope is not TableScope.PIPELINE]
    return {
        f"{stage}@{env}" + (f"-{algorithm}" if algorithm else ""): (stage, Scope(env, algorithm or ""))
        for stage, owners in stages(rows, envs, algorithms).items()
        for env, algorithm in owners
    }


def read_records(envs: Sequence[str], algorithms: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The existing records of all stages, by the stage's name in DVC.

    A published record keeps to itself which store its runs are in.
    """
    paths = {name: record(*found) for name, found in scopes(envs, algorithms).items()}
    return {
        name: {"tracking_uri": UNNAMED_STORE} | json.loads(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
        if path.exists()
    }


def warn_of_changed_code(params: Params) -> None:
    """Say on standard error which algorithms' results are those of other code than there is now."""
    for line in own_code.changes(params):
        print(f"warning: {line}: {own_code.REMEDY}", file=sys.stderr)
