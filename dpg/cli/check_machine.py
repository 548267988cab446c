"""Checks of `dpg doctor`: the installation and the machine."""

import contextlib
import importlib.metadata
import os
import platform
import shutil
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import loky
import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from dpg.cli import dag
from dpg.cli.check import Finding, Level, ok, problem, warning
from dpg.runtime import shard_cache
from dpg.runtime.errors import UserError
from dpg.runtime.local_workers import num_jobs
from dpg.runtime.units import size

LOCK = Path("requirements.lock")
INSTALL = f"python -m pip install -r {LOCK}"
NAMED = ("torch", "mujoco", "gymnasium", "dvc", "mlflow")  # always shown; others only with a fault
WORKER_BYTES = 0.4e9  # a worker with PyTorch and MuJoCo takes 0.27 GB, plus its shard
LITTLE_DISK, TOO_LITTLE_DISK = 5e9, 1e9
DAY = 86400.0


def python() -> Finding:
    """The interpreter, and whether stages, which call `python`, find the same one."""
    found = f"{platform.python_version()} at {sys.executable}"
    on_path = shutil.which("python")
    if on_path is None or Path(on_path).parent != Path(sys.executable).parent:
        activate = f"source {Path(sys.executable).parent / 'activate'}"
        return warning(f"{found}; but `python` is {on_path or 'not found'}", f"for `dvc repro`: {activate}")
    return ok(found)


def packages() -> Finding:
    """Versions of dependencies, against `pyproject.toml` and `requirements.lock`."""
    needed = [Requirement(text) for text in _project()["dependencies"]]
    unmet = [f"{need} (here: {_version(need.name) or 'none'})" for need in needed if not _is_met(need)]
    if unmet:
        return problem(f"needed: {', '.join(unmet)}", INSTALL)
    if not LOCK.exists():
        return warning(f"{LOCK} is missing", "take it from the repository")
    locked = _locked(LOCK.read_text(encoding="utf-8"))
    names = [canonicalize_name(need.name) for need in needed]
    differ = [
        f"{name} {_version(name)} (locked: {locked.get(name, 'none')})"
        for name in names
        if Version(_version(name) or "0").public != locked.get(name)
    ]
    if differ:
        return warning(f"not those in {LOCK}: {', '.join(differ)}", INSTALL)
    shown = ", ".join(f"{name} {locked[name]}" for name in NAMED if name in names)
    return ok(f"as in {LOCK}: {shown}")


def groups() -> Finding:
    """The optional groups of packages. Their absence is no fault."""
    missing = {
        group: [need.name for need in map(Requirement, texts) if not _is_met(need)]
        for group, texts in _project().get("optional-dependencies", {}).items()
    }
    absent = {group: names for group, names in missing.items() if names}
    if not absent:
        return ok(f"all there: {', '.join(missing)}")
    found = "; ".join(f"{group} lacks {', '.join(names)}" for group, names in absent.items())
    return ok(found, f"if wanted: python -m pip install -e '.[{','.join(absent)}]'")


def cores() -> Finding:
    """Cores that this process may use, and the workers on them."""
    number, jobs = loky.cpu_count(), _jobs()
    found = f"{number} usable of {os.cpu_count()}, {jobs} worker process{'es' if jobs > 1 else ''} a stage"
    if jobs > number:
        return warning(found, f"DPG_JOBS of {number} or fewer: more would wait for each other")
    return ok(found)


def memory() -> Finding:
    """Memory for the workers of a stage."""
    state: Any = psutil.virtual_memory()
    needed = WORKER_BYTES * (_jobs() + 1)  # and the stage's own process
    found = f"{size(state.available)} free of {size(state.total)}"
    if state.available < needed:
        todo = f"set DPG_JOBS to fewer, or make room: a stage takes some {size(needed)} with {_jobs()} workers"
        return warning(found, todo)
    return ok(found)


def disk() -> Finding:
    """Free space for results, DVC's cache and the scratch folder."""
    folders = {"data": Path("data").resolve(), "scratch": shard_cache.root()}
    with contextlib.suppress(UserError):  # reported by another check
        folders["DVC cache"] = dag.settings().cache
    by_device: dict[int, tuple[list[str], Path]] = {}
    for name, folder in folders.items():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        by_device.setdefault(there.stat().st_dev, ([], there))[0].append(name)
    usages = [(names, shutil.disk_usage(there)) for names, there in by_device.values()]
    found = "; ".join(f"{', '.join(names)}: {size(usage.free)} free of {size(usage.total)}" for names, usage in usages)
    least = min(usage.free for _, usage in usages)
    level = Level.PROBLEM if least < TOO_LITTLE_DISK else Level.WARNING if least < LITTLE_DISK else Level.OK
    todo = "make room: `dvc gc --workspace` drops the cached results of all other experiments"
    return Finding(level, found, "" if level is Level.OK else todo)


def leftovers() -> Finding:
    """Results of killed runs in the scratch folder."""
    left = [leftover for leftover in shard_cache.leftovers() if not leftover.in_use]
    limit = size(shard_cache.limit_bytes())
    if not left:
        return ok(f"nothing left by killed runs (limit {limit})")
    days = (time.time() - min(leftover.modified for leftover in left)) / DAY
    found = (
        f"{len(left)} killed run{'s' if len(left) > 1 else ''} left {sum(item.num_results for item in left)} results, "
        f"{size(sum(item.num_bytes for item in left))} of {limit}, up to {max(days, 0.0):.1f} days old"
    )
    todo = f"the same `dpg repro` resumes from them; to discard them, remove {shard_cache.root()}"
    return warning(found, todo)


CHECKS = (python, packages, groups, cores, memory, disk, leftovers)


def _jobs() -> int:
    try:
        return num_jobs()
    except UserError:  # reported by another check
        return loky.cpu_count()


def _project() -> dict[str, Any]:
    try:
        return tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"pyproject.toml cannot be read ({error}): run from the project's root") from error


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_met(need: Requirement) -> bool:
    version = _version(need.name)
    return version is not None and need.specifier.contains(version, prereleases=True)


def _locked(text: str) -> dict[str, str]:
    pairs = (line.split("==") for line in text.splitlines() if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}
