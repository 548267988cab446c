"""The sources of a record: copied from an experiment, and compared with what its `dvc.lock` says of them."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from dpg.record import SOURCES
from dpg.record import lock as locks
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


def output_of(stage: str, scope: Scope) -> Path:
    """Where an experiment has the tables of a stage."""
    return CALIBRATION if stage == "calibrate" else stage_tables(stage, scope)


def collect(experiment: Path, record: Path, command: str) -> None:
    """Copy the sources of an experiment into an empty record. A stage that has not run leaves tables without rows.

    Raises:
        RecordError: no cell has trained agents, results are missing, or the sources do not belong together.
    """
    params, lock = config.load(experiment / "params.yaml"), locks.read(experiment / "dvc.lock")
    for name in ("params.yaml", "dvc.lock"):
        shutil.copyfile(experiment / name, record / name)
    runs: dict[str, dict[str, Any]] = {}
    for name, (stage, scope) in stages(params).items():
        tables = record / "tables" / stage / scope.subdir
        if output_of(stage, scope).as_posix() in lock.outputs:
            shutil.copytree(present(experiment / output_of(stage, scope), name), tables)
            entry = json.loads(present(experiment / run_record(stage, scope), name).read_text(encoding="utf-8"))
            runs[name] = {key: entry[key] for key in PUBLIC}
        else:
            leave_empty(name, stage, tables)
    if not any(name.startswith("train@") for name in runs):
        raise RecordError(f"{experiment}: no cell of params.yaml has trained agents yet")
    write_provenance(record, command, runs)
    if found := list(problems(record)):
        raise RecordError("\n  ".join([f"{experiment} is not one experiment:", *found]))


def present(path: Path, stage: str) -> Path:
    """An output of a stage that has run.

    Raises:
        RecordError: it is not there.
    """
    if not path.exists():
        raise RecordError(f"{path} is missing, though dvc.lock has it: run `dvc pull` or `dvc repro {stage}` there")
    return path


def copy(record: Path, target: Path, command: str = "") -> None:
    """Copy the sources of a record into an empty one, with another command if one is given."""
    for name in SOURCES:
        source = record / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        elif source.exists():
            shutil.copyfile(source, target / name)
    if command:
        write_provenance(target, command, provenance(target)["runs"])


def leave_empty(name: str, stage: str, tables: Path) -> None:
    """Write the tables of a stage that has not run yet, without rows, and that reason."""
    tables.mkdir(parents=True)
    for row in catalog().values():
        if table_of(row).stage == stage:
            write(row, [], tables)
    write_reasons([f"{name} has not run yet"], tables)


def problems(record: Path) -> Iterator[str]:
    """Where the sources of a record disagree with each other, a line each.

    Tables are what `dvc.lock` has the hashes of, and the stages ran with the parameters of `params.yaml`.
    """
    params, lock = config.load(record / "params.yaml"), locks.read(record / "dvc.lock")
    runs = provenance(record)["runs"]
    relevant = {name: lock.stages[name] for name in stages(params) if name in lock.stages}
    raw = YAML(typ="safe", pure=True).load(record / "params.yaml")
    for line in locks.Lock(relevant).changed_parameters(raw):
        yield f"params.yaml: {line}"
    for name, (stage, scope) in stages(params).items():
        finished = name in relevant
        if finished != (name in runs):
            yield f"provenance.json: {name}: dvc.lock says that it has {'' if finished else 'not '}run"
        tables = Path("tables") / stage / scope.subdir
        if finished and locks.folder_hash(record / tables) != lock.outputs[output_of(stage, scope).as_posix()]["md5"]:
            yield f"{tables}: not the tables that {name} made: dvc.lock has another hash"


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
        if "command" in found and all(set(PUBLIC) <= set(run) for run in found["runs"].values()):
            return found
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    raise RecordError(f"{path} is missing or not whole")
