"""Adam on explicit state is PyTorch's Adam."""

import numpy as np
import pytest
import torch

from dpg.agent.population import AdamState
from dpg.learning.adam import Adam

MEMBERS, SIZE, EPS = 3, 6, 1e-5
LR = np.array([1e-3, 1e-2, 0.0])


@pytest.fixture
def start() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((MEMBERS, SIZE)).astype(np.float32))


@pytest.fixture
def gradients() -> list[torch.Tensor]:
    """Ten gradients of scales from 1e-4 to 1e2."""
    rng = np.random.default_rng(1)
    return [
        torch.from_numpy((10 ** rng.uniform(-4, 2) * rng.standard_normal((MEMBERS, SIZE))).astype(np.float32))
        for _ in range(10)
    ]


def by_torch(start: torch.Tensor, gradients: list[torch.Tensor]) -> np.ndarray:
    """One `torch.optim.Adam` a member."""
    rows = []
    for member in range(MEMBERS):
        row = start[member].clone().requires_grad_()
        optimizer = torch.optim.Adam([row], lr=float(LR[member]), eps=EPS)
        for gradient in gradients:
            row.grad = gradient[member].clone()
            optimizer.step()
        rows.append(row.detach().numpy())
    return np.stack(rows)


def test_steps_are_torchs_with_a_learning_rate_for_each_member(start, gradients):
    adam = Adam(start.numpy(), AdamState.zeros(MEMBERS, SIZE), LR, EPS)
    for steps in range(1, len(gradients) + 1):
        adam.step(gradients[steps - 1])
        np.testing.assert_allclose(adam.vectors.numpy(), by_torch(start, gradients[:steps]), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(adam.vectors[2].numpy(), start[2].numpy())  # learning rate 0


def test_going_on_from_a_state_is_never_having_stopped(start, gradients):
    straight = Adam(start.numpy(), AdamState.zeros(MEMBERS, SIZE), LR, EPS)
    for gradient in gradients:
        straight.step(gradient)

    resumed, state = start.numpy(), AdamState.zeros(MEMBERS, SIZE)
    for gradient in gradients:
        adam = Adam(resumed, state, LR, EPS)
        adam.step(gradient)
        resumed, state = adam.vectors.numpy(), adam.state
    assert state.steps == straight.state.steps == 10
    np.testing.assert_array_equal(resumed, straight.vectors.numpy())
    np.testing.assert_array_equal(state.second, straight.state.second)


def test_states_do_not_change_after_the_fact(start, gradients):
    """Neither what it starts from nor a state that it gave: a snapshot would change under its holder."""
    zero = AdamState.zeros(MEMBERS, SIZE)
    vectors = start.numpy().copy()
    adam = Adam(vectors, zero, LR, EPS)
    adam.step(gradients[0])
    given = adam.state
    first, second = given.first.copy(), given.second.copy()
    adam.step(gradients[1])
    np.testing.assert_array_equal(vectors, start.numpy())
    assert not zero.first.any() and not zero.second.any()
    np.testing.assert_array_equal(given.first, first)
    np.testing.assert_array_equal(given.second, second)
