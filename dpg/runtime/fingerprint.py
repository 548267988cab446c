"""What code computes here: a name that changes with it."""

import hashlib
import platform
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from dpg.runtime import project

# What a number can depend on beside our own code.
PACKAGES = ("gymnasium", "mujoco", "numpy", "pandas", "scipy", "torch")
# What cannot change a number: the command line, drawing, tracking.
EXCLUDED = ("cli", "importing", "planning", "report", "tracking")


def versions() -> dict[str, str]:
    """Of Python and of the packages that numbers depend on."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}


def code(modules: Sequence[str] = ()) -> str:
    """A digest of the sources of `dpg` and of `modules` (a user's own tasks; a package whole), and of `versions`."""
    package = Path(__file__).parents[1]
    apart = [package / name for name in EXCLUDED]
    sources = [
        path
        for path in sorted(package.rglob("*.py"))
        if not any(path == other or other in path.parents for other in apart)
    ]
    content = hashlib.blake2b(repr(versions()).encode(), digest_size=16)
    for path in sources:
        content.update(f"\0{path.relative_to(package)}\0".encode() + path.read_bytes())
    for name in modules:
        for path in _sources(name):
            content.update(f"\0{name}\0{path.name}\0".encode() + path.read_bytes())
    return content.hexdigest()


def _sources(module: str) -> list[Path]:
    """The file of a module, or all those of a package; none if there is no such module: who imports it will say so."""
    project.make_importable()
    with suppress(ImportError, ValueError):
        spec = find_spec(module)
        if spec and spec.submodule_search_locations:
            return [path for folder in spec.submodule_search_locations for path in sorted(Path(folder).rglob("*.py"))]
        if spec and spec.origin and spec.has_location:
            return [Path(spec.origin)]
    return []
