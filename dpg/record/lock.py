"""What `dvc.lock` says of an experiment: which outputs exist, their hashes, and the parameters behind them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dpg.runtime.errors import UserError


class LockError(UserError):
    """`dvc.lock` cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Lock:
    """The stages of a `dvc.lock` by name, as DVC wrote them."""

    stages: Mapping[str, Mapping[str, Any]]

    @property
    def outputs(self) -> dict[str, Mapping[str, Any]]:
        """Every output by its path: `md5`, `size` in bytes, and `nfiles` of a folder."""
        return {output["path"]: output for stage in self.stages.values() for output in stage.get("outs", ())}

    def changed_parameters(self, params: Mapping[str, Any]) -> Iterator[str]:
        """Stages that ran with other parameters than these, and the names of those parameters."""
        for stage, entry in self.stages.items():
            for name, value in entry.get("params", {}).get("params.yaml", {}).items():
                if _lookup(params, name) != value:
                    yield f"{stage} ran with another {name}"


def read(path: Path) -> Lock:
    """Read a `dvc.lock`.

    Raises:
        LockError: there is none, or DVC is just writing it.
    """
    try:
        lock = Lock(YAML(typ="safe", pure=True).load(path)["stages"])
        len(lock.outputs)  # which need every stage whole
    except FileNotFoundError:
        raise LockError(f"{path} is missing: no stage has run there; `dvc repro` makes it") from None
    except (YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        raise LockError(f"{path} is not a whole dvc.lock: wait until DVC has written it, and try again") from None
    return lock


def folder_hash(folder: Path) -> str:
    """The `md5` that DVC gives a folder: that of a sorted list of its files with their own MD5s."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.relative_to(folder).as_posix()}
        for path in files
    ]
    entries.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(entries).encode()).hexdigest() + ".dir"


def _lookup(params: Any, name: str) -> Any:
    for part in name.split("."):
        params = params.get(part) if isinstance(params, Mapping) else None
    return params
