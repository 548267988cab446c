"""TRPO's step: its Fisher matrix, its trust region, and its line search."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dpg.agent import gaussian, networks
from dpg.agent.population import Population
from dpg.algorithms import trpo
from dpg.learning.algorithm import Step
from dpg.learning.batch import Batch, distribution, prepare
from dpg.runtime.seeding import Seed

SEEDS = [Seed(0) / "update" / agent for agent in range(2)]
TRPO = trpo.TRPOConfig.model_construct()  # no parameter shapes the surrogate
STEP = Step(SEEDS, np.full(2, np.nan), progress=0.0)


@pytest.fixture(params=[(), (4,)], ids=["linear", "one hidden layer"])
def population(request, make_population) -> Population:
    """Deviations other than 1, so that forgetting them shows."""
    fresh = make_population(2, policy_hidden=request.param)
    policy = fresh.policy.copy()
    policy[:, -2:] = [[-0.5, 0.3], [0.2, -1.0]]
    return fresh.with_policy(policy)


@pytest.fixture
def batch(population, make_streams, make_recipe) -> Batch:
    """Forty pairs an agent, with actions from its own policy."""
    recipe, streams = make_recipe("trpo"), make_streams(2, 40, terminated=((0, 9),))
    arrays = population.architecture.policy_layout.unflatten(population.policy)
    mean = networks.mlp(arrays, population.normalize_obs(streams.obs), "tanh")
    noise = np.random.default_rng(1).standard_normal(mean.shape).astype(np.float32)
    on_policy = replace(streams, action=mean + np.exp(arrays["log_std"])[:, None] * noise)
    return prepare(population, on_policy, recipe.common, recipe.config)


def in_float64(batch: Batch) -> Batch:
    return Batch(**{field.name: getattr(batch, field.name).double() for field in fields(batch)})


def fisher_matrix(population: Population, batch: Batch, member: int) -> np.ndarray:
    """The mean over states of J' M J: M is 1/std^2 for the mean and 2 for log_std, J the Jacobian of both."""
    layout = population.architecture.policy_layout

    def head(theta: Tensor) -> Tensor:
        arrays = layout.unflatten(theta)
        mean = networks.mlp(arrays, batch.obs[member].double(), "tanh")
        return torch.cat([mean, arrays["log_std"].expand(mean.shape)], dim=-1)

    theta = torch.from_numpy(population.policy[member].astype(np.float64))
    jacobian = torch.autograd.functional.jacobian(head, theta).numpy()  # (states, 2 A, D)
    precision = np.exp(-2 * layout.unflatten(population.policy[member].astype(np.float64))["log_std"])
    metric = np.diag(np.concatenate([precision, np.full(2, 2.0)]))
    return np.mean([rows.T @ metric @ rows for rows in jacobian], axis=0)


def divergence(population: Population, policy: np.ndarray, batch: Batch) -> np.ndarray:
    mean, log_std = distribution(population, torch.from_numpy(policy), batch.obs)
    return gaussian.kl(batch.old_mean, batch.old_log_std, mean, log_std).mean(-1).numpy()


def gradient_at(population: Population, batch: Batch) -> tuple[Tensor, Tensor]:
    theta = torch.from_numpy(population.policy).requires_grad_()
    value = trpo.surrogate(population, theta, batch.normalized(), TRPO)
    (gradient,) = torch.autograd.grad(value.sum(), theta)
    return gradient, value.detach()


def test_fisher_products_are_those_of_the_explicit_matrix(population, batch):
    theta = torch.from_numpy(population.policy).double()
    columns = [
        trpo.fisher_product(population, theta, in_float64(batch), unit.expand_as(theta)).numpy()
        for unit in torch.eye(theta.shape[1], dtype=torch.float64)
    ]
    for member in range(2):
        found = np.stack([column[member] for column in columns], axis=1)
        np.testing.assert_allclose(found, fisher_matrix(population, batch, member), rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(found, found.T, atol=1e-12)
        assert np.linalg.eigvalsh(found).min() > -1e-10


def test_the_fisher_matrix_is_the_curvature_of_the_kl(population, batch):
    """KL(theta || theta + s) = 1/2 s' F s + O(|s|^3)."""
    wide, step = in_float64(batch), 1e-3 * np.random.default_rng(0).standard_normal(population.policy.shape)
    theta = torch.from_numpy(population.policy).double()
    mean, log_std = distribution(population, theta, wide.obs)
    moved_mean, moved_log_std = distribution(population, theta + torch.from_numpy(step), wide.obs)
    found = gaussian.kl(mean, log_std, moved_mean, moved_log_std).mean(-1).numpy()
    expected = [0.5 * step[m] @ fisher_matrix(population, batch, m) @ step[m] for m in range(2)]
    np.testing.assert_allclose(found, expected, rtol=2e-2)


def test_the_step_is_the_natural_gradient_at_the_trust_regions_edge_halved_until_it_passes(
    population, batch, make_recipe
):
    """Conjugate gradient with as many steps as parameters, against a dense solve."""
    options = {"cg_steps": 60, "cg_damping": 0.1, "fisher_fraction": 1.0, "max_kl": 1e-3}
    config = make_recipe("trpo", config=options).config
    gradient, _ = gradient_at(population, batch)
    found = trpo.update_policy(population, batch, config, STEP)
    for member in range(2):
        damped = fisher_matrix(population, batch, member) + 0.1 * np.eye(population.policy.shape[1])
        direction = np.linalg.solve(damped, gradient[member].numpy().astype(np.float64))
        full = np.sqrt(2 * config.max_kl / (direction @ damped @ direction)) * direction
        step = (found.policy - population.policy)[member]
        halvings = np.round(np.log2(np.linalg.norm(full) / np.linalg.norm(step)))
        assert 0 <= halvings <= 2  # in a region this small the quadratic model holds
        np.testing.assert_allclose(step, full / 2**halvings, rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("max_kl", [1e-3, 0.01, 0.1])
def test_an_accepted_step_keeps_to_the_trust_region_and_raises_the_surrogate(population, batch, make_recipe, max_kl):
    config = make_recipe("trpo", config={"max_kl": max_kl, "fisher_fraction": 0.5}).config
    found = trpo.update_policy(population, batch, config, STEP)
    moved = divergence(population, found.policy, batch)
    assert np.all(moved <= max_kl * (1 + 1e-5))
    assert np.all(moved > 0.05 * max_kl)
    _, before = gradient_at(population, batch)
    after = trpo.surrogate(population, torch.from_numpy(found.policy), batch.normalized(), TRPO)
    assert (after > before).all()


def test_when_no_step_passes_the_policy_is_restored_bit_for_bit(population, batch, make_recipe):
    impossible = make_recipe("trpo", config={"accept_ratio": 1e9}).config
    found = trpo.update_policy(population, batch, impossible, STEP)
    assert found.policy.tobytes() == population.policy.tobytes()


def test_each_agent_searches_for_itself(population, batch, make_recipe):
    """Agent 0 is sent downhill, where nothing passes; agent 1 steps too far, and is called back."""
    config = make_recipe("trpo").config
    theta = torch.from_numpy(population.policy)
    gradient, value = gradient_at(population, batch)
    unit = gradient / gradient.norm(dim=-1, keepdim=True)
    step = torch.stack([-0.1 * unit[0], 3 * unit[1]])
    found = trpo.line_search(population, theta, step, gradient, value, batch.normalized(), config)
    assert found[0].numpy().tobytes() == theta[0].numpy().tobytes()
    taken = (found[1] - theta[1]).norm() / step[1].norm()
    halvings = -np.log2(taken.item())
    assert 1 <= halvings < config.backtracks
    assert halvings == pytest.approx(round(halvings), abs=1e-2)
    assert divergence(population, found.numpy(), batch)[1] <= config.max_kl
    # The first that passes: twice as far does not.
    twice = divergence(population, (theta + 2 * (found - theta)).numpy(), batch)[1]
    assert (
        twice > config.max_kl
        or trpo.surrogate(population, theta + 2 * (found - theta), batch.normalized(), TRPO)[1] < value[1]
    )


def test_a_gain_too_small_for_its_slope_is_refused(population, batch, make_recipe):
    """A step passes where the ratio of its gain to what the slope promises is just above `accept_ratio`, not below."""
    theta = torch.from_numpy(population.policy)
    options = {"max_kl": 1e9, "backtracks": 1}
    gradient, value = gradient_at(population, batch)
    step = 0.2 * gradient / gradient.norm(dim=-1, keepdim=True)
    gain = trpo.surrogate(population, theta + step, batch.normalized(), TRPO) - value
    ratio = gain / (gradient * step).sum(-1)
    assert (gain > 0).all()
    for member in range(2):
        for accept, passes in ((0.99 * ratio[member].item(), True), (1.01 * ratio[member].item(), False)):
            config = make_recipe("trpo", config=options | {"accept_ratio": accept}).config
            found = trpo.line_search(population, theta, step, gradient, value, batch.normalized(), config)
            assert torch.equal(found[member], (theta + step)[member] if passes else theta[member])


def test_advantages_that_do_not_vary_leave_the_policy_alone(population, batch, make_recipe):
    flat = replace(batch, advantage=torch.full_like(batch.advantage, 0.5))
    found = trpo.update_policy(population, flat, make_recipe("trpo").config, STEP)
    assert found.policy.tobytes() == population.policy.tobytes()


def test_the_fisher_matrix_is_estimated_on_the_share_of_states_that_is_asked_for(batch, make_recipe):
    tagged = replace(batch, value=torch.arange(40.0).expand(2, 40))
    states = trpo.fisher_states(tagged, make_recipe("trpo", config={"fisher_fraction": 0.25}).config, SEEDS)
    rows = states.value.numpy()
    assert rows.shape == (2, 10)
    assert all(len(set(row)) == 10 for row in rows.tolist())  # without replacement
    assert set(rows[0]) != set(rows[1])
    np.testing.assert_array_equal(states.obs[0].numpy(), batch.obs[0].numpy()[rows[0].astype(int)])
    few = trpo.fisher_states(tagged, make_recipe("trpo", config={"fisher_fraction": 1e-6}).config, SEEDS)
    assert few.obs.shape[1] == 1


def test_an_agents_update_does_not_depend_on_the_agent_beside_it(population, batch, make_recipe, of_member):
    config = make_recipe("trpo").config
    together = trpo.update_policy(population, batch, config, STEP)
    for member in range(2):
        alone = trpo.update_policy(
            population.member(member), of_member(batch, member), config, replace(STEP, seeds=[SEEDS[member]])
        )
        np.testing.assert_allclose(together.policy[member], alone.policy[0], rtol=1e-3, atol=1e-5)
