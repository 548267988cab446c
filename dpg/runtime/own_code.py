"""The code of the configured algorithms and tasks, recorded in files that DVC watches.

Which modules an experiment runs follows from `params.yaml`, and they may lie in an installed package, where DVC cannot
watch them. So the stage `params` writes a digest of them for every algorithm, and the stages that run an algorithm
depend on its file: a change of one algorithm makes its own cells stale and no others.

DVC runs `params` when `params.yaml` or a built-in algorithm changes. After a change of a module of the user's own,
stages refuse to run until `params` has (`REMEDY`).
"""

import json
from collections.abc import Sequence
from pathlib import Path

from dpg.runtime import fingerprint, registry
from dpg.runtime.errors import UserError
from dpg.runtime.schema import Params

FOLDER = Path("data/algorithms")
REMEDY = "run `dvc repro -f params`, then the same command again"


class ChangedCodeError(UserError):
    """Code has changed since DVC last saw it; the message says what to do."""


def records(params: Params) -> dict[Path, str]:
    """The files that the stage `params` writes, with their content.

    For an algorithm, a digest of its module and of each of `modules` that registers tasks. For the regimes, the
    same for their algorithm, and its block without the learning rate, which they vary.
    """
    name = params.regimes.algorithm
    code = {each: _record(each, params.modules) for each in {*params.algorithms, name}}
    block = params.algorithm(name).model_dump(mode="json", exclude={"lr"})
    regimes = json.dumps({name: block}, indent=2) + "\n" + code[name]
    return {path(each): text for each, text in code.items()} | {path("regimes"): regimes}


def path(name: str) -> Path:
    """The file of an algorithm, or of the regimes."""
    return FOLDER / f"{name}.txt"


def changes(params: Params) -> list[str]:
    """A line for each algorithm whose code is not what DVC last saw; those that were never run are left out."""
    names = dict.fromkeys([*params.algorithms, params.regimes.algorithm])
    return [message for name in names if (message := change(name, params.modules))]


def change(name: str, modules: Sequence[str]) -> str:
    """What of an algorithm's code is not what DVC last saw; empty where nothing is, or where it was never run."""
    try:
        recorded = path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    before, now = (dict(line.split() for line in text.splitlines()) for text in (recorded, _record(name, modules)))
    changed = sorted(module for module in before.keys() | now.keys() if before.get(module) != now.get(module))
    return f"{name}: the code of {', '.join(changed)} has changed since DVC last saw it" if changed else ""


def check(name: str, modules: Sequence[str]) -> None:
    """Refuse to compute what DVC would take for the result of other code.

    Raises:
        ChangedCodeError: the code of the algorithm, or of tasks, has changed since DVC last saw it.
    """
    if message := change(name, modules):
        raise ChangedCodeError(f"{message}: {REMEDY}")


def _record(name: str, modules: Sequence[str]) -> str:
    used = dict.fromkeys([registry.locate(name, modules).module, *registry.needed_by(name, modules)])
    return "".join(f"{module} {fingerprint.of_module(module)}\n" for module in used)
