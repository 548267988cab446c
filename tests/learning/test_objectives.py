"""Surrogates and losses: values worked by hand, gradients by finite differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from dpg.agent import gaussian, networks
from dpg.learning.objectives import (
    clipped_surrogate_objective,
    clipped_value_loss,
    normalize,
    surrogate_objective,
    value_loss,
)


def each_alone(objective: Callable, *arrays: list[float], **options: float) -> list[float]:
    """The objective of every pair as a batch of one, which must be the same from both libraries."""
    columns = [np.array(array)[:, None] for array in arrays]
    found = objective(*columns, **options)
    np.testing.assert_allclose(objective(*map(torch.from_numpy, columns), **options).numpy(), found)
    return found.tolist()


def test_normalized_advantages_have_mean_zero_and_deviation_one_agent_by_agent():
    advantage = np.random.default_rng(0).normal([[5.0], [-2.0]], [[0.1], [30.0]], (2, 40))
    found = normalize(advantage)
    np.testing.assert_allclose(found.mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(found.std(axis=-1), 1, rtol=1e-6)
    scaled = (advantage - advantage.mean(axis=-1, keepdims=True)) / advantage.std(axis=-1, keepdims=True)
    np.testing.assert_allclose(found, scaled, rtol=1e-6)
    np.testing.assert_allclose(normalize(torch.from_numpy(advantage)).numpy(), found)


@pytest.mark.parametrize("constant", [0.0, 0.5, 0.1, -7 / 3])
def test_advantages_that_do_not_vary_normalize_to_zero(constant):
    """Their mean may round away from them: dividing that by itself would make full-size advantages of nothing."""
    for length in range(2, 60):
        advantage = np.full((1, length), constant)
        np.testing.assert_allclose(normalize(advantage), np.zeros_like(advantage), atol=1e-6)


def test_at_the_old_policy_both_surrogates_are_the_mean_advantage():
    rng = np.random.default_rng(0)
    log_prob, advantage = rng.standard_normal((2, 3, 10))
    expected = advantage.mean(axis=-1)
    np.testing.assert_allclose(surrogate_objective(log_prob, log_prob, advantage), expected)
    np.testing.assert_allclose(clipped_surrogate_objective(log_prob, log_prob, advantage, 0.2), expected)


def test_the_surrogate_weighs_advantages_by_the_ratio_of_new_to_old():
    # Ratios 2 and 1/2 of advantages 3 and 5.
    found = surrogate_objective(np.log([2.0, 1.0]), np.log([1.0, 2.0]), np.array([3.0, 5.0]))
    assert found == pytest.approx((2 * 3 + 0.5 * 5) / 2)


def test_without_a_bound_the_clipped_surrogate_is_the_surrogate():
    rng = np.random.default_rng(1)
    log_prob, old_log_prob, advantage = rng.standard_normal((3, 4, 10))
    expected = surrogate_objective(log_prob, old_log_prob, advantage)
    np.testing.assert_allclose(clipped_surrogate_objective(log_prob, old_log_prob, advantage, np.inf), expected)


def test_clipping_takes_away_the_gain_of_going_too_far_and_never_the_loss():
    ratio = [1.5, 0.5, 1.5, 0.5, 1.1]
    advantage = [2.0, 2.0, -2.0, -2.0, -2.0]
    found = each_alone(clipped_surrogate_objective, np.log(ratio).tolist(), [0.0] * 5, advantage, clip_eps=0.2)
    # 1.2 * 2 (gain capped); 0.5 * 2 (loss kept); 1.5 * -2 (loss kept); 0.8 * -2 (gain capped); 1.1 * -2 (inside)
    np.testing.assert_allclose(found, [2.4, 1.0, -3.0, -1.6, -2.2])


def test_value_loss_is_the_mean_squared_error():
    assert value_loss(np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 6.0])) == pytest.approx((0 + 4 + 9) / 3)


def test_clipped_value_loss_takes_the_larger_square():
    """Not the larger signed error, as an early release did: the first pair would come out as 1."""
    value = [1.0, 1.0, 0.1, -1.0]
    target = [2.0, 0.0, 2.0, 0.0]
    found = each_alone(clipped_value_loss, value, [0.0] * 4, target, clip=0.2)
    # Clipped values 0.2, 0.2, 0.1, -0.2: max(1, 1.8^2); max(1, 0.2^2); both 1.9^2; max(1, 0.2^2)
    np.testing.assert_allclose(found, [3.24, 1.0, 3.61, 1.0])


def test_the_clipped_value_loss_without_a_bound_is_the_plain_one():
    value, old_value, target = np.random.default_rng(2).standard_normal((3, 4, 10))
    found = clipped_value_loss(value, old_value, target, 1e9)
    np.testing.assert_allclose(found, value_loss(value, target))


# Gradients through a small policy network, away from the old policy, so that ratios and clips matter.

OBS_DIM, ACTION_DIM, PAIRS = 3, 2, 40
LAYOUT = networks.layout((OBS_DIM, 4, ACTION_DIM), extra=(("log_std", (ACTION_DIM,)),))


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    found = {
        "theta": 0.5 * rng.standard_normal(LAYOUT.size),
        "obs": rng.standard_normal((PAIRS, OBS_DIM)),
        "action": rng.standard_normal((PAIRS, ACTION_DIM)),
        "advantage": rng.standard_normal(PAIRS),
        "target": rng.standard_normal(PAIRS),
    }
    found["old_log_prob"] = log_prob(found["theta"] + 0.1 * rng.standard_normal(LAYOUT.size), found)
    found["old_value"] = value(found["theta"] + 0.1 * rng.standard_normal(LAYOUT.size), found)
    return found


def log_prob(theta: Any, data: dict[str, Any]) -> Any:
    arrays = LAYOUT.unflatten(theta)
    return gaussian.log_prob(networks.mlp(arrays, data["obs"], "tanh"), arrays["log_std"], data["action"])


def value(theta: Any, data: dict[str, Any]) -> Any:
    """The first output stands in for a value net."""
    return networks.mlp(LAYOUT.unflatten(theta), data["obs"], "tanh")[..., 0]


OBJECTIVES: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "surrogate": lambda theta, d: surrogate_objective(log_prob(theta, d), d["old_log_prob"], d["advantage"]),
    "clipped surrogate": lambda theta, d: clipped_surrogate_objective(
        log_prob(theta, d), d["old_log_prob"], d["advantage"], 0.2
    ),
    "value loss": lambda theta, d: value_loss(value(theta, d), d["target"]),
    "clipped value loss": lambda theta, d: clipped_value_loss(value(theta, d), d["old_value"], d["target"], 0.1),
    "entropy": lambda theta, _: gaussian.entropy(LAYOUT.unflatten(theta)["log_std"]),
}


def by_finite_differences(objective: Callable, data: dict[str, np.ndarray]) -> np.ndarray:
    """Central differences of the NumPy path."""
    gradient = np.empty(LAYOUT.size)
    for index, step in enumerate(1e-6 * np.eye(LAYOUT.size)):
        gradient[index] = (objective(data["theta"] + step, data) - objective(data["theta"] - step, data)) / 2e-6
    return gradient


def by_autograd(objective: Callable, data: dict[str, np.ndarray]) -> np.ndarray:
    tensors = {name: torch.from_numpy(array) for name, array in data.items()}
    theta = tensors["theta"].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(theta, tensors), theta)
    return gradient.numpy()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_agree_with_finite_differences(data, name):
    expected = by_finite_differences(OBJECTIVES[name], data)
    assert np.linalg.norm(expected) > 1e-3
    np.testing.assert_allclose(by_autograd(OBJECTIVES[name], data), expected, rtol=1e-5, atol=1e-8)


def test_the_check_rejects_a_gradient_that_forgets_the_ratio(data):
    """grad of mean log pi * A is the surrogate's gradient at the old policy only."""
    wrong = by_autograd(lambda theta, d: (log_prob(theta, d) * d["advantage"]).mean(-1), data)
    expected = by_finite_differences(OBJECTIVES["surrogate"], data)
    assert not np.allclose(wrong, expected, rtol=1e-2)


def test_clipping_changes_the_gradient_here(data):
    """Else the finite differences above would not reach the clips."""
    for name in ("surrogate", "value loss"):
        plain, clipped = (by_autograd(OBJECTIVES[kind], data) for kind in (name, f"clipped {name}"))
        assert not np.allclose(plain, clipped, rtol=1e-2)
