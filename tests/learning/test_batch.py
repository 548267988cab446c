"""What an agent learns from: bootstrap values, cuts, reward units, minibatches."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from dpg.agent import gaussian, networks
from dpg.agent.normalization import Moments, update
from dpg.agent.population import Population
from dpg.learning.batch import Batch, estimate_values, prepare, scale_reward
from dpg.learning.value_fit import update_value
from dpg.runtime.seeding import Seed
from dpg.streams.advantages import gae

# Two agents with two streams each. Stream 0 terminates at 3 and is cut; 1 is truncated at 5 and terminates at its last
# pair; 2 is truncated at its last pair; 3 is cut.
ENDS = {"terminated": ((0, 3), (1, 11)), "truncated": ((1, 5), (2, 11))}


@pytest.fixture
def population(make_population) -> Population:
    fresh = make_population(2)
    seen = np.random.default_rng(1).normal(0.5, 2.0, (2, 50, 3))
    return replace(fresh, obs_moments=update(fresh.obs_moments, seen))


@pytest.fixture
def streams(make_streams):
    return make_streams(4, 12, **ENDS)


@pytest.fixture
def recipe(make_recipe):
    return make_recipe("ppo_m")


def value_at(population: Population, member: int, obs: np.ndarray) -> float:
    """One agent's value of one observation, the slow way."""
    moments = population.obs_moments
    scaled = (obs - moments.mean[member]) / np.sqrt(moments.variance[member] + 1e-8)
    arrays = population.architecture.value_layout.unflatten(population.value[member].astype(np.float64))
    return float(networks.mlp(arrays, scaled[None], "tanh")[0, 0])


@pytest.mark.parametrize("time_limit", ["bootstrap", "terminal"])
def test_what_follows_a_pair_is_worth_what_it_should_be(population, streams, recipe, time_limit):
    """Zero after a termination; the value of the lost observation after a truncation, unless those count as ends; the
    value of the next observation at a cut, always."""
    common = recipe.common.model_copy(update={"time_limit": time_limit})
    found = estimate_values(population, streams, common, recipe.config)
    end_obs = {tuple(at): obs for at, obs in zip(streams.end_at.tolist(), streams.end_obs, strict=True)}
    for stream in range(4):
        member = stream // 2
        for t in range(12):
            if streams.terminated[stream, t] or (time_limit == "terminal" and streams.truncated[stream, t]):
                expected = 0.0
            elif (stream, t) in end_obs:
                expected = value_at(population, member, end_obs[stream, t])
            else:
                expected = value_at(population, member, streams.obs[stream, t + 1])
            assert found.next_value[stream, t] == pytest.approx(expected, rel=1e-4, abs=1e-5), (stream, t)
            here = value_at(population, member, streams.obs[stream, t])
            assert found.value[stream, t] == pytest.approx(here, rel=1e-4, abs=1e-5)


def test_streams_that_all_terminate_need_no_bootstrap_value(population, make_streams, recipe):
    streams = make_streams(2, 6, terminated=((0, 5), (1, 5)))
    found = estimate_values(population, streams, recipe.common, recipe.config)
    np.testing.assert_array_equal(found.next_value[:, -1], [0, 0])


@pytest.mark.parametrize("pairs", [3, 4, 5, 6, 11, 12])
@pytest.mark.parametrize("time_limit", ["bootstrap", "terminal"])
def test_the_advantage_of_the_first_pairs_is_that_of_the_shortened_streams(
    population, streams, recipe, pairs, time_limit
):
    common = recipe.common.model_copy(update={"time_limit": time_limit})
    cut = estimate_values(population, streams, common, recipe.config).advantage(common, pairs)
    shortened = estimate_values(population, streams.head(pairs), common, recipe.config).advantage(common)
    np.testing.assert_allclose(cut, shortened, rtol=1e-5, atol=1e-6)


def test_rewards_are_scaled_by_each_agents_own_return_deviation_then_clipped(population, make_recipe):
    moments = Moments(np.full(2, 9.0), np.array([[5.0], [5.0]]), np.array([[4.0], [100.0]]))
    seen, reward = replace(population, return_moments=moments), np.array([[8.0, -60.0], [8.0, -60.0]])
    scaled = make_recipe("ppo", config={"reward_scaling": True, "reward_clip": 10.0}).config
    np.testing.assert_allclose(scale_reward(seen, reward, scaled), [[4.0, -10.0], [0.8, -6.0]])
    clipped = make_recipe("ppo", config={"reward_scaling": False, "reward_clip": 10.0}).config
    np.testing.assert_allclose(scale_reward(seen, reward, clipped), [[8.0, -10.0], [8.0, -10.0]])
    plain = make_recipe("ppo", config={"reward_scaling": False, "reward_clip": None}).config
    np.testing.assert_array_equal(scale_reward(seen, reward, plain), reward)


def test_a_batch_holds_the_agents_pairs_in_order_with_gae_and_its_target(population, streams, recipe):
    batch = prepare(population, streams, recipe.common, recipe.config)
    estimates = estimate_values(population, streams, recipe.common, recipe.config)
    advantage = gae(
        streams.reward,
        estimates.value,
        estimates.next_value,
        streams.done,
        recipe.common.gamma,
        recipe.common.gae_lambda,
    )
    np.testing.assert_allclose(batch.advantage.numpy(), advantage.reshape(2, 24), rtol=1e-5)
    np.testing.assert_allclose(batch.value_target.numpy(), (estimates.value + advantage).reshape(2, 24), rtol=1e-5)
    np.testing.assert_array_equal(batch.action.numpy(), streams.action.reshape(2, 24, 2))
    np.testing.assert_array_equal(batch.obs.numpy(), population.normalize_obs(streams.obs.reshape(2, 24, 3)))


def test_old_log_probabilities_are_those_of_the_policy_that_acted(population, streams, recipe):
    batch = prepare(population, streams, recipe.common, recipe.config)
    layout = population.architecture.policy_layout
    for member in range(2):
        arrays = layout.unflatten(population.policy[member].astype(np.float64))
        mean = networks.mlp(arrays, batch.obs[member].numpy().astype(np.float64), "tanh")
        expected = gaussian.log_prob(mean, arrays["log_std"], batch.action[member].numpy())
        np.testing.assert_allclose(batch.old_log_prob[member].numpy(), expected, rtol=1e-5)
        np.testing.assert_allclose(batch.old_mean[member].numpy(), mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(batch.old_log_std[member].numpy(), arrays["log_std"])


@pytest.fixture
def numbered() -> Batch:
    """Ten pairs for each of two agents; pair i holds the number i everywhere."""
    number = torch.arange(10.0).expand(2, 10)
    wide = number[..., None].expand(2, 10, 3)
    return Batch(wide, wide, number, number, number, wide, torch.zeros(2, 3), number)


def generators(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def test_an_epoch_visits_every_pair_once_in_nearly_equal_parts(numbered):
    parts = list(numbered.minibatches(generators(1, 2), 4))
    assert sorted(part.obs.shape[1] for part in parts) == [2, 2, 3, 3]
    visited = torch.cat([part.advantage for part in parts], dim=1)
    np.testing.assert_array_equal(np.sort(visited.numpy(), axis=1), numbered.advantage.numpy())


def test_the_parts_of_a_pair_stay_together(numbered):
    for part in numbered.minibatches(generators(1, 2), 3):
        for field in fields(part):
            array = getattr(part, field.name)
            if field.name == "old_log_std":
                np.testing.assert_array_equal(array.numpy(), numbered.old_log_std.numpy())
            else:
                flat = array.reshape(*array.shape[:2], -1)
                np.testing.assert_array_equal(flat.numpy(), part.value.numpy()[..., None] + np.zeros(flat.shape))


def test_each_agent_shuffles_by_its_own_generator_whoever_is_beside_it(numbered):
    together = torch.cat([part.value for part in numbered.minibatches(generators(1, 2), 2)], dim=1)
    assert not torch.equal(together[0], together[1])
    swapped = torch.cat([part.value for part in numbered.minibatches(generators(2, 1), 2)], dim=1)
    np.testing.assert_array_equal(swapped.numpy(), together.numpy()[::-1])
    rngs = generators(1, 2)
    epochs = [torch.cat([part.value for part in numbered.minibatches(rngs, 2)], dim=1) for _ in range(2)]
    assert not torch.equal(epochs[0], epochs[1])  # every epoch in a new order


def test_a_subset_takes_each_agents_own_rows(numbered):
    chosen = numbered.subset(np.array([[3, 1], [0, 9]]))
    np.testing.assert_array_equal(chosen.value.numpy(), [[3, 1], [0, 9]])
    np.testing.assert_array_equal(chosen.obs[..., 2].numpy(), [[3, 1], [0, 9]])


def test_value_targets_are_the_returns_that_they_are_called_after(make_population, make_streams, make_recipe):
    """Three pairs, of which the second ends an episode; the third is cut, and the value net stands for the rest."""
    streams = make_streams(1, 3, terminated=((0, 1),))
    population = make_population(1)
    found = {}
    for target in ("gae", "returns", "td"):
        recipe = make_recipe("ppo_m", common={"gamma": 0.5, "gae_lambda": 0.8, "value_target": target})
        seen = estimate_values(population, streams, recipe.common, recipe.config)
        found[target] = prepare(population, streams, recipe.common, recipe.config).value_target.numpy()[0]
    r, v, after = streams.reward[0], seen.value[0], seen.next_value[0]
    assert after[1] == 0 and after[2] != 0
    end = [r[1], r[2] + 0.5 * after[2]]
    np.testing.assert_allclose(found["td"], [r[0] + 0.5 * v[1], *end], rtol=1e-5)
    np.testing.assert_allclose(found["returns"], [r[0] + 0.5 * r[1], *end], rtol=1e-5)
    mixed = r[0] + 0.5 * (0.8 * r[1] + 0.2 * v[1])
    np.testing.assert_allclose(found["gae"], [mixed, *end], rtol=1e-5)


def test_without_a_baseline_advantages_are_discounted_returns(make_population, make_streams, make_recipe):
    """Whatever the value net says, and with lambda 1: the sum stops at an episode's end and at the cut."""
    recipe = make_recipe("ppo_m", common={"baseline": "none", "gamma": 0.5})
    streams = make_streams(1, 4, terminated=((0, 1),))
    r = streams.reward[0]
    found = estimate_values(make_population(1), streams, recipe.common, recipe.config).advantage(recipe.common)
    expected = [r[0] + 0.5 * r[1], r[1], r[2] + 0.5 * r[3], r[3]]
    np.testing.assert_allclose(found[0], expected)


def test_without_a_baseline_the_value_net_is_left_alone(make_population, make_streams, make_recipe):
    recipe = make_recipe("ppo", common={"baseline": "none"})
    population = make_population(1)
    batch = prepare(population, make_streams(1, 24), recipe.common, recipe.config)
    seeds = [Seed(0) / "update"]
    assert update_value(population, batch, recipe, seeds) is population
    with_value = make_recipe("ppo")
    assert np.abs(update_value(population, batch, with_value, seeds).value - population.value).max() > 0
