"""The work of stages, compared with real campaigns and snapshots."""

from itertools import product

import pytest

from dpg.agent import snapshot
from dpg.learning import campaign
from dpg.planning import stages
from dpg.planning.cells import UntrainedCell, tasks_of
from dpg.planning.training import populations, regimes, training_shards
from dpg.runtime.config import ConfigError
from tests.pipeline.project import CELL_STAGES

ENV = "Hopper-v4"


@pytest.fixture(scope="module")
def tasks(params):
    return tasks_of(params)


def test_training_has_the_planned_shards(make_recipe):
    """Compared with `campaign.train` itself, with agents that end at different times."""

    def run(shards, then, together):
        while shards:
            results = [campaign.run_shard(shard) for shard in shards]
            yield from results
            shards = [shard for shard in map(then, results) if shard]

    groups = [
        group
        for timesteps, iterations in ((64, 4), (128, 2))
        for group in campaign.groups_of(
            make_recipe(iterations=iterations, common={"timesteps": timesteps}), num_agents=3, group_size=2
        )
    ]
    total = sum(group.num_pairs for group in groups)
    rounds = training_shards(groups, every=1, snapshot_bytes=0)
    happened = [result.population.iteration for result in campaign.train(groups, run, every=1)]
    assert [stop for stop, loads in enumerate(rounds) for _ in range(sum(load.count for load in loads))] == happened
    assert sum(load.count * load.work["policy_pair"] for loads in rounds[1:] for load in loads) == total
    assert all("policy" not in load.work for load in rounds[0])


@pytest.mark.parametrize(
    ("agents", "workers", "together"),
    [(4, 1, [4]), (4, 2, [2, 2]), (4, 4, [1, 1, 1, 1]), (4, 16, [1, 1, 1, 1]), (5, 2, [3, 2]), (9, 2, [4, 4, 1])],
)
def test_agents_cost_their_share_of_those_that_workers_train_together(make_recipe, agents, workers, together):
    """Four agents on four workers train alone, which takes each up to half as long again as in a group of four."""
    groups = campaign.groups_of(make_recipe(), agents, group_size=4)
    [_, loads, *_] = training_shards(populations(groups, workers), every=1, snapshot_bytes=0)
    assert [load.count for load in loads] == together
    assert [1 / load.work["policy"] for load in loads] == pytest.approx(together)


def test_all_trainings_are_forecast_for_the_workers(params, tasks):
    """Also regimes, where the sizes and rates of a task share the workers."""
    one, many = (
        {work.stage: work for work in [*stages.stages(params, tasks, workers), regimes(params, tasks[ENV], workers)]}
        for workers in (1, 1000)
    )
    for stage in ("train", "ablation", "regimes"):
        most, least = (max(load.work["step"] for load in works[stage].groups) for works in (many, one))
        assert most > least, stage
        assert (one[stage].shards, one[stage].pairs) == (many[stage].shards, many[stage].pairs)


@pytest.mark.parametrize("algorithm", ["ppo", "trpo"])
def test_snapshot_bytes_are_those_of_a_saved_snapshot(params, tasks, tmp_path, algorithm):
    cell = UntrainedCell(params, tasks[ENV], algorithm)
    size = snapshot.save(cell.snapshots([5], 1)[0], tmp_path).stat().st_size
    assert cell.snapshot_bytes == pytest.approx(size, rel=0.02)


def test_every_stage_of_every_cell_is_counted_once(params):
    wide = params.model_copy(update={"envs": (ENV, "Walker2d-v4"), "algorithms": ("ppo", "trpo")})
    names = [work.name for work in stages.stages(wide, tasks_of(wide))]
    cells = {f"{stage}@{env}-{algorithm}" for stage, env, algorithm in product(CELL_STAGES, wide.envs, wide.algorithms)}
    others = {"params", "calibrate", "figures", "report", *(f"regimes@{env}" for env in wide.envs)}
    assert sorted(names) == sorted(cells | others)


def test_a_task_that_cannot_be_made_is_reported_as_a_run_reports_it(params):
    with pytest.raises(ConfigError, match=r"params.yaml has 1 mistake:\n  envs.0 = 'Hoper-v4'"):
        tasks_of(params.model_copy(update={"envs": ("Hoper-v4",)}))


def test_what_will_not_be_measured_costs_nothing(params, tasks):
    bare = params.model_copy(update={"common": params.common.model_copy(update={"baseline": "none"})})
    works = {work.stage: work for work in stages.stages(bare, tasks)}
    for stage in ("ablation", "value", "true_value", "baselines"):
        assert (works[stage].pairs, works[stage].shards) == (0, 0)
    assert works["update_gain"].pairs > 0


def test_a_target_error_leaves_the_forecast_at_the_most(params, tasks):
    """Where points stop is not known beforehand; the forecast is approximate, and its memory holds all the episodes."""
    plane = params.landscape.model_copy(update={"target_error": 0.02})
    fixed, target = (
        stages.landscapes(UntrainedCell(each, tasks[ENV], "ppo"))
        for each in (params, params.model_copy(update={"landscape": plane}))
    )
    assert target.approximate
    assert (target.pairs, target.shards) == (fixed.pairs, fixed.shards)
    assert target.gathered_bytes > fixed.gathered_bytes
