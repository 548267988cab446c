"""The machine and the package versions of a measurement."""

import os
import platform
from importlib import metadata, util
from typing import Any

from dpg.runtime.machine import cpu

PACKAGES = ("dpg", "numpy", "torch", "mujoco", "gymnasium", "stable-baselines3", "sb3-contrib", "distributed", "dvc")


def describe(cores_used: int) -> dict[str, Any]:
    """The machine; `load_average` covers the minute before."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": platform.platform(),
        "processor": cpu(),
        "cores": available,
        "cores_used": cores_used,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that matter; None if not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def lacking(*modules: str, group: str = "bench") -> str | None:
    """How to install those of `modules` that are missing, from a group of extras; None if none is."""
    missing = [name for name in modules if util.find_spec(name) is None]
    if not missing:
        return None
    return f"{' and '.join(missing)} not installed; `python -m pip install -e '.[{group}]'` installs them"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
