"""What stages' processes hold before any work: `python -m dpg.planning.footprint`, a request as JSON on standard input.

The stages' own modules are imported one after the other, the lighter first, and a run is opened in an MLflow store in
memory, as each stage opens one.
"""

import importlib
import logging
import sys
import time

import psutil

from dpg.planning.rates import Process, Reply, Request

# In the order of what they import; those that are not listed are the heaviest.
LIGHT = ("params", "checkpoint")


def measure(request: Request) -> Reply:
    """Import the stages' modules in turn."""
    found: dict[str, Process] = {}
    set_up, light = 0.0, Process(resident=0, seconds=0.0)
    for stage in sorted(request.stages, key=lambda name: LIGHT.index(name) if name in LIGHT else len(LIGHT)):
        if stage in LIGHT:
            importlib.import_module("dpg.envs.mujoco_batch")
        if stage == "checkpoint":
            importlib.import_module("dpg.probes.evaluation")
            light = _now()
        importlib.import_module(f"stages.{stage}")
        if stage != "params" and not set_up:
            began = time.process_time()
            _open_run()
            set_up = time.process_time() - began
        # A store is set up once in a project's life; most of the time that opening one in memory takes is that.
        found[stage] = _now(set_up)
    return Reply(stages=found, light_worker=light)


def _now(less: float = 0.0) -> Process:
    return Process(resident=psutil.Process().memory_info().rss, seconds=time.process_time() - less)


def _open_run() -> None:
    """Open an MLflow run in a store that vanishes with the process."""
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    client = MlflowClient(tracking_uri="sqlite:///:memory:")
    run = client.create_run(client.create_experiment("plan", artifact_location="none:"))
    client.log_metric(run.info.run_id, "metric", 0.0)


def main() -> None:
    """Read a request, measure, reply."""
    reply, sys.stdout = sys.stdout, sys.stderr
    request = Request.model_validate_json(sys.stdin.read())
    print(measure(request).model_dump_json(), file=reply)


if __name__ == "__main__":
    main()
