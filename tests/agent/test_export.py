"""An exported policy acts as the agent does, by the equations that its module states."""

import json
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.spaces import Box
from safetensors.numpy import load_file

from dpg.agent import normalization
from dpg.agent.acting import Actor
from dpg.agent.export import export
from dpg.agent.snapshot import Snapshot


@pytest.fixture
def agent(make_population, make_recipe) -> Snapshot:
    """It has seen observations far from zero, some of which its clip bites."""
    population = make_population(1, obs_clip=1.5, policy_hidden=(8, 6))
    seen = 3 + 2 * np.random.default_rng(0).standard_normal((1, 50, 3))
    state = replace(population, obs_moments=normalization.update(population.obs_moments, seen), iteration=3)
    return Snapshot(2, make_recipe("ppo"), state)


def test_arrays_and_json_are_all_that_it_takes_to_act(agent, tmp_path):
    path = export(agent, Box(-1, 1, (2,)), tmp_path)
    assert path.name == "agent02.safetensors"
    arrays, about = load_file(path), json.loads((tmp_path / "agent02.json").read_text(encoding="utf-8"))
    assert about["layers"] == [3, 8, 6, 2]
    assert about["pairs"] == 3 * agent.recipe.common.timesteps
    assert (about["iteration"], about["activation"], about["clip_actions"]) == (3, "tanh", True)
    obs = 3 + 4 * np.random.default_rng(1).standard_normal((20, 3))
    scaled = (obs - arrays["obs_mean"]) / arrays["obs_std"]
    assert (np.abs(scaled) > about["obs_clip"]).any()
    x = np.clip(scaled, -about["obs_clip"], about["obs_clip"])
    x = np.tanh(np.tanh(x @ arrays["w0"] + arrays["b0"]) @ arrays["w1"] + arrays["b1"]) @ arrays["w2"] + arrays["b2"]
    np.testing.assert_allclose(x, Actor.of(agent.state).act(obs, None), atol=1e-6)
    assert arrays["log_std"].shape == arrays["action_low"].shape == arrays["action_high"].shape == (2,)
