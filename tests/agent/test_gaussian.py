"""The Gaussian head against `torch.distributions` and against finite differences."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from dpg.agent import gaussian

MEMBERS, BATCH, ACTIONS = 2, 5, 3


@pytest.fixture
def numbers() -> dict[str, np.ndarray]:
    """Two populations of policies at some states, and actions; standard deviations from about 0.2 to 5."""
    rng = np.random.default_rng(0)
    return {
        "mean": rng.standard_normal((MEMBERS, BATCH, ACTIONS)),
        "log_std": rng.uniform(-1.5, 1.5, (MEMBERS, ACTIONS)),
        "other_mean": rng.standard_normal((MEMBERS, BATCH, ACTIONS)),
        "other_log_std": rng.uniform(-1.5, 1.5, (MEMBERS, ACTIONS)),
        "action": 2 * rng.standard_normal((MEMBERS, BATCH, ACTIONS)),
    }


def torch_distribution(mean: np.ndarray, log_std: np.ndarray) -> Independent:
    std = torch.from_numpy(np.exp(log_std))[:, None, :]
    return Independent(Normal(torch.from_numpy(mean), std.expand(mean.shape)), 1)


def assert_both_give(function: Callable, arguments: list[np.ndarray], expected: torch.Tensor) -> None:
    np.testing.assert_allclose(function(*arguments), expected.numpy(), rtol=1e-12)
    tensors = [torch.from_numpy(argument) for argument in arguments]
    np.testing.assert_allclose(function(*tensors).numpy(), expected.numpy(), rtol=1e-12)


def test_log_prob_is_torchs(numbers):
    expected = torch_distribution(numbers["mean"], numbers["log_std"]).log_prob(torch.from_numpy(numbers["action"]))
    assert_both_give(gaussian.log_prob, [numbers["mean"], numbers["log_std"], numbers["action"]], expected)


def test_entropy_is_torchs(numbers):
    expected = torch_distribution(numbers["mean"], numbers["log_std"]).entropy()[:, 0]
    assert_both_give(gaussian.entropy, [numbers["log_std"]], expected)


def test_kl_is_torchs_in_its_direction(numbers):
    p = torch_distribution(numbers["mean"], numbers["log_std"])
    q = torch_distribution(numbers["other_mean"], numbers["other_log_std"])
    arguments = [numbers[name] for name in ("mean", "log_std", "other_mean", "other_log_std")]
    assert_both_give(gaussian.kl, arguments, kl_divergence(p, q))
    assert not torch.allclose(kl_divergence(p, q), kl_divergence(q, p))  # else the direction would go unchecked


def test_kl_from_a_policy_to_itself_is_zero(numbers):
    divergence = gaussian.kl(numbers["mean"], numbers["log_std"], numbers["mean"], numbers["log_std"])
    np.testing.assert_allclose(divergence, np.zeros((MEMBERS, BATCH)), atol=1e-14)


def log_prob_dividing_by_sigma(mean: torch.Tensor, log_std: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """A fault that a published release had: (a - mean)^2 / sigma in place of / sigma^2."""
    std = log_std.exp()[..., None, :]
    return -0.5 * ((action - mean) ** 2 / std).sum(-1) - log_std.sum(-1)[..., None]


def score_by_finite_differences(numbers: dict[str, np.ndarray], wanted: str) -> np.ndarray:
    """Gradient of the summed log-probability by central differences of torch's own."""

    def total(array: np.ndarray) -> float:
        changed = numbers | {wanted: array}
        distribution = torch_distribution(changed["mean"], changed["log_std"])
        return float(distribution.log_prob(torch.from_numpy(changed["action"])).sum())

    gradient = np.empty_like(numbers[wanted])
    for index in np.ndindex(gradient.shape):
        step = np.zeros_like(gradient)
        step[index] = 1e-5
        gradient[index] = (total(numbers[wanted] + step) - total(numbers[wanted] - step)) / 2e-5
    return gradient


def score_by_autograd(log_prob: Callable, numbers: dict[str, np.ndarray], wanted: str) -> np.ndarray:
    tensors = {name: torch.from_numpy(numbers[name]).requires_grad_() for name in ("mean", "log_std")}
    log_prob(tensors["mean"], tensors["log_std"], torch.from_numpy(numbers["action"])).sum().backward()
    gradient = tensors[wanted].grad
    assert gradient is not None
    return gradient.numpy()


@pytest.mark.parametrize("wanted", ["mean", "log_std"])
def test_the_score_agrees_with_finite_differences_and_the_wrong_formula_does_not(numbers, wanted):
    expected = score_by_finite_differences(numbers, wanted)
    np.testing.assert_allclose(score_by_autograd(gaussian.log_prob, numbers, wanted), expected, rtol=1e-6, atol=1e-7)
    wrong = score_by_autograd(log_prob_dividing_by_sigma, numbers, wanted)
    assert not np.allclose(wrong, expected, rtol=1e-2)
