"""Measurements are bounded in number whatever the pipeline, and tell the memory of updates ten times the usual size."""

import subprocess
import sys

import loky
import pytest

from dpg.planning import counts, forecast, rates
from dpg.planning.counts import Cell
from dpg.planning.rates import MOST_CELLS, MOST_TASKS, MeasuringError, Process, Rates, Reply

PEAK = """
import sys
from dpg.planning.counts import Cell, tasks_of
from dpg.probes.landscape import PlaneShard, measure_plane
from dpg.probes.survey import Survey, plan_planes
from dpg.runtime.schema import Params
from dpg.runtime.workers import run_task

params = Params.model_validate_json(sys.stdin.read())
(env,), (algorithm,) = params.envs, params.algorithms
cell = Cell(params, tasks_of(params)[env], algorithm)
((shard,),) = plan_planes(Survey.of(params), cell.snapshots([0], 1))
print(run_task(measure_plane, shard).peak_memory)
"""


@pytest.mark.parametrize(("num_tasks", "num_algorithms"), [(1, 1), (3, 3), (20, 3)])
def test_no_pipeline_asks_for_more_than_some_measurements(params, num_tasks, num_algorithms):
    envs, algorithms = [f"T{index}-v0" for index in range(num_tasks)], ("ppo", "ppo_m", "trpo")[:num_algorithms]
    cells = [(env, algorithm) for env in envs for algorithm in algorithms]
    asked = rates.requests(params, cells, ["train", "figures", "report"])
    assert [request.stages for request in asked if request.stages] == [("train",), ("figures", "report")]
    shares = [request.cells for request in asked if request.cells]
    picked = [cell for share in shares for cell in share]
    assert len(picked) == len(set(picked)) == min(len(cells), MOST_CELLS)
    assert len({env for env, _ in picked}) == min(num_tasks, MOST_TASKS)
    assert len(shares) <= loky.cpu_count()


def test_cells_that_were_not_measured_take_the_rates_of_those_most_like_them():
    one, two = (Rates(seconds={"pair": value}, bytes={}) for value in (1.0, 2.0))
    reply = Reply(rates={"A-v0 ppo": one, "B-v0 ppo": two})
    assert reply.of("B-v0", "ppo") == reply.of("B-v0", "trpo") == two
    assert reply.of("C-v0", "ppo") == one


def test_a_task_that_fails_to_be_measured_is_told(params):
    broken = params.model_copy(update={"common": params.common.model_copy(update={"modules": ("nowhere",)})})
    with pytest.raises(MeasuringError, match="'nowhere' cannot be imported"):
        rates.measure(broken, [("Hopper-v4", "ppo")], [])


@pytest.fixture(scope="module")
def large(params):
    """Updates from 100,000 pairs of a task that is quick to simulate, in one epoch."""
    budget = params.budget.landscape.model_copy(update={"update_pairs": (100_000,), "grid": (2, 2)})
    scales = params.scales.model_copy(update={params.scale: params.budget.model_copy(update={"landscape": budget})})
    few = {"epochs": 1, "minibatches": 4, "value_epochs": 1}
    found = params.model_copy(
        update={
            "envs": ("LinearQuadratic-v0",), "scales": scales, "ppo": params.ppo.model_copy(update=few),
            "landscape": params.landscape.model_copy(update={"step_range": (0.0, 1.0), "random_range": (0.0, 1.0)}),
        }
    )  # fmt: skip
    return found, rates.measure(found, [("LinearQuadratic-v0", name) for name in ("ppo", "trpo")], [])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what work holds is read off peaks that can be reset")
@pytest.mark.parametrize("algorithm", ["ppo", "trpo"])
def test_the_memory_of_a_large_update_is_foretold(large, algorithm):
    """Within 30 % of what a process holds that makes one."""
    params, measured = large
    params = params.model_copy(update={"algorithms": (algorithm,)})
    (task,) = counts.tasks_of(params).values()
    work = counts.landscapes(Cell(params, task, algorithm))
    reply = measured.model_copy(update={"stages": {"landscape": Process(resident=-work.held_bytes, seconds=0.0)}})
    found = forecast.modelled(work, reply, jobs=2)
    worker = found.memory_bytes / found.workers
    done = subprocess.run(
        [sys.executable, "-c", PEAK], input=params.model_dump_json(), capture_output=True, encoding="utf-8", check=True
    )
    assert worker == pytest.approx(int(done.stdout), rel=0.3)
