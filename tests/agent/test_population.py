"""A population is its members, side by side."""

from dataclasses import replace

import numpy as np
import pytest

from dpg.agent import networks
from dpg.agent.acting import Actor
from dpg.agent.normalization import update
from dpg.agent.population import Architecture, Population, initialize
from dpg.runtime.seeding import Seed

ARCHITECTURE = Architecture(3, 2, (8, 8), (8,), obs_clip=5.0)


def leaves(population: Population) -> dict[str, np.ndarray]:
    found = {"policy": population.policy, "value": population.value}
    for name in ("policy_adam", "value_adam"):
        state = getattr(population, name)
        found |= {f"{name}.first": state.first, f"{name}.second": state.second}
    for name in ("obs_moments", "return_moments"):
        moments = getattr(population, name)
        found |= {f"{name}.{part}": getattr(moments, part) for part in ("count", "mean", "variance")}
    return found


def assert_same(a: Population, b: Population) -> None:
    assert (a.architecture, a.iteration, a.policy_adam.steps) == (b.architecture, b.iteration, b.policy_adam.steps)
    for name, array in leaves(a).items():
        np.testing.assert_array_equal(array, leaves(b)[name], err_msg=name)


@pytest.fixture
def population() -> Population:
    """Three agents whose every array differs from agent to agent."""
    fresh = initialize(ARCHITECTURE, "xavier", [Seed(0) / member for member in range(3)])
    rng = np.random.default_rng(0)
    adam = {
        name: replace(
            getattr(fresh, name),
            first=rng.standard_normal(getattr(fresh, name).first.shape).astype(np.float32),
            second=rng.random(getattr(fresh, name).second.shape).astype(np.float32),
            steps=7,
        )
        for name in ("policy_adam", "value_adam")
    }
    return replace(
        fresh,
        **adam,
        obs_moments=update(fresh.obs_moments, 2 + 3 * rng.standard_normal((3, 20, 3))),
        return_moments=update(fresh.return_moments, rng.standard_normal((3, 20, 1))),
        iteration=5,
    )


@pytest.mark.parametrize("scheme", ["orthogonal", "xavier"])
def test_an_agent_starts_from_its_own_seed_whoever_is_beside_it(scheme):
    seeds = [Seed(0) / name for name in ("a", "b", "c")]
    together = initialize(ARCHITECTURE, scheme, seeds)
    for index, seed in enumerate(seeds):
        assert_same(together.member(index), initialize(ARCHITECTURE, scheme, [seed]))
    assert not np.array_equal(together.policy[0], together.policy[1])


def test_agents_start_with_unit_deviations_a_small_policy_output_and_no_steps_taken():
    population = initialize(ARCHITECTURE, "orthogonal", [Seed(0)])
    policy = ARCHITECTURE.policy_layout.unflatten(population.policy[0])
    value = ARCHITECTURE.value_layout.unflatten(population.value[0])
    np.testing.assert_array_equal(policy["log_std"], np.zeros(2))
    np.testing.assert_allclose(np.linalg.norm(policy["w2"], axis=0), 0.01, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(value["w1"]), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(policy["w1"], axis=0), np.sqrt(2), rtol=1e-5)
    assert population.iteration == population.policy_adam.steps == population.value_adam.steps == 0


def test_selected_members_may_repeat_and_come_in_any_order(population):
    chosen = population.select(np.array([2, 0, 2]))
    for name, array in leaves(population).items():
        np.testing.assert_array_equal(leaves(chosen)[name], array[[2, 0, 2]], err_msg=name)


def test_vectors_of_the_wrong_size_are_refused(population):
    size = ARCHITECTURE.policy_layout.size
    with pytest.raises(ValueError, match=rf"must have sizes \({size}, .*\), not \({size - 1}, "):
        population.with_policy(population.policy[:, 1:])


def test_observations_are_normalized_by_each_members_own_moments_and_clipped(population):
    obs = np.random.default_rng(1).normal(2, 30, (3, 10, 3))
    found = population.normalize_obs(obs)
    for member in range(3):
        moments = population.obs_moments
        scaled = (obs[member] - moments.mean[member]) / np.sqrt(moments.variance[member] + 1e-8)
        np.testing.assert_allclose(found[member], np.clip(scaled, -5, 5), rtol=1e-5)


def test_each_environment_is_acted_for_by_its_member(population):
    """Environment k belongs to member k // E."""
    rng = np.random.default_rng(2)
    obs, noise = rng.standard_normal((6, 3)), rng.standard_normal((6, 2)).astype(np.float32)
    together = Actor.of(population).act(obs, noise)
    for env in range(6):
        alone = Actor.of(population.member(env // 2)).act(obs[env : env + 1], noise[env : env + 1])
        np.testing.assert_allclose(together[env], alone[0], rtol=1e-5, atol=1e-6)


def test_agents_act_on_observations_as_their_networks_were_taught_to_see_them(population):
    """Normalised by the member's own moments, and clipped: the policy that acts is the one whose ratio is taken."""
    obs = np.random.default_rng(5).normal(0, 30, (3, 3))
    seen = population.normalize_obs(obs[:, None, :])
    expected = networks.mlp(ARCHITECTURE.policy_layout.unflatten(population.policy), seen, "tanh")[:, 0]
    np.testing.assert_allclose(Actor.of(population).act(obs, None), expected, rtol=1e-5, atol=1e-7)
    assert np.any(np.abs(seen) == 5)  # the clip is reached


def test_actions_without_noise_are_the_means_and_noise_is_scaled_by_the_deviation(population):
    shifted = population.policy.copy()
    shifted[:, -2:] = np.log([0.5, 2.0])  # log_std is the end of the vector
    actor = Actor.of(population.with_policy(shifted))
    obs = np.random.default_rng(3).standard_normal((3, 3))
    difference = actor.act(obs, np.ones((3, 2), np.float32)) - actor.act(obs, None)
    np.testing.assert_allclose(difference, np.tile([0.5, 2.0], (3, 1)), rtol=1e-5)


def test_putting_another_policy_in_an_actors_place_leaves_the_population_alone(population):
    policy, mean = population.policy.copy(), population.obs_moments.mean.copy()
    actor, source = Actor.of(population), Actor.of(population)
    actor.set_policy(0, source, 2)
    obs = np.tile(np.random.default_rng(4).standard_normal((1, 3)), (3, 1))
    actions = actor.act(obs, None)
    np.testing.assert_array_equal(actions[0], actions[2])
    assert not np.array_equal(actions[1], actions[2])
    np.testing.assert_array_equal(population.policy, policy)
    np.testing.assert_array_equal(population.obs_moments.mean, mean)
