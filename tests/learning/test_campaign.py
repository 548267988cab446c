"""Many agents: who trains with whom, and that it changes nothing."""

from contextlib import suppress
from copy import copy
from functools import partial
from itertools import islice
from operator import attrgetter

import numpy as np
import pytest

from dpg.envs import mujoco_batch
from dpg.envs.errors import EnvError
from dpg.learning import campaign
from dpg.learning.training import DivergenceError
from dpg.runtime import serialization
from dpg.runtime.progress import Progress
from dpg.runtime.shard_cache import open_shard_cache
from dpg.runtime.shards import ExecutionContext, map_shards
from dpg.runtime.workers import Workers


@pytest.fixture
def recipe(make_recipe):
    return make_recipe("ppo", iterations=3, common={"timesteps": 64})


class Recorder(Workers):
    """This process in place of `width` others, with the agents of every task."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.tasks: list[list[int]] = []

    def submit(self, function, shard, avoid=()):
        shards = [shard] if isinstance(shard, campaign.TrainingShard) else shard
        self.tasks.append([agent for each in shards for agent in each.group.agents])
        return super().submit(function, shard, avoid)


def begin(groups, every=2, workers=None, cache=None):
    context = ExecutionContext(workers or Workers(), cache)
    with Progress("test", sum(group.num_pairs for group in groups)) as progress:
        work = attrgetter("num_pairs")
        run = partial(map_shards, campaign.run_shard, context=context, progress=progress, work=work)
        yield from campaign.train(groups, run, every)


def finish(groups, every=2, workers=None, cache=None):
    return list(begin(groups, every, workers, cache))


def test_agents_and_rates_are_cut_into_groups(recipe):
    plain = campaign.groups_of(recipe, 5, 2)
    assert [group.agents for group in plain] == [(0, 1), (2, 3), (4,)]
    assert [group.rates for group in plain] == [None] * 3
    rated = campaign.groups_of(recipe, 2, 3, rates=[0.1, 0.2])
    assert [(group.agents, group.rates) for group in rated] == [((0, 1, 0), (0.1, 0.1, 0.2)), ((1,), (0.2,))]


def test_results_come_at_the_start_every_so_often_and_at_the_end(recipe):
    results = finish(campaign.groups_of(recipe, 3, 2))
    assert [each.population.iteration for each in results] == [0, 0, 0, 2, 2, 2, 3, 3, 3]
    assert [each.group.agents for each in results] == 3 * [(0,), (1,), (2,)]
    assert [record.iteration for each in results for record in each.records if record.agent == 1] == [0, 1, 2]
    assert all(each.population.size == 1 for each in results)


def test_a_group_reports_ten_times_where_nothing_else_is_asked_for(recipe):
    (group,) = campaign.groups_of(recipe.model_copy(update={"iterations": 45}), 1, 1)
    assert campaign.stops(group) == [*range(0, 45, 4), 45]
    (short,) = campaign.groups_of(recipe, 1, 1)
    assert campaign.stops(short) == [0, 1, 2, 3]


def test_a_group_that_is_done_is_left_out(recipe):
    short = recipe.model_copy(update={"iterations": 1})
    results = finish([*campaign.groups_of(short, 1, 1), *campaign.groups_of(recipe, 1, 1)], every=1)
    assert [(each.group.recipe.iterations, each.population.iteration) for each in results] == [
        (1, 0), (3, 0), (1, 1), (3, 1), (3, 2), (3, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [4, 2])
def test_workers_share_the_agents_and_do_not_change_a_byte(recipe, limit):
    """Two, four or sixteen workers end together, as far as there are agents for them."""
    groups = campaign.groups_of(recipe, 4, limit)
    expected = None
    for width in (1, 2, 4, 16):
        workers = Recorder(width)
        found = serialization.to_bytes(finish(groups, workers=workers))
        assert found == (expected := expected or found)
        size = min(limit, max(1, 4 // width))
        assert {len(task) for task in workers.tasks} == {size}
        assert len(workers.tasks) == 3 * 4 // size


def test_stops_do_not_change_a_byte(recipe):
    groups = campaign.groups_of(recipe, 2, 2)
    for ours, theirs in zip(finish(groups, every=1)[-2:], finish(groups, every=3)[-2:], strict=True):
        np.testing.assert_array_equal(ours.population.policy, theirs.population.policy)
        np.testing.assert_array_equal(ours.population.value, theirs.population.value)


def test_a_training_goes_on_with_another_number_of_workers(recipe, tmp_path, monkeypatch):
    """What is kept of a run that ended early are agents, whoever they trained with."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    groups = campaign.groups_of(recipe, 4, 4)
    with suppress(InterruptedError), open_shard_cache("train", "a", {}) as cache:
        list(islice(begin(groups, workers=Recorder(2), cache=cache), 6))
        raise InterruptedError
    workers = Recorder(4)
    with open_shard_cache("train", "a", {}) as cache:
        resumed = finish(groups, workers=workers, cache=cache)
    assert 1 <= len(workers.tasks) < 4 * 3 - 5
    assert serialization.to_bytes(resumed) == serialization.to_bytes(finish(groups))


@pytest.mark.parametrize("width", [1, 2, 4])
def test_the_error_is_that_of_the_first_agent_that_diverges_whoever_trains_with_it(recipe, width):
    """Two of four agents diverge, the second of them earlier in its own training if it were looked at first."""
    groups = campaign.groups_of(recipe, 1, 4, rates=[1e-3, 1e3, 1e-2, 1e4])
    with pytest.raises(DivergenceError, match=r"agent 0, iteration 0: the update moved .* KL") as caught:
        finish(groups, workers=Recorder(width))
    alone = campaign.groups_of(recipe, 1, 1, rates=[1e3])
    with pytest.raises(DivergenceError) as expected:
        finish(alone)
    assert str(caught.value) == str(expected.value)


def test_an_error_names_sample_size_agent_and_rate(recipe):
    """Agents of all sample sizes and rates of a task have the same numbers."""
    small = recipe.model_copy(update={"common": recipe.common.model_copy(update={"timesteps": 32})})
    groups = campaign.groups_of(recipe, 1, 4, rates=[1e-3]) + campaign.groups_of(small, 2, 4, rates=[1e-3, 1e3])
    named = "^InvertedPendulum-v5 ppo, 32 pairs an iteration, agent 0 at rate 1000, iterations 0 to 2: agent 0, iter"
    with pytest.raises(DivergenceError, match=named):
        finish(groups)


def test_an_error_of_the_simulation_names_the_agent(make_recipe, monkeypatch):
    """Retried alone, every agent's simulation is number 0."""
    recipe = make_recipe("ppo", env_id="Hopper-v4", common={"timesteps": 64})
    model = mujoco_batch._model("hopper.xml")
    monkeypatch.setattr(mujoco_batch, "_model", lambda _: broken)
    broken = copy(model)
    broken.opt.integrator = 77
    named = "^Hopper-v4 ppo, 64 pairs an iteration, agent 3, iterations 0 to 0: Hopper-v4: MuJoCo raised in 1 of 1"
    with pytest.raises(EnvError, match=named):
        finish([campaign.Group(recipe, (3, 5))])


def test_a_member_with_its_own_rate_trains_as_an_agent_of_that_rate(recipe):
    found = finish(campaign.groups_of(recipe, 1, 2, rates=[1e-3, 1e-2]))[-2:]
    for together, rate in zip(found, (1e-3, 1e-2), strict=True):
        own = recipe.model_copy(update={"config": recipe.config.model_copy(update={"lr": rate})})
        alone = finish(campaign.groups_of(own, 1, 1))[-1]
        np.testing.assert_array_equal(together.population.policy, alone.population.policy)
    assert np.abs(found[0].population.policy - found[1].population.policy).max() > 1e-2
