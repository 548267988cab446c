"""Digests of code: of everything that computes, and of single modules."""

import ast
import hashlib
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from importlib.util import find_spec, resolve_name
from pathlib import Path

from dpg.runtime import project

_PACKAGE = Path(__file__).parents[1]
# Packages that numbers depend on.
PACKAGES = ("gymnasium", "mujoco", "numpy", "pandas", "scipy", "torch")
# Code that cannot change what a cached shard gives: the command line, drawing, the published record, tracking.
EXCLUDED = ("api.py", "cli", "diagnose", "importing", "planning", "record", "report", "tracking")
# Shards run these nevertheless: the jobs of a diagnosis, and the rule of claims, which the calibration checks.
MEASURING = ("diagnose/measurements.py", "report/aggregate.py", "report/claims/verdicts.py")


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Of Python, of the packages that numbers depend on, and of `more`."""
    return {"python": platform.python_version()} | {package: version(package) for package in (*PACKAGES, *more)}


def code(modules: Sequence[str] = ()) -> str:
    """A digest of the sources of `dpg`, of the user's own `modules`, and of `versions`."""
    content = hashlib.blake2b(repr(versions()).encode(), digest_size=16)
    _add_files(content, sources())
    for name in modules:
        _add_module(content, name)
    return content.hexdigest()


def sources() -> list[Path]:
    """The files of `dpg`, from its folder, that can change what a shard gives."""
    files = _package_files("*.py")
    return [path for path in files if path.parts[0] not in EXCLUDED or path.as_posix() in MEASURING]


def of_package() -> str:
    """A digest of all code of `dpg`, with what draws figures and the style that they have."""
    content = hashlib.blake2b(digest_size=16)
    _add_files(content, [*_package_files("*.py"), *_package_files("*.mplstyle")])
    return content.hexdigest()


def of_module(module: str) -> str:
    """A digest of a module's own sources.

    They are its file, or all files of a package, and what these import of the same package or of the project's folder.
    Of `dpg` only other algorithms belong to them: DVC watches the rest.
    """
    content = hashlib.blake2b(digest_size=16)
    _add_module(content, module)
    return content.hexdigest()


def _package_files(pattern: str) -> list[Path]:
    return [path.relative_to(_PACKAGE) for path in sorted(_PACKAGE.rglob(pattern))]


def _add_files(content: "hashlib.blake2b", files: Sequence[Path]) -> None:
    for path in files:
        content.update(f"\0{path}\0".encode() + (_PACKAGE / path).read_bytes())


def _add_module(content: "hashlib.blake2b", module: str) -> None:
    for name, paths in sorted(_sources(module).items()):
        for path in paths:
            content.update(f"\0{name}\0{path.name}\0".encode() + path.read_bytes())


def _sources(module: str) -> dict[str, list[Path]]:
    """The files of a module and of those that it imports of its own, by module; none where there is no such module."""
    project.make_importable()
    found: dict[str, list[Path]] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and (name == module or _belongs(name, module)) and (files := _files(name)):
            found[name] = files
            waiting += [imported for path in files for imported in _imports(path, name)]
    return found


def _belongs(name: str, module: str) -> bool:
    top = name.partition(".")[0]
    if top == "dpg":
        return name.startswith("dpg.algorithms.")
    local = project.root() / top
    return top == module.partition(".")[0] or local.with_suffix(".py").is_file() or (local / "__init__.py").is_file()


def _files(module: str) -> list[Path]:
    with suppress(ImportError, ValueError):  # the import of the module reports that it is missing
        spec = _spec(module)
        if spec and spec.submodule_search_locations:
            return [path for folder in spec.submodule_search_locations for path in sorted(Path(folder).rglob("*.py"))]
        if spec and spec.origin and spec.has_location:
            return [Path(spec.origin)]
    return []


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is. Of a dotted name, `find_spec` would import all but the last part, which may never be run."""
    parent = module.rpartition(".")[0]
    if not parent:
        return find_spec(module)
    folders = package.submodule_search_locations if (package := _spec(parent)) else None
    return PathFinder.find_spec(module, folders) if folders else None


def _imports(path: Path, module: str) -> Iterator[str]:
    """The names of modules that a file imports, and of what it imports from them, which may be modules."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    with suppress(SyntaxError, ValueError, ImportError):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                origin = resolve_name("." * node.level + (node.module or ""), package)
                yield origin
                yield from (f"{origin}.{alias.name}" for alias in node.names)
