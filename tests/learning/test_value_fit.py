"""The value fit descends the loss that the configuration names, for each agent by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dpg.agent import networks
from dpg.agent.population import Population
from dpg.learning import value_fit
from dpg.learning.batch import Batch, prepare, values
from dpg.learning.objectives import clipped_value_loss, value_loss
from dpg.runtime.seeding import Seed

SEEDS = [Seed(0) / "update" / agent for agent in range(2)]


@pytest.fixture
def batch(population, make_streams, make_recipe) -> Batch:
    recipe = make_recipe("ppo_m")
    return prepare(population, make_streams(2, 24, terminated=((0, 9),)), recipe.common, recipe.config)


def test_one_step_on_the_whole_batch_is_adams_on_the_configured_loss(population, batch, make_recipe):
    """The values of the first step are the old ones, so that the clip only tells from the second epoch on."""
    lr = 0.05
    for clip in (None, 0.01):
        once = {"value_epochs": 2, "value_minibatches": 1, "value_clip": clip}
        config = make_recipe("ppo_m", config=once).config
        found = value_fit.fit(population, batch, config, np.full(2, lr), SEEDS)
        phi = torch.from_numpy(population.value.copy()).requires_grad_()
        optimizer = torch.optim.Adam([phi], lr=lr, eps=config.adam_eps)
        for _ in range(2):
            value = networks.mlp(population.architecture.value_layout.unflatten(phi), batch.obs, "tanh")[..., 0]
            if clip is None:
                loss = value_loss(value, batch.value_target)
            else:
                loss = clipped_value_loss(value, batch.value, batch.value_target, clip)
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
        np.testing.assert_allclose(found.value, phi.detach().numpy(), rtol=1e-3, atol=1e-5)
        assert found.value_adam.steps == 2


def test_an_agents_fit_does_not_depend_on_the_agent_beside_it(population, batch, make_recipe, of_member):
    config = make_recipe("ppo", config={"value_epochs": 3}).config
    together = value_fit.fit(population, batch, config, np.array([0.01, 0.02]), SEEDS)
    for member, lr in ((0, 0.01), (1, 0.02)):
        alone = value_fit.fit(
            population.member(member), of_member(batch, member), config, np.array([lr]), [SEEDS[member]]
        )
        np.testing.assert_allclose(together.value[member], alone.value[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(together.value_adam.first[member], alone.value_adam.first[0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("lr", "epochs"), [(0.0, 3), (0.1, 0)], ids=["no rate", "no epochs"])
def test_without_a_rate_or_epochs_nothing_moves(population, batch, make_recipe, lr, epochs):
    config = make_recipe("ppo", config={"value_epochs": epochs}).config
    found = value_fit.fit(population, batch, config, np.full(2, lr), SEEDS)
    assert found.value.tobytes() == population.value.tobytes()


def test_the_fit_approaches_its_targets_and_leaves_policy_and_input_alone(population, batch, make_recipe):
    before, policy = population.value.copy(), population.policy.copy()
    config = make_recipe("ppo_m", config={"value_epochs": 200, "value_minibatches": 2}).config
    found = value_fit.fit(population, batch, config, np.full(2, 0.02), SEEDS)
    target = batch.value_target.numpy()

    def error(agents: Population) -> np.ndarray:
        return ((values(agents, batch.obs.numpy()) - target) ** 2).mean(axis=-1)

    # 24 arbitrary targets and 41 parameters: a fit that descends explains half of what predicting the mean leaves.
    assert np.all(error(found) < 0.5 * target.var(axis=-1))
    np.testing.assert_array_equal(population.value, before)
    np.testing.assert_array_equal(found.policy, policy)
    assert not np.any(found.value_adam.first == replace(population).value_adam.first)


@pytest.mark.parametrize("clip", [None, 0.2, 0.01])
@pytest.mark.parametrize("distance", [0.0, 0.3])
def test_the_gradient_is_the_derivative_of_the_loss(population, batch, make_recipe, clip, distance):
    """Back-propagation against automatic differentiation; away from the old net many pairs are clipped."""
    config = make_recipe("ppo", config={"value_clip": clip}).config
    noise = torch.randn(population.value.shape, generator=torch.Generator().manual_seed(0))
    phi = (torch.from_numpy(population.value) + distance * noise).requires_grad_()
    arrays = population.architecture.value_layout.unflatten(phi.detach())
    (expected,) = torch.autograd.grad(value_fit.loss(population, phi, batch, config).sum(), phi)
    found = value_fit.gradient(population, arrays, batch, config)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)
