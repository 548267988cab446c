"""What the processes of stages hold before any work: `python -m dpg.planning.footprint STAGE...`, parameters on stdin.

A rung for every stage. The stages' own modules are imported one after the other into one process, the lighter first,
and a run is opened in an MLflow store in memory, as each stage opens one.
"""

import importlib
import logging
import sys
import time

from pydantic import BaseModel, ConfigDict

from dpg.envs.make import make_vector
from dpg.planning import memory
from dpg.runtime.schema import Params

# In the order of what they import; those that are not listed are the heaviest.
LIGHT_FIRST = ("params", "checkpoint")
UNTRACKED = ("params",)
# The share of a calibration's value checks that is measured, and what all checks take for every second of those.
PART, ALL = 8, 2.4


class Footprint(BaseModel):
    """By stage: bytes that its process holds, and core seconds until it can begin. `tracking` is MLflow's share."""

    model_config = ConfigDict(frozen=True)

    resident: dict[str, int]
    seconds: dict[str, float]
    tracking: int


def measure(stages: list[str], params: Params) -> Footprint:
    """Import the stages' modules in turn; the stage that checks the parameters makes every task as well."""
    resident: dict[str, int] = {}
    seconds: dict[str, float] = {}
    tracking = set_up = 0.0
    for stage in sorted(stages, key=lambda name: LIGHT_FIRST.index(name) if name in LIGHT_FIRST else len(LIGHT_FIRST)):
        importlib.import_module(f"stages.{stage}")
        if stage not in UNTRACKED and not tracking:
            before, began = memory.resident(), time.process_time()
            open_run()
            tracking, set_up = memory.resident() - before, time.process_time() - began
        resident[stage] = memory.resident()
        # A store is set up once in a project's life; most of the time that opening one in memory takes is that.
        seconds[stage] = time.process_time() - set_up
    if "params" in stages:
        resident["params"] += _tasks(params)
    if "calibrate" in stages:
        seconds["calibrate"] += _calibration()
    return Footprint(resident=resident, seconds=seconds, tracking=int(tracking))


def _tasks(params: Params) -> int:
    """Bytes that making every task adds."""
    before = memory.resident()
    for env in params.envs:
        make_vector(env, 1, params.common.env_modules).close()
    return memory.resident() - before


def _calibration() -> float:
    """Core seconds of a calibration, from a small part of it."""
    from dpg.probes import calibration

    began = time.process_time()
    calibration.value_checks(0, calibration.MIN_STREAMS // PART)
    return (time.process_time() - began) * PART * ALL


def open_run() -> None:
    """Open an MLflow run in a store that vanishes with the process."""
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    client = MlflowClient(tracking_uri="sqlite:///:memory:")
    run = client.create_run(client.create_experiment("plan", artifact_location="none:"))
    client.log_metric(run.info.run_id, "metric", 0.0)


def main() -> None:
    """Measure the stages that the command line names, for the parameters on standard input."""
    reply, sys.stdout = sys.stdout, sys.stderr
    params = Params.model_validate_json(sys.stdin.read())
    print(measure(sys.argv[1:], params).model_dump_json(), file=reply)


if __name__ == "__main__":
    main()
