"""What `dvc.lock` says of an experiment: which outputs exist, their hashes, and the parameters behind them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dpg.runtime.errors import UserError

NOT_RUN = "has not run yet"


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

    def of(self, scale: str) -> "Lock":
        """The stages with results at a scale: all but the `superseded`."""
        superseded = self.superseded(scale)
        return Lock({name: entry for name, entry in self.stages.items() if name not in superseded})

    def superseded(self, scale: str) -> dict[str, str]:
        """The stages without results at a scale, and why: they ran at another, or an input has been made again since.

        DVC keeps the entry of such a stage until the stage runs again.
        """
        outputs = self.outputs
        makers = {output["path"]: name for name, stage in self.stages.items() for output in stage.get("outs", ())}

        @cache
        def reason(name: str) -> str:
            inputs = {dep["path"]: dep.get("md5") for dep in self.stages[name].get("deps", ()) if dep["path"] in makers}
            remade = [path for path, md5 in inputs.items() if md5 != outputs[path].get("md5") or reason(makers[path])]
            if _scales(self.stages[name]) - {scale}:
                return NOT_RUN
            return f"{NOT_RUN} on the present {remade[0]}" if remade else ""

        return {name: why for name in self.stages if (why := reason(name))}

    def changed_parameters(self, params: Mapping[str, Any]) -> Iterator[str]:
        """Stages that ran with other parameters than these, and the names of those parameters."""
        for stage, entry in self.stages.items():
            for name, value in _parameters(entry).items():
                if _lookup(params, name) != value:
                    yield f"{stage} ran with another {name}"


def read(path: Path) -> Lock:
    """Read a `dvc.lock`.

    Raises:
        LockError: there is none, or DVC is just writing it.
    """
    try:
        lock = Lock(YAML(typ="safe", pure=True).load(path)["stages"])
        lock.superseded("")  # which needs every stage whole
    except FileNotFoundError:
        raise LockError(f"{path} is missing: no stage has run there; `dvc repro` makes it") from None
    except (YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError):
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


def _parameters(stage: Mapping[str, Any]) -> Mapping[str, Any]:
    return stage.get("params", {}).get("params.yaml", {})


def _scales(stage: Mapping[str, Any]) -> set[str]:
    """The scales whose parameters a stage ran with."""
    return {name.split(".")[1] for name in _parameters(stage) if name.startswith("scales.")}


def _lookup(params: Any, name: str) -> Any:
    for part in name.split("."):
        params = params.get(part) if isinstance(params, Mapping) else None
    return params
