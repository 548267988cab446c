"""Measurements are bounded in number whatever the pipeline, and forecast the memory of updates ten times as large."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dpg.planning import forecast, measuring, stages
from dpg.planning.cells import UntrainedCell, tasks_of
from dpg.planning.measuring import MOST_CELLS, MOST_TASKS, MeasuringError
from dpg.planning.microbenchmarks import measure_cells
from dpg.planning.rates import Measurements, Rates, Startup
from dpg.runtime import config

ROOT = Path(__file__).parents[2]
PEAK = """
import json, sys
from dpg.planning.cells import UntrainedCell, tasks_of
from dpg.probes.landscape import PlaneShard, measure_plane
from dpg.probes.landscape_plan import LandscapeSpec, plan_planes
from dpg.runtime import config
from dpg.runtime.workers import run_task

params = config.parse(json.load(sys.stdin))
(env,), (algorithm,) = params.envs, params.algorithms
cell = UntrainedCell(params, tasks_of(params)[env], algorithm)
(shard,) = plan_planes(LandscapeSpec.of(params), cell.snapshots([0], 1))
print(run_task(measure_plane, shard).peak_memory)
"""


@pytest.mark.parametrize(("num_tasks", "num_algorithms"), [(1, 1), (3, 3), (20, 3)])
def test_no_pipeline_asks_for_more_than_some_measurements(num_tasks, num_algorithms):
    envs, algorithms = [f"T{index}-v0" for index in range(num_tasks)], ("ppo", "ppo_m", "trpo")[:num_algorithms]
    cells = [(env, algorithm) for env in envs for algorithm in algorithms]
    found = measuring.by_task(cells)
    picked = [cell for task in found for cell in task]
    assert len(picked) == len(set(picked)) <= MOST_CELLS
    assert [{env for env, _ in task} for task in found] == [{env} for env in envs[:MOST_TASKS]]


def test_cells_that_were_not_measured_take_the_rates_of_those_most_like_them():
    one, two = (Rates(seconds={"pair": value}, bytes={}) for value in (1.0, 2.0))
    measured = Measurements(rates={("A-v0", "ppo"): one, ("B-v0", "ppo"): two})
    assert measured.of("B-v0", "ppo") == measured.of("B-v0", "trpo") == two
    assert measured.of("C-v0", "ppo") == one


def test_a_task_that_fails_to_be_measured_is_reported(params):
    broken = params.model_copy(update={"modules": ("nowhere",)})
    with pytest.raises(MeasuringError, match="'nowhere' cannot be imported"):
        measuring.measure(broken, [("Hopper-v4", "ppo")], [])


@pytest.mark.slow
def test_an_algorithm_of_a_users_own_is_measured_with_its_state():
    """All kinds of work of its stages have rates; without its state, the algorithm would refuse the update."""
    yaml = YAML(typ="safe", pure=True)
    raw = yaml.load(ROOT / "params.yaml") | yaml.load(ROOT / "examples" / "kl_ppo.yaml")
    raw |= {"scale": "smoke", "envs": ["LinearQuadratic-v0"], "algorithms": ["kl_ppo"]}
    raw["modules"] = ["examples.kl_ppo"]
    raw["kl_ppo"] |= {"epochs": 1, "minibatches": 4, "value_epochs": 1}
    params = config.parse(raw)
    rates = measure_cells(raw, [("LinearQuadratic-v0", "kl_ppo")]).of("LinearQuadratic-v0", "kl_ppo")
    groups = [g for w in stages.stages(params, tasks_of(params)) if w.algorithm == "kl_ppo" for g in w.groups]
    assert {kind for group in groups for kind in group.work} <= set(rates.seconds)
    assert {kind for group in groups for kind in group.held} <= set(rates.bytes)


@pytest.fixture(scope="module")
def large(params):
    """Updates from 100,000 pairs of a task that is quick to simulate, in one epoch."""
    budget = params.budget.landscape.model_copy(update={"update_pairs": (100_000,), "grid": (2, 2)})
    scales = {**params.scales, params.scale: params.budget.model_copy(update={"landscape": budget})}
    few = {"epochs": 1, "minibatches": 4, "value_epochs": 1}
    found = params.model_copy(
        update={
            "envs": ("LinearQuadratic-v0",), "scales": scales, "ppo": params.ppo.model_copy(update=few),
            "landscape": params.landscape.model_copy(update={"step_range": (0.0, 1.0), "random_range": (0.0, 1.0)}),
        }
    )  # fmt: skip
    return found, measuring.measure(found, [("LinearQuadratic-v0", name) for name in ("ppo", "trpo")], [])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what work holds is read off peaks that can be reset")
@pytest.mark.parametrize("algorithm", ["ppo", "trpo"])
def test_the_memory_of_a_large_update_is_forecast(large, algorithm):
    """It is never far below what a process holds that makes one, and at most half above.

    The gaps that a measurement leaves in the allocator's heap count as its memory. They differ from run to run by a
    megabyte or two, here for 8,192 pairs, and so by twelve times that for 100,000.
    """
    params, measured = large
    params = params.model_copy(update={"algorithms": (algorithm,)})
    (task,) = tasks_of(params).values()
    work = stages.landscapes(UntrainedCell(params, task, algorithm))
    alone = replace(measured, stages={"landscape": Startup(resident=-work.gathered_bytes)})
    found = forecast.modelled(work, alone, jobs=2)
    worker = found.memory_bytes / found.workers
    done = subprocess.run(
        [sys.executable, "-c", PEAK],
        input=params.model_dump_json(serialize_as_any=True),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert 0.85 < worker / int(done.stdout) < 1.5
