"""Many agents in groups: who trains with whom, and that it changes nothing."""

from operator import attrgetter

import numpy as np
import pytest

from dpg.learning import campaign
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards, open_context


@pytest.fixture
def recipe(make_recipe):
    return make_recipe("ppo", iterations=3, common={"timesteps": 64})


def finish(groups, every=2):
    with open_context() as context, Progress("test", sum(group.num_pairs for group in groups)) as progress:
        return list(
            campaign.train(
                groups,
                lambda shards, then: map_shards(
                    campaign.run_shard, shards, context, progress=progress, work=attrgetter("num_pairs"), then=then
                ),
                every,
            )
        )


def test_agents_and_rates_are_cut_into_groups(recipe):
    plain = campaign.groups_of(recipe, 5, 2)
    assert [group.agents for group in plain] == [(0, 1), (2, 3), (4,)]
    assert [group.rates for group in plain] == [None] * 3
    rated = campaign.groups_of(recipe, 2, 3, rates=[0.1, 0.2])
    assert [(group.agents, group.rates) for group in rated] == [((0, 1, 0), (0.1, 0.1, 0.2)), ((1,), (0.2,))]


def test_results_come_at_the_start_every_so_often_and_at_the_end(recipe):
    results = finish(campaign.groups_of(recipe, 3, 2))
    assert [each.population.iteration for each in results] == [0, 0, 2, 2, 3, 3]
    assert [record.iteration for each in results for record in each.records if record.agent == 0] == [0, 1, 2]
    assert results[-1].population.size == 1


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


def test_workers_and_chunks_do_not_change_a_byte(recipe, monkeypatch):
    def last(every):
        return [each.population for each in finish(campaign.groups_of(recipe, 4, 2), every)[-2:]]

    monkeypatch.setenv("DPG_JOBS", "1")
    alone = last(every=3)
    monkeypatch.setenv("DPG_JOBS", "2")
    for ours, theirs in zip(last(every=1), alone, strict=True):
        np.testing.assert_array_equal(ours.policy, theirs.policy)
        np.testing.assert_array_equal(ours.value, theirs.value)


def test_a_member_with_its_own_rate_trains_as_an_agent_of_that_rate(recipe):
    together = finish(campaign.groups_of(recipe, 1, 2, rates=[1e-3, 1e-2]))[-1]
    for position, rate in enumerate((1e-3, 1e-2)):
        own = recipe.model_copy(update={"config": recipe.config.model_copy(update={"lr": rate})})
        alone = finish(campaign.groups_of(own, 1, 1))[-1]
        np.testing.assert_array_equal(together.population.policy[position], alone.population.policy[0])
    assert np.abs(together.population.policy[0] - together.population.policy[1]).max() > 1e-2
