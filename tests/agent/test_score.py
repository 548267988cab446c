"""Weighted sums of the score against autograd of the log-probability, pair by pair."""

import numpy as np
import pytest
import torch

from dpg.agent import gaussian, networks
from dpg.agent.population import Architecture
from dpg.agent.score import Score


@pytest.fixture(params=[(), (5,), (5, 4)], ids=["linear", "one hidden layer", "two hidden layers"])
def case(request) -> tuple[Architecture, np.ndarray, np.ndarray, np.ndarray]:
    """A policy, and the observations and actions of three streams of seven pairs."""
    architecture = Architecture(3, 2, request.param, (4,), None)
    rng = np.random.default_rng(0)
    policy = 0.5 * rng.standard_normal(architecture.policy_layout.size)
    return architecture, policy, rng.standard_normal((3, 7, 3)), rng.standard_normal((3, 7, 2))


def score_of_pair(architecture: Architecture, policy: np.ndarray, obs: np.ndarray, action: np.ndarray) -> np.ndarray:
    theta = torch.from_numpy(policy.astype(np.float64)).requires_grad_()
    arrays = architecture.policy_layout.unflatten(theta)
    mean = networks.mlp(arrays, torch.from_numpy(obs)[None], "tanh")
    log_prob = gaussian.log_prob(mean, arrays["log_std"], torch.from_numpy(action)[None])
    (gradient,) = torch.autograd.grad(log_prob.sum(), theta)
    return gradient.numpy()


@pytest.mark.parametrize("pairs", [1, 4, 7])
def test_weighted_sums_over_the_first_pairs_are_those_of_autograd(case, pairs):
    architecture, policy, obs, action = case
    weights = np.random.default_rng(1).standard_normal((3, pairs))
    expected = np.zeros((3, len(policy)))
    for stream, t in np.ndindex(weights.shape):
        score = score_of_pair(architecture, policy, obs[stream, t], action[stream, t])
        expected[stream] += weights[stream, t] * score
    found = Score.of(architecture, policy, obs, action).sum(weights)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_the_mean_score_of_a_policys_own_actions_is_zero():
    """200,000 actions; every component within five standard errors of zero (1 in 10^5 runs would fail by chance)."""
    architecture = Architecture(2, 1, (3,), (3,), None)
    rng = np.random.default_rng(2)
    policy = 0.5 * rng.standard_normal(architecture.policy_layout.size)
    obs = rng.standard_normal((10, 20_000, 2))
    arrays = architecture.policy_layout.unflatten(policy.astype(np.float64))
    mean_action = networks.mlp(arrays, obs, "tanh")
    action = mean_action + np.exp(arrays["log_std"]) * rng.standard_normal(mean_action.shape)
    score = Score.of(architecture, policy, obs, action)
    mean = score.sum(np.full((10, 20_000), 1 / 200_000)).sum(axis=0)
    fisher = np.stack([score_of_pair(architecture, policy, obs[0, t], action[0, t]) for t in range(500)])
    assert np.all(np.abs(mean) < 5 * fisher.std(axis=0) / np.sqrt(200_000))
