"""The cost of starting the stages' processes.

The stages' own modules are imported one after the other, the lighter first, and a run is opened in an MLflow store in
memory, as each stage opens one.
"""

import importlib
import logging
import time
from collections.abc import Sequence

import psutil

from dpg.planning.rates import Measurements, Startup

LIGHT = ("params", "checkpoint")  # in the order of what they import; all others are heavier


def measure_stages(stages: Sequence[str]) -> Measurements:
    """Import the stages' modules in turn, in a fresh process."""
    found: dict[str, Startup] = {}
    set_up, light = 0.0, Startup()
    for stage in sorted(stages, key=lambda name: LIGHT.index(name) if name in LIGHT else len(LIGHT)):
        if stage in LIGHT:
            importlib.import_module("dpg.envs.mujoco_batch")
        if stage == "checkpoint":
            importlib.import_module("dpg.probes.evaluation")
            light = startup()
        importlib.import_module(f"stages.{stage}")
        if stage != "params" and not set_up:
            began = time.process_time()
            _open_run()
            set_up = time.process_time() - began
        # A store is created once in a project's life, which is most of the time that opening one in memory takes.
        found[stage] = startup(set_up)
    return Measurements(light_worker=light, stages=found)


def startup(less: float = 0.0) -> Startup:
    """This process up to now, without some of its seconds."""
    return Startup(psutil.Process().memory_info().rss, time.process_time() - less)


def _open_run() -> None:
    """Open an MLflow run in a store that vanishes with the process."""
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    client = MlflowClient(tracking_uri="sqlite:///:memory:")
    run = client.create_run(client.create_experiment("plan", artifact_location="none:"))
    client.log_metric(run.info.run_id, "metric", 0.0)
