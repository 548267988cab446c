"""Which workers run the shards.

The environment decides, never a parameter, so that the number of cores cannot make a stage stale: `DPG_JOBS` local
processes (default: every core that this process may use), or with `DPG_BACKEND=dask` the workers of the scheduler at
`DPG_SCHEDULER`.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager

from dpg.runtime.errors import UserError
from dpg.runtime.local_workers import LocalProcesses, num_jobs
from dpg.runtime.workers import Workers


@contextmanager
def open_workers(modules: tuple[str, ...] = ()) -> Generator[Workers]:
    """The workers that the environment names; `modules` are the user's own modules that shards import.

    Raises:
        UserError: `DPG_BACKEND`, `DPG_SCHEDULER` or `DPG_JOBS` cannot be used.
    """
    backend = os.environ.get("DPG_BACKEND", "local")
    if backend == "local":
        jobs = num_jobs()
        workers = LocalProcesses(jobs) if jobs > 1 else Workers()
    elif backend == "dask":
        try:
            from dpg.runtime.dask_workers import DaskWorkers  # heavy, and an optional dependency
        except ImportError as error:
            install = "`python -m pip install -e '.[dask]'` installs it"
            raise UserError(f"DPG_BACKEND = 'dask' needs Dask: {install}") from error
        workers = DaskWorkers(os.environ.get("DPG_SCHEDULER"), modules)
    else:
        raise UserError(f"DPG_BACKEND = {backend!r}: must be one of local, dask")
    try:
        yield workers
    finally:
        workers.close()
