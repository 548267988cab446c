"""Modules of the user's own: what `modules` names, installed or in the project's root."""

import importlib
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from dpg.runtime import project
from dpg.runtime.errors import UserError


class ModuleError(UserError):
    """A module cannot be imported; the message says why and what to do."""


def load(modules: Sequence[str]) -> list[ModuleType]:
    """Import the modules that `modules` names, for the tasks and algorithms in them.

    Raises:
        ModuleError: one cannot be imported.
    """
    if modules:
        project.make_importable()
    return [_load(module) for module in modules]


def registers_tasks(module: str) -> bool:
    """Whether a task registered with Gymnasium is made by code of an imported module's package."""
    gymnasium = sys.modules.get("gymnasium")  # a module that registers tasks has imported it
    specs = gymnasium.registry.values() if gymnasium else []
    return any(_package(spec.entry_point) == _package(module) for spec in specs)


def _package(entry_point: Any) -> str:
    name = entry_point if isinstance(entry_point, str) else getattr(entry_point, "__module__", "")
    return name.partition(":")[0].partition(".")[0]


def _load(module: str) -> ModuleType:
    try:
        with redirect_stdout(sys.stderr):  # standard output belongs to the command
            return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # it runs code of its own
        missing = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
        hint = f"; {_remedy(module)}" if missing else ""
        raise ModuleError(f"modules = {module!r} cannot be imported: {cause(error)}{hint}") from error


def _remedy(module: str) -> str:
    """What to do about a module that is not there."""
    if (dotted := module.removesuffix(".py").replace("/", ".")) != module:
        return f"write it as Python imports it: {dotted}"
    return f"put {module.replace('.', '/')}.py into the project's root, or install it"


def cause(error: BaseException) -> str:
    """What went wrong in the user's own code, on one line: the error's type, its text, and where it was raised."""
    text = " ".join(str(error).split()).rstrip(".")
    return (f"{type(error).__name__}: {text}" if text else type(error).__name__) + _place(error)


def _place(error: BaseException) -> str:
    """The last line that was running of the file that was imported or called; syntax errors say it themselves."""
    trace = traceback.extract_tb(error.__traceback__)[1:]
    # Importing is frozen, in the standard library, or its backport.
    frames = [frame for frame in trace if "importlib" not in frame.filename]
    first = next((frame for frame in frames if frame.name == "<module>"), frames[0] if frames else None)
    if first is None or isinstance(error, SyntaxError):
        return ""
    line = [frame.lineno for frame in frames if frame.filename == first.filename][-1]
    return f" ({Path(first.filename).name}, line {line})"
