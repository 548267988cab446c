"""A state dictionary of CleanRL, and what has to be given beside it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dpg.agent.acting import Actor
from dpg.learning.batch import values
from tests.importing.agents import read, refusal, saved


class Agent(nn.Module):
    """The networks of ppo_continuous_action.py, by their names there."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.critic = self._net(1)
        self.actor_mean = self._net(1)
        self.actor_logstd = nn.Parameter(torch.full((1, 1), -0.5))

    @staticmethod
    def _net(outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, outputs))


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    path = tmp_path / "ppo.cleanrl_model"
    path.write_bytes(saved(Agent().state_dict()))
    return path


def test_it_acts_and_values_as_there(agent, tmp_path):
    mean, variance = np.array([0.1, -0.2, 0.3, 0.4]), np.array([0.5, 0.2, 2.0, 3.0])
    np.savez(tmp_path / "normaliser.npz", mean=mean, var=variance, count=1e4, clip=5.0)
    found = read(agent, normalizer=tmp_path / "normaliser.npz")
    obs = 3 * np.random.default_rng(0).standard_normal((50, 4))
    seen = torch.as_tensor(np.clip((obs - mean) / np.sqrt(variance + 1e-8), -5, 5), dtype=torch.float32)
    with torch.no_grad():
        expected, value = Agent().actor_mean(seen).numpy(), Agent().critic(seen).numpy()[:, 0]
    np.testing.assert_allclose(Actor.of(found.state).act(obs, None), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(values(found.state, found.state.normalize_obs(obs[None]))[0], value, atol=1e-5)
    assert found.recipe.common.time_limit == "terminal"
    assert {"policy_update", "policy_adam", "value_update", "value_adam"} <= set(found.lacks)


def test_its_normaliser_has_to_be_given_or_waived_aloud(agent, tmp_path):
    message = refusal(agent)
    assert "np.savez" in message and "--no-normaliser" in message
    found = read(agent, no_normalizer=True)
    assert found.source is not None and "no normaliser of observations" in found.source.assumed


def test_a_scale_of_rewards_that_is_given_is_the_one(agent, tmp_path):
    """Untrained, this value net decides nothing: CleanRL's wrappers are taken at their word."""
    np.savez(tmp_path / "normaliser.npz", mean=np.zeros(4), var=np.ones(4), ret_var=49.0)
    found = read(agent, normalizer=tmp_path / "normaliser.npz")
    assert found.recipe.config.reward_scaling and found.recipe.config.reward_clip == 10.0
    np.testing.assert_allclose(found.state.return_moments.std, [[7.0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"actor.0.weight": torch.ones(2, 4)}, "actor.0.weight; actor_mean"),
        ({"network.0.weight": torch.ones(2, 4)}, "network.0.weight"),
        ({"actor_logstd": torch.ones(1, 3)}, "log_std is of shape (3,)"),
        ({"critic.0.weight": torch.ones(7)}, "value network: layer 0"),
        (
            {"critic.4.weight": torch.ones(2, 16), "critic.4.bias": torch.ones(2)},
            "maps 4 numbers to 2; 4 to one is expected",
        ),
    ],
)
def test_other_state_dictionaries_are_refused(tmp_path, tensors, message):
    path = tmp_path / "other.pt"
    path.write_bytes(saved({**Agent().state_dict(), **tensors}))
    assert message in refusal(path, no_normalizer=True)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ret_var": np.ones(3)}, "ret_var must hold one number"),
        ({"clip": []}, "clip must hold one number"),
        ({"mean": np.array(list("1234"))}, "mean must hold numbers"),
        ({"return_var": 4.0}, "found mean, return_var, var"),
    ],
)
def test_other_arrays_of_a_normaliser_are_refused(agent, tmp_path, arrays, message):
    np.savez(tmp_path / "normaliser.npz", **({"mean": np.zeros(4), "var": np.ones(4)} | arrays))
    assert message in refusal(agent, normalizer=tmp_path / "normaliser.npz")
