"""What stages will do, held against what campaigns, snapshots and drawings really are."""

from itertools import product

import pytest

from dpg.agent import snapshot
from dpg.learning import campaign
from dpg.planning import counts
from dpg.planning.counts import Cell
from dpg.runtime.budgets import nearest
from dpg.runtime.config import ConfigError
from dpg.runtime.progress import Progress
from dpg.runtime.shards import ExecutionContext
from tests.pipeline.project import CELL_STAGES

ENV = "Hopper-v4"


@pytest.fixture(scope="module")
def tasks(params):
    return counts.tasks_of(params)


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_the_same_snapshots_are_studied_as_the_stage_picks(params, tasks, scale):
    cell = Cell(params.model_copy(update={"scale": scale}), tasks[ENV], "ppo")
    budget, iterations = cell.params.budget, cell.recipe.iterations
    kept = range(0, iterations + 1, budget.train.snapshot_every)
    available = [iteration for iteration in kept if iteration < iterations]
    assert cell.trained == available
    assert cell.studied == nearest(budget.checkpoint.fractions, available, iterations)
    assert cell.curve == [i for i in available if i % budget.checkpoint.curve_every == 0]


def test_training_goes_through_the_rounds_that_are_counted(make_recipe):
    """Held against `campaign.train` itself, with groups that end at different times."""
    groups = [
        group
        for timesteps, iterations in ((64, 4), (128, 2))
        for group in campaign.groups_of(
            make_recipe(iterations=iterations, common={"timesteps": timesteps}), num_agents=3, group_size=2
        )
    ]
    total = sum(group.num_pairs for group in groups)
    rounds = counts.training_rounds(groups, every=1)
    with Progress("test", total) as progress:
        happened = [len(results) for results in campaign.train(groups, 1, ExecutionContext(), progress)]
    assert [sum(load.count for load in loads) for loads in rounds] == happened
    assert sum(load.count * load.work["policy_pair"] for loads in rounds[1:] for load in loads) == total
    assert all("policy" not in load.work for load in rounds[0])


@pytest.mark.parametrize("algorithm", ["ppo", "trpo"])
def test_a_snapshot_has_the_size_that_is_counted(params, tasks, tmp_path, algorithm):
    cell = Cell(params, tasks[ENV], algorithm)
    size = snapshot.save(cell.snapshots([5], 1)[0], tmp_path).stat().st_size
    assert cell.snapshot_bytes == pytest.approx(size, rel=0.02)


def test_every_stage_of_every_cell_is_counted_once(params):
    wide = params.model_copy(update={"envs": (ENV, "Walker2d-v4"), "algorithms": ("ppo", "trpo")})
    names = [work.name for work in counts.stages(wide, counts.tasks_of(wide))]
    cells = {f"{stage}@{env}-{algorithm}" for stage, env, algorithm in product(CELL_STAGES, wide.envs, wide.algorithms)}
    others = {"params", "calibrate", "figures", "report", *(f"regimes@{env}" for env in wide.envs)}
    assert sorted(names) == sorted(cells | others)


def test_a_task_that_cannot_be_made_is_told_as_a_run_tells_it(params):
    with pytest.raises(ConfigError, match=r"params.yaml has 1 mistake:\n  envs.0 = 'Hoper-v4'"):
        counts.tasks_of(params.model_copy(update={"envs": ("Hoper-v4",)}))


def test_what_will_not_be_measured_costs_nothing(params, tasks):
    bare = params.model_copy(update={"common": params.common.model_copy(update={"baseline": "none"})})
    works = {work.stage: work for work in counts.stages(bare, tasks)}
    for stage in ("ablation", "value", "true_value", "baselines"):
        assert (works[stage].pairs, works[stage].shards) == (0, 0)
    assert works["update_gain"].pairs > 0
    assert counts.figures(bare, tasks) == counts.figures(params, tasks) - 7
