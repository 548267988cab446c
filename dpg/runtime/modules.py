"""Modules of the user's own: what `modules` names, installed or next to `params.yaml`."""

import importlib
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
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
        top = module.partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError) and error.name == top
        hint = f"; put {top}.py next to params.yaml, or install it" if missing else ""
        raise ModuleError(f"modules = {module!r} cannot be imported: {cause(error)}{hint}") from error


def cause(error: BaseException) -> str:
    """What went wrong, on one line, after the error's type."""
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
