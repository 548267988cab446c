"""What is foretold of the stages, held against what the stages and probes themselves make."""

from dataclasses import fields
from itertools import product

import numpy as np
import pytest

from dpg.agent import snapshot
from dpg.agent.snapshot import Recipe
from dpg.learning import campaign
from dpg.learning.training import Record
from dpg.planning import stand_ins, workload
from dpg.planning.cell import Cell
from dpg.planning.tables import cell_tables
from dpg.planning.tables import regimes as regimes_table
from dpg.probes import baselines, evaluation, gradient, true_value, update_step, value
from dpg.runtime.config import ConfigError
from dpg.runtime.progress import Progress
from dpg.runtime.schema import nearest
from dpg.runtime.shards import Workshop
from stages.training import write_history
from tests.pipeline.project import CELL_STAGES

ENV = "Hopper-v4"


@pytest.fixture(scope="module")
def tasks(params):
    return stand_ins.tasks_of(params)


@pytest.fixture
def cell(params, tasks):
    """A cell at a scale."""
    return lambda scale="smoke", algorithm="ppo": Cell(
        params.model_copy(update={"scale": scale}), tasks[ENV], algorithm
    )


def pairs_of(loads) -> float:
    return sum(load.count * load.work[1] for load in loads)


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_the_same_snapshots_are_studied_as_the_stage_picks(cell, scale):
    foretold = cell(scale)
    budget, iterations = foretold.params.budget, foretold.recipe.iterations
    kept = range(0, iterations + 1, budget.train.snapshot_every)
    available = [iteration for iteration in kept if iteration < iterations]
    assert foretold.trained == available
    assert foretold.studied == nearest(budget.checkpoint.fractions, available, iterations)
    assert foretold.curve == [i for i in available if i % budget.checkpoint.curve_every == 0]


@pytest.mark.parametrize("scale", ["smoke", "laptop"])
def test_probes_count_the_pairs_of_their_own_shards(cell, scale):
    foretold = cell(scale)
    budget, seed = foretold.params.budget, foretold.params.seed
    studied = foretold.snapshots(foretold.studied)
    shards = gradient.plan(studied, budget.gradient, seed)
    found = workload.gradients(foretold)
    assert found.pairs == sum(shard.num_pairs for shard in shards) == pairs_of(found.loads)
    assert sum(load.count for load in found.loads) == len(shards)
    heldout = [value.Shard(s, budget.value.heldout_pairs, seed) for s in foretold.snapshots(foretold.curve)]
    found = workload.values(foretold)
    assert found.pairs == sum(shard.num_pairs for shard in heldout) == pairs_of(found.loads)
    found, budgeted = workload.true_values(foretold), budget.true_value
    fits = [true_value.Shard(s, budgeted.pairs, foretold.params.true_value, seed) for s in studied]
    assert found.pairs == sum(shard.num_pairs for shard in fits) == pairs_of(found.rounds[0])
    assert found.episodes == len(studied) * budgeted.states * budgeted.rollouts
    found, vectors = workload.baseline_estimates(foretold), [s.state.value[0] for s in studied]
    estimates = baselines.plan(studied, vectors, budget.baselines, seed)
    assert found.pairs == sum(shard.num_pairs for shard in estimates) == pairs_of(found.loads)
    shards = update_step.plan(foretold.snapshots(foretold.curve), budget.update_step.updates, seed)
    found = workload.update_steps(foretold)
    assert found.pairs == sum(shard.num_pairs for shard in shards) == pairs_of(found.loads)
    planned = evaluation.plan(studied, budget.checkpoint.eval_episodes, seed)
    assert workload.checkpoint(foretold).episodes == sum(shard.num_episodes for shard in planned)


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
@pytest.mark.parametrize("stage", ["train", "ablation", "regimes"])
def test_trainings_count_the_pairs_and_rounds_of_the_campaign(tasks, cell, scale, stage):
    """Shards and rounds are those that `campaign.train` goes through; the first round collects and learns nothing."""
    foretold = cell(scale)
    budget = foretold.params.budget
    if stage == "regimes":
        found = workload.regimes(foretold.params, tasks[ENV])
        groups = campaign.regimes(foretold.params, ENV)
        every = campaign.every_tenth(groups)
    else:
        found = getattr(workload, stage)(foretold)
        recipe = Recipe.of(foretold.params, ENV, "ppo", budget.train.iterations)
        groups = campaign.groups_of(recipe, budget.train.agents, budget.train.group_size)
        every = budget.train.snapshot_every
    rounds = [
        [min(until, group.recipe.iterations) - start for group in groups if start < group.recipe.iterations]
        for start, until in ((s, s + every) for s in range(0, max(g.recipe.iterations for g in groups), every))
    ]
    assert found.pairs == sum(group.num_pairs for group in groups)
    assert pairs_of(load for loads in found.rounds[1:] for load in loads) == found.pairs
    assert [sum(load.count for load in loads) for loads in found.rounds] == [len(groups), *map(len, rounds)]
    assert all(load.work[2] == 0 for load in found.rounds[0])


def test_training_really_goes_through_the_rounds_that_are_foretold(make_recipe):
    """Held against `campaign.train` itself, with groups that end at different times."""
    groups = [
        group
        for timesteps, iterations in ((64, 4), (128, 2))
        for group in campaign.groups_of(
            make_recipe(iterations=iterations, common={"timesteps": timesteps}), num_agents=3, group_size=2
        )
    ]
    total = sum(group.num_pairs for group in groups)
    foretold = workload.training_rounds(groups, every=1)
    with Progress("test", total) as progress:
        happened = [len(results) for results in campaign.train(groups, 1, Workshop(), progress)]
    assert [sum(load.count for load in loads) for loads in foretold] == happened


@pytest.mark.parametrize("algorithm", ["ppo", "trpo"])
def test_a_snapshot_has_the_size_that_is_foretold(cell, tmp_path, algorithm):
    foretold = cell(algorithm=algorithm)
    (made,) = foretold.snapshots([4], agents=1)
    size = snapshot.save(made, tmp_path).stat().st_size
    assert foretold.snapshot_bytes == pytest.approx(size, abs=16)  # digits of the iteration


def test_histories_have_the_size_that_is_foretold(cell, params, tmp_path):
    """Within a few percent of a table that the stages' own writer wrote from made-up numbers."""
    foretold = cell("laptop")
    rows = cell_tables(foretold, np.random.default_rng(1))["history"]
    records = [
        (foretold.owner, Record(**{field.name: row[field.name] for field in fields(Record)}))
        for row in rows.to_dict("records")
    ]
    write_history(records, tmp_path)
    size = (tmp_path / "history.csv").stat().st_size
    assert workload.ablation(foretold).output_bytes == pytest.approx(size, rel=0.05)


def test_stand_in_tables_have_the_rows_that_are_foretold(cell):
    foretold = cell("laptop")
    budget = foretold.params.budget
    tables = cell_tables(foretold, np.random.default_rng(0))
    snapshots = budget.train.agents * len(foretold.studied)
    assert len(tables["history"]) == budget.train.agents * budget.train.iterations
    assert len(tables["similarity"]) == 2 * len(budget.gradient.sizes) * snapshots
    landscapes = len(foretold.studied) * len(budget.landscape.update_pairs)
    budgets = len(budget.landscape.concentration) + 1
    assert len(tables["landscape"]) == 49 * landscapes
    assert len(tables["concentration"]) == 49 * landscapes * budgets
    assert len(tables["resolution"]) == landscapes * budgets
    assert len(tables["alignment"]) == landscapes
    rows = regimes_table(foretold.params, ENV, np.random.default_rng(0))
    regimes = budget.regimes
    assert len(rows) == regimes.agents * len(regimes.rates) * sum(regimes.total_pairs // t for t in regimes.timesteps)


def test_every_stage_of_every_cell_is_there(params):
    wide = params.model_copy(update={"envs": ("Hopper-v4", "Walker2d-v4"), "algorithms": ("ppo", "trpo")})
    names = [work.name for work in workload.stages(wide, stand_ins.tasks_of(wide))]
    cells = {f"{stage}@{env}-{algorithm}" for stage, env, algorithm in product(CELL_STAGES, wide.envs, wide.algorithms)}
    assert sorted(names) == sorted(
        cells | {"params", "calibrate", "figures", "report", "regimes@Hopper-v4", "regimes@Walker2d-v4"}
    )


def test_a_task_that_cannot_be_made_is_told_as_a_run_tells_it(params):
    with pytest.raises(ConfigError, match=r"params.yaml has 1 mistake:\n  envs.0 = 'Hoper-v4'"):
        stand_ins.tasks_of(params.model_copy(update={"envs": ("Hoper-v4",)}))
