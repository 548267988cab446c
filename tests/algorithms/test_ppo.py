"""PPO's policy update, in the cases where it is something simpler."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dpg.agent import gaussian
from dpg.algorithms import ppo
from dpg.learning.algorithm import Step, ascent
from dpg.learning.batch import Batch, distribution, prepare
from dpg.learning.objectives import surrogate_objective
from dpg.runtime.seeding import Seed

SEEDS = [Seed(0) / "update" / agent for agent in range(2)]


def step(*lr: float) -> Step:
    return Step(SEEDS, np.array(lr * (2 // len(lr))), progress=0.0)


@pytest.fixture
def batch(population, make_streams, make_recipe) -> Batch:
    recipe = make_recipe("ppo")
    return prepare(population, make_streams(2, 24, terminated=((0, 9),)), recipe.common, recipe.config)


def normalized(advantage: torch.Tensor) -> torch.Tensor:
    return (advantage - advantage.mean(-1, keepdim=True)) / advantage.std(-1, keepdim=True, unbiased=False)


def test_at_the_old_policy_the_objective_is_the_entropy_bonus_alone(population, batch, make_recipe):
    """Ratios are 1 and advantages have mean zero."""
    theta = torch.from_numpy(population.policy)
    for coef in (0.0, 0.3):
        config = make_recipe("ppo", config={"entropy_coef": coef}).config
        found = ppo.surrogate(population, theta, batch.normalized(), config)
        entropy = population.architecture.action_dim * 0.5 * np.log(2 * np.pi * np.e)  # of unit deviations
        np.testing.assert_allclose(found.numpy(), np.full(2, coef * entropy), atol=1e-6)


def test_one_unclipped_epoch_on_the_whole_batch_is_adams_step_up_the_surrogate(population, batch, make_recipe):
    config = make_recipe("ppo", config={"epochs": 1, "minibatches": 1, "clip_eps": float("inf")}).config
    found = ppo.update_policy(population, batch, config, step(0.01))

    theta = torch.from_numpy(population.policy.copy()).requires_grad_()
    mean, log_std = distribution(population, theta, batch.obs)
    log_prob = gaussian.log_prob(mean, log_std, batch.action)
    surrogate = surrogate_objective(log_prob, batch.old_log_prob, normalized(batch.advantage))
    optimizer = torch.optim.Adam([theta], lr=0.01, eps=config.adam_eps, maximize=True)
    surrogate.sum().backward()
    optimizer.step()
    np.testing.assert_allclose(found.policy, theta.detach().numpy(), rtol=1e-4, atol=2e-5)
    assert found.policy_adam.steps == 1
    assert np.abs(found.policy - population.policy).max() > 0.009  # Adam's first step has the length of the rate


def test_a_small_update_raises_the_surrogate(population, batch, make_recipe):
    """The sign: a descent would pass most other tests."""
    config = make_recipe("ppo", config={"epochs": 5, "minibatches": 1}).config
    found = ppo.update_policy(population, batch, config, step(1e-3))
    objective = ppo.surrogate(population, torch.from_numpy(found.policy), batch.normalized(), config)
    assert (objective > 1e-3).all()


def test_clipping_keeps_the_policy_nearer(population, batch, make_recipe):
    """With many epochs the unclipped surrogate runs away from the old policy."""

    def divergence(clip_eps: float) -> torch.Tensor:
        config = make_recipe("ppo", config={"epochs": 60, "minibatches": 1, "clip_eps": clip_eps}).config
        found = ppo.update_policy(population, batch, config, step(0.01))
        mean, log_std = distribution(population, torch.from_numpy(found.policy), batch.obs)
        return gaussian.kl(batch.old_mean, batch.old_log_std, mean, log_std).mean(-1)

    assert (divergence(0.05) < 0.5 * divergence(float("inf"))).all()


def test_an_agents_update_does_not_depend_on_the_agent_beside_it(population, batch, make_recipe, of_member):
    config = make_recipe("ppo", config={"epochs": 3, "minibatches": 4}).config
    together = ppo.update_policy(population, batch, config, step(0.01, 0.02))
    for member, lr in ((0, 0.01), (1, 0.02)):
        alone = ppo.update_policy(
            population.member(member), of_member(batch, member), config, Step([SEEDS[member]], np.array([lr]), 0.0)
        )
        np.testing.assert_allclose(together.policy[member], alone.policy[0], rtol=1e-4, atol=1e-5)
        assert together.policy_adam.steps == alone.policy_adam.steps == 12


def test_with_a_rate_of_zero_the_policy_does_not_move(population, batch, make_recipe):
    found = ppo.update_policy(population, batch, make_recipe("ppo").config, step(0.0))
    assert found.policy.tobytes() == population.policy.tobytes()


def test_the_update_leaves_its_input_and_the_value_net_alone(population, batch, make_recipe):
    policy, first = population.policy.copy(), population.policy_adam.first.copy()
    found = ppo.update_policy(population, batch, make_recipe("ppo").config, step(0.01))
    assert not np.array_equal(found.policy, policy)
    np.testing.assert_array_equal(population.policy, policy)
    np.testing.assert_array_equal(population.policy_adam.first, first)
    np.testing.assert_array_equal(found.value, population.value)


def test_other_seeds_shuffle_otherwise(population, batch, make_recipe):
    config, rate = make_recipe("ppo").config, step(0.01)
    found = ppo.update_policy(population, batch, config, rate)
    again = ppo.update_policy(population, batch, config, rate)
    other = ppo.update_policy(population, batch, config, replace(rate, seeds=[Seed(1), Seed(2)]))
    np.testing.assert_array_equal(found.policy, again.policy)
    assert not np.array_equal(found.policy, other.policy)


@pytest.mark.parametrize("distance", [0.0, 0.02, 0.5])
def test_the_gradient_is_the_derivative_of_the_objective(population, batch, make_recipe, distance):
    """Weighted scores against automatic differentiation; far from the old policy many pairs are clipped."""
    config = make_recipe("ppo", config={"entropy_coef": 0.3}).config
    noise = torch.randn(population.policy.shape, generator=torch.Generator().manual_seed(0))
    theta = torch.from_numpy(population.policy) + distance * noise
    _, expected = ascent(ppo.surrogate, population, theta, batch.normalized(), config)
    arrays = population.architecture.policy_layout.unflatten(theta)
    found = ppo.gradient(population, arrays, batch.normalized(), config)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)
    unclipped = config.model_copy(update={"clip_eps": float("inf")})
    differs = not np.allclose(
        ppo.gradient(population, arrays, batch.normalized(), unclipped).numpy(), expected, atol=1e-3
    )
    assert differs == (distance > 0)  # clipping is at work away from the old policy: the check could fail
