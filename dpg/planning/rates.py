"""What is measured on this machine: rates of the kinds of work, and the cost of starting processes.

Kinds of work, in core seconds each:

- `step`, `pair`: a step of a vector of environments, and each pair that it collects
- `prepare`: a pair that is normalised, valued, and given its advantage
- `policy`, `policy_pair`: an update of policies, and a pair in it; `value`, `value_pair`: of value nets
- `score`, `compare`: a pair whose scores are summed, for one baseline and for all
- `fit`: a pair in an epoch of the true value function's fit; `surrogate`: a pair at a point of a plane

Memory of a pair, in bytes: `raw` as the environment gave it, `batch` as updates see it, and under the names above the
temporaries of that work.
"""

import importlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psutil

LIGHT = ("params", "checkpoint")  # stages, in the order of what they import; all others are heavier


@dataclass(frozen=True)
class Rates:
    """Of one cell: core seconds by kind of work, and bytes by what is held of a pair."""

    seconds: Mapping[str, float]
    bytes: Mapping[str, float]


@dataclass(frozen=True)
class Startup:
    """A process before any work: its resident bytes, and the core seconds until then."""

    resident: int = 0
    seconds: float = 0.0


def startup() -> Startup:
    """This process up to now."""
    return Startup(psutil.Process().memory_info().rss, time.process_time())


@dataclass(frozen=True)
class Measurements:
    """Rates by task and algorithm, and the start of workers and of each stage's process.

    `light_worker` runs whole episodes, which need no PyTorch.
    """

    rates: Mapping[tuple[str, str], Rates] = field(default_factory=dict)
    worker: Startup = Startup()
    light_worker: Startup = Startup()
    stages: Mapping[str, Startup] = field(default_factory=dict)

    def of(self, env: str, algorithm: str) -> Rates:
        """The rates of a cell; of one that was not measured, those of another of its task, or of any."""
        same_task = [cell for cell in self.rates if cell[0] == env] or list(self.rates)
        return self.rates[(env, algorithm) if (env, algorithm) in self.rates else same_task[0]]


def measure_stages(stages: Sequence[str]) -> Measurements:
    """The processes of stages, whose modules a fresh process imports in turn, with what opens a run in MLflow."""
    found, light = dict[str, Startup](), Startup()
    for stage in sorted(stages, key=lambda name: LIGHT.index(name) if name in LIGHT else len(LIGHT)):
        if stage in LIGHT:
            importlib.import_module("dpg.envs.mujoco_batch")
        if stage == "checkpoint":
            importlib.import_module("dpg.probes.evaluation")
            light = startup()
        importlib.import_module(f"stages.{stage}")
        if stage != "params":
            importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
        found[stage] = startup()
    return Measurements(light_worker=light, stages=found)
