"""Checks of `dpg doctor`: the experiment, its pipeline, its tracking store, and environment variables."""

import difflib
import os
from pathlib import Path

from dpg.cli import dag
from dpg.cli.check import Check, Level
from dpg.runtime import config, own_code, shard_cache
from dpg.runtime.config import ConfigError
from dpg.runtime.errors import UserError

TIMEOUT_S = "5"  # seconds for a server to answer
SETTINGS = ("DPG_JOBS", "DPG_BACKEND", "DPG_SCHEDULER", "DPG_SCRATCH_GB")


def parameters() -> Check:
    """`params.yaml`."""
    params = config.load()
    found = f"valid: scale {params.scale}, {', '.join(params.envs)} x {', '.join(params.algorithms)}"
    return Check("parameters", Level.OK, found)


def tasks() -> Check:
    """Whether agents can be trained on the tasks of `params.yaml`."""
    from dpg.envs.examine import check_tasks

    try:
        params = config.load()
    except ConfigError:
        return Check("tasks", Level.WARNING, "not tried: params.yaml cannot be used")
    try:
        check_tasks(params)
    except ConfigError as error:
        return Check("tasks", Level.PROBLEM, str(error), "change envs or modules in params.yaml")
    return Check("tasks", Level.OK, f"can be made and stepped: {', '.join(params.envs)}")


def measurements() -> Check:
    """Whether the pipeline will measure everything."""
    from dpg.envs.make import EnvError, make_vector, time_limit
    from dpg.streams import measurable

    try:
        params = config.load()
        limits: dict[str, int | None] = {}
        for env in params.envs:
            make_vector(env, 1, params.modules).close()
            limits[env] = time_limit(env, params.modules)
    except (ConfigError, EnvError):
        return Check("measurements", Level.WARNING, "not checked: the parameters or the tasks cannot be used")
    if lines := list(measurable.messages(params, limits)):
        if not any(measurable.unmeasurable(params, env, limit) for env, limit in limits.items()):
            return Check("measurements", Level.OK, f"all that the scale asks for; {'; '.join(lines)}")
        todo = "change the parameters that are named, or leave it: all else runs to the report"
        return Check("measurements", Level.WARNING, "; ".join(lines), todo)
    return Check("measurements", Level.OK, "every stage can measure")


def dvc() -> Check:
    """Whether this is a DVC project."""
    if not Path(".dvc").is_dir():
        return Check("dvc", Level.PROBLEM, "there is no .dvc folder here", "run from the project's root, or `dvc init`")
    try:
        with_git = dag.has_git()
    except UserError as error:
        return Check("dvc", Level.PROBLEM, str(error), "`git init`, or `dvc config --local core.no_scm true`")
    if not with_git:
        return Check("dvc", Level.OK, "initialised, without git (core.no_scm): `dvc exp` needs git")
    return Check("dvc", Level.OK, "initialised, with git")


def pipeline() -> Check:
    """Whether results belong to the present parameters and code."""
    try:
        pipeline = dag.read()
    except dag.BusyError:
        return Check("pipeline", Level.WARNING, "another DVC process is running: staleness is unknown")
    except ConfigError:
        return Check("pipeline", Level.WARNING, "not read: params.yaml cannot be used")
    number, stale = len(pipeline.parents), len(pipeline.stale)
    if not Path("dvc.lock").exists():
        return Check(
            "pipeline", Level.WARNING, f"{number} stages, none of which has run (no dvc.lock)", "dpg repro -j 2"
        )
    if stale:
        below = len(pipeline.below(pipeline.stale) - pipeline.stale)
        return Check(
            "pipeline",
            Level.WARNING,
            f"{stale} of {number} stages stale, {below} more depend on them",
            "dpg repro -j 2",
        )
    return Check("pipeline", Level.OK, f"{number} stages, all up to date")


def code() -> Check:
    """Whether the modules of the user's own are those that results were made with: DVC does not watch them."""
    try:
        params = config.load()
    except ConfigError:
        return Check("code", Level.WARNING, "not checked: params.yaml cannot be used")
    if lines := own_code.changes(params):
        return Check("code", Level.WARNING, "; ".join(lines), "dvc repro -f params, then dvc repro")
    return Check("code", Level.OK, "algorithms and tasks are those that DVC last saw")


def tracking() -> Check:
    """The store of MLflow runs, which is never created here."""
    # Whoever waits for the findings is not kept waiting as long as a run may be.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", TIMEOUT_S)
    from dpg.tracking.errors import TrackingError
    from dpg.tracking.store import inspect_store

    try:
        return Check("tracking", Level.OK, inspect_store())
    except TrackingError as error:
        return Check("tracking", Level.PROBLEM, error.what, error.todo)


def settings() -> Check:
    """The environment variables that control workers."""
    from dpg.runtime.local_workers import num_jobs

    faults: list[str] = []
    for read in (num_jobs, shard_cache.limit_bytes, _backend):
        try:
            read()
        except UserError as error:
            faults.append(str(error))
    given = {name: value for name, value in os.environ.items() if name.startswith("DPG_")}
    shown = ", ".join(f"{name}={value}" for name, value in given.items()) or f"none of {', '.join(SETTINGS)} is set"
    if faults:
        return Check("settings", Level.PROBLEM, "; ".join(faults), "change or unset them")
    unknown = [name for name in given if name not in SETTINGS]
    if unknown:
        close = difflib.get_close_matches(unknown[0], SETTINGS, n=1)
        todo = f"did you mean {close[0]}?" if close else f"known: {', '.join(SETTINGS)}"
        return Check("settings", Level.WARNING, f"{shown}; unknown: {', '.join(unknown)}", todo)
    return Check("settings", Level.OK, shown)


def _backend() -> None:
    from dpg.runtime.backends import open_workers

    if os.environ.get("DPG_BACKEND", "local") != "local":
        with open_workers():  # which sees whether they answer, and run the same code
            pass
