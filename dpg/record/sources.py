"""The sources of a record: copied from an experiment, and compared with what its `dvc.lock` says of them."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

from dpg.record import lock as locks
from dpg.report.page.records import COSTS
from dpg.runtime import config
from dpg.runtime.errors import UserError
from dpg.runtime.outputs import write_atomic, write_reasons
from dpg.runtime.schema import Params
from dpg.tables.catalog import catalog
from dpg.tables.table import table_of, write
from stages.common.lineage import scopes
from stages.common.scope import Scope
from stages.common.scope import record as run_record
from stages.common.scope import tables as stage_tables

CALIBRATION = Path("data/calibrate")
# What the record of a stage's run may tell: neither the host nor its folders.
PUBLIC = ("run_id", "cost", "provenance")


class RecordError(UserError):
    """A record cannot be made or read; the message says why."""


def stages(params: Params) -> dict[str, tuple[str, Scope]]:
    """The stages of a record, each with the cell or task of its paths, by the stage's name in DVC."""
    return scopes(params.envs, params.algorithms) | {"calibrate": ("calibrate", Scope())}


def unfinished(params: Params, lock: locks.Lock) -> dict[str, str]:
    """Why stages of a record have no results, by the stage's name in DVC."""
    finished, reasons = lock.of(params.scale).stages, lock.superseded(params.scale)
    return {name: reasons.get(name, locks.NOT_RUN) for name in stages(params) if name not in finished}


def output_of(stage: str, scope: Scope) -> Path:
    """Where an experiment has the tables of a stage."""
    return CALIBRATION if stage == "calibrate" else stage_tables(stage, scope)


def collect(experiment: Path, record: Path, command: str) -> None:
    """Copy the sources of an experiment into an empty record. A stage that has not run leaves tables without rows.

    Raises:
        RecordError: no cell has trained agents, results are missing, or the sources do not belong together.
    """
    params, lock = config.load(experiment / "params.yaml"), locks.read(experiment / "dvc.lock")
    waiting = unfinished(params, lock)
    for name in ("params.yaml", "dvc.lock"):
        shutil.copyfile(experiment / name, record / name)
    runs: dict[str, dict[str, Any]] = {}
    for name, (stage, scope) in stages(params).items():
        if name not in waiting:
            tables = require_output(experiment / output_of(stage, scope), name)
            shutil.copytree(tables, record / tables_of(stage, scope))
            runs[name] = run_of(require_output(experiment / run_record(stage, scope), name), name)
    leave_empty(params, waiting, record)
    if not any(name.startswith("train@") for name in runs):
        raise RecordError(f"{experiment}: no cell of params.yaml has trained agents yet")
    write_provenance(record, command, runs)
    if found := list(problems(record)):
        raise RecordError("\n  ".join([f"{experiment} is not one experiment:", *found]))


def require_output(path: Path, stage: str) -> Path:
    """An output of a stage that has run.

    Raises:
        RecordError: it is not there.
    """
    if not path.exists():
        raise RecordError(f"{path} is missing, though dvc.lock has it: run `dvc pull` or `dvc repro {stage}` there")
    return path


def run_of(path: Path, stage: str) -> dict[str, Any]:
    """What a record publishes of the run of a stage.

    Raises:
        RecordError: the stage's own record of it is not whole.
    """
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        if _whole(entry):
            return {key: entry[key] for key in PUBLIC}
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    remedy = f"`dvc repro --force --single-item {stage}` there makes it again"
    raise RecordError(f"{path} is not whole, or of an older version: {remedy}")


def _whole(run: Mapping[str, Any]) -> bool:
    return (
        set(PUBLIC) <= run.keys()
        and set(COSTS) <= run["cost"].keys()
        and all(isinstance(run["cost"][name], int | float) for name in COSTS)
        and all(isinstance(value, str) for value in run["provenance"].values())
    )


def copy(record: Path, target: Path, command: str) -> None:
    """Copy the sources of a record into an empty one, with the command that ran its experiment."""
    params, lock = config.load(record / "params.yaml"), locks.read(record / "dvc.lock")
    waiting = unfinished(params, lock)
    for name in ("params.yaml", "dvc.lock"):
        shutil.copyfile(record / name, target / name)
    for name, (stage, scope) in stages(params).items():
        if name not in waiting and (tables := record / tables_of(stage, scope)).is_dir():
            shutil.copytree(tables, target / tables_of(stage, scope))
    leave_empty(params, waiting, target)
    write_provenance(target, command, provenance(record)["runs"])


def restore(record: Path, clone: Path) -> None:
    """Give a fresh clone the sources of a record, so that it can run what the record lacks; `collect` takes them back.

    It has then the tables of the stages and the records of their runs, but no snapshots and no arrays.

    Raises:
        RecordError: the folder is no fresh clone, or the record's sources do not belong together.
    """
    if not (clone / "dvc.yaml").is_file():
        raise RecordError(f"{clone} is no clone of this project: it has no dvc.yaml")
    if (clone / "data").exists():
        raise RecordError(f"{clone / 'data'} exists, and would be mixed with the record's results: use a fresh clone")
    if found := list(problems(record)):
        raise RecordError("\n  ".join([f"{record} does not agree with itself:", *found]))
    runs, every = provenance(record)["runs"], stages(config.load(record / "params.yaml"))
    for name, run in runs.items():
        shutil.copytree(record / tables_of(*every[name]), clone / output_of(*every[name]))
        write_atomic(json.dumps(run, indent=2) + "\n", clone / run_record(*every[name]))
    for name in ("params.yaml", "dvc.lock"):
        shutil.copyfile(record / name, clone / name)


def tables_of(stage: str, scope: Scope) -> Path:
    """Where a record has the tables of a stage."""
    return Path("tables") / stage / scope.subdir


def leave_empty(params: Params, waiting: Mapping[str, str], record: Path) -> None:
    """Write the tables of stages that have not run yet, without rows, and the reasons."""
    every = stages(params)
    for name, reason in waiting.items():
        stage, scope = every[name]
        tables = record / tables_of(stage, scope)
        tables.mkdir(parents=True)
        for row in catalog().values():
            if table_of(row).stage == stage:
                write(row, [], tables)
        write_reasons([f"{name} {reason}"], tables)


def problems(record: Path) -> Iterator[str]:
    """Where the sources of a record disagree with each other, a line each.

    Tables are what `dvc.lock` has the hashes of, and the stages ran with the parameters of `params.yaml`. A stage that
    has not run has no rows.
    """
    params, lock = config.load(record / "params.yaml"), locks.read(record / "dvc.lock")
    waiting, runs = unfinished(params, lock), provenance(record)["runs"]
    finished = {name: where for name, where in stages(params).items() if name not in waiting}
    raw = YAML(typ="safe", pure=True).load(record / "params.yaml")
    for line in locks.Lock({name: lock.stages[name] for name in finished}).changed_parameters(raw):
        yield f"params.yaml: {line}"
    for name in sorted(finished.keys() ^ runs.keys()):
        yield f"provenance.json: {name}: dvc.lock says that it has {'' if name in finished else 'not '}run"
    for name, where in finished.items():
        made = lock.outputs.get(output_of(*where).as_posix(), {})
        if locks.folder_hash(record / tables_of(*where)) != made.get("md5"):
            yield f"{tables_of(*where)}: not the tables that {name} made: dvc.lock has another hash"
    yield from surplus(record, params, waiting)


def surplus(record: Path, params: Params, waiting: Mapping[str, str]) -> Iterator[str]:
    """What a record has in `tables` that no finished stage made, a line for each folder or file."""
    folders = {name: tables_of(*where) for name, where in stages(params).items()}
    with TemporaryDirectory() as empty:
        leave_empty(params, waiting, Path(empty))
        for name, reason in waiting.items():
            if locks.folder_hash(record / folders[name]) != locks.folder_hash(empty / folders[name]):
                yield f"{folders[name]}: {name} {reason}, and can have only tables without rows, and this reason"
    for path in sorted(record.glob("tables/**/*")):
        inside = path.relative_to(record)
        if path.is_file() and not any(inside.is_relative_to(folder) for folder in folders.values()):
            yield f"{inside}: no stage of params.yaml has its tables there"


def write_provenance(record: Path, command: str, runs: Mapping[str, Any]) -> None:
    """Write what `provenance` reads."""
    write_atomic(json.dumps({"command": command, "runs": runs}, indent=2) + "\n", record / "provenance.json")


def provenance(record: Path) -> Mapping[str, Any]:
    """The command, and for each stage that has run its MLflow run, cost, versions and hardware.

    Raises:
        RecordError: it is missing or not whole.
    """
    path = record / "provenance.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found["command"], str) and all(_whole(run) for run in found["runs"].values()):
            return found
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    raise RecordError(f"{path} is missing or not whole")
