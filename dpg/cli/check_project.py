"""Checks of `dpg doctor`: the experiment, its pipeline, its tracking store, and environment variables."""

import difflib
import os
from pathlib import Path

from dpg.cli import dag
from dpg.cli.check import Finding, ok, problem, warning
from dpg.runtime import config, own_code, shard_cache
from dpg.runtime.config import ConfigError
from dpg.runtime.errors import UserError

TIMEOUT_S = "5"  # seconds for a server to answer
SETTINGS = ("DPG_JOBS", "DPG_BACKEND", "DPG_SCHEDULER", "DPG_SCRATCH_GB")


def parameters() -> Finding:
    """`params.yaml`; the other checks that read it are not made where it cannot be used."""
    try:
        params = config.load()
    except ConfigError as error:
        return problem(str(error))
    return ok(f"valid: scale {params.scale}, {', '.join(params.envs)} x {', '.join(params.algorithms)}")


def tasks() -> Finding:
    """Whether agents can be trained on the tasks of `params.yaml`."""
    from dpg.envs.examine import check_tasks

    params = config.load()
    try:
        check_tasks(params)
    except ConfigError as error:
        return problem(str(error), "change envs or modules in params.yaml")
    return ok(f"can be made and stepped: {', '.join(params.envs)}")


def measurements() -> Finding:
    """Whether the pipeline will measure everything."""
    from dpg.envs.make import EnvError, make_vector, time_limit
    from dpg.streams import measurable

    params, limits = config.load(), dict[str, int | None]()
    try:
        for env in params.envs:
            make_vector(env, 1, params.modules).close()
            limits[env] = time_limit(env, params.modules)
    except EnvError:
        return warning("not checked: the tasks cannot be used")
    if lines := list(measurable.messages(params, limits)):
        if not any(measurable.ruled_out(params, env, limit) for env, limit in limits.items()):
            return ok(f"all that the scale asks for; {'; '.join(lines)}")
        return warning("; ".join(lines), "change what is named, or leave it: all else runs to the report")
    return ok("every stage can measure")


def dvc() -> Finding:
    """Whether this is a DVC project."""
    if not Path(".dvc").is_dir():
        return problem("there is no .dvc folder here", "run from the project's root, or `dvc init`")
    try:
        with_git = dag.settings().git
    except UserError as error:
        return problem(str(error), "`git init`, or `dvc config --local core.no_scm true`")
    return ok("initialised, with git" if with_git else "initialised, without git (core.no_scm): `dvc exp` needs git")


def pipeline() -> Finding:
    """Whether results belong to the present parameters and code."""
    try:
        pipeline = dag.read()
    except dag.BusyError:
        return warning("another DVC process is running: staleness is unknown")
    number, stale = len(pipeline.parents), len(pipeline.stale)
    if not Path("dvc.lock").exists():
        return warning(f"{number} stages, none of which has run (no dvc.lock)", "dpg repro -j 2")
    if not any(path.exists() for path, cached in pipeline.outputs.items() if cached):
        return warning(f"{number} stages, of whose results (dvc.lock) none is here", "dvc pull, or dpg repro -j 2")
    if stale:
        below = len(pipeline.below(pipeline.stale) - pipeline.stale)
        return warning(f"{stale} of {number} stages stale, {below} more depend on them", "dpg repro -j 2")
    return ok(f"{number} stages, all up to date")


def code() -> Finding:
    """Whether the modules of the user's own are those that results were made with: DVC does not watch them."""
    if lines := own_code.changes(config.load()):
        return warning("; ".join(lines), "dvc repro -f params, then dvc repro")
    return ok("algorithms and tasks are those that DVC last saw")


def tracking() -> Finding:
    """The store of MLflow runs, which is never created here."""
    # Whoever waits for the findings is not kept waiting as long as a run may be.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", TIMEOUT_S)
    from dpg.tracking.errors import TrackingError
    from dpg.tracking.store import inspect_store

    try:
        return ok(inspect_store())
    except TrackingError as error:
        return problem(error.what, error.todo)


def settings() -> Finding:
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
        return problem("; ".join(faults), "change or unset them")
    unknown = [name for name in given if name not in SETTINGS]
    if unknown:
        close = difflib.get_close_matches(unknown[0], SETTINGS, n=1)
        todo = f"did you mean {close[0]}?" if close else f"known: {', '.join(SETTINGS)}"
        return warning(f"{shown}; unknown: {', '.join(unknown)}", todo)
    return ok(shown)


def _backend() -> None:
    from dpg.runtime.backends import open_workers

    if os.environ.get("DPG_BACKEND", "local") != "local":
        with open_workers():  # which sees whether they answer, and run the same code
            pass


CHECKS = (settings, parameters, tasks, measurements, dvc, pipeline, code, tracking)
