"""Agents that the laboratory cannot take are refused in one line, with what was found and what is expected."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from dpg.envs.make import EnvError
from dpg.importing.errors import AgentImportError
from tests.importing.agents import Trained, refusal

BOX = "<class 'gymnasium.spaces.box.Box'>"


def untrained(path: Path, policy: str, env: Any, algorithm: str, **settings: Any) -> Path:
    """A model of Stable-Baselines3 as it saves it before any training."""
    import stable_baselines3

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(stable_baselines3, algorithm)(policy, env, device="cpu", **settings).save(path / "model.zip")
    return path / "model.zip"


class Pair(gym.Env):
    """Observations in a dictionary; nothing is ever stepped."""

    observation_space = gym.spaces.Dict({"a": gym.spaces.Box(-1, 1, (2,)), "b": gym.spaces.Box(-1, 1, (2,))})
    action_space = gym.spaces.Box(-1, 1, (1,))


@pytest.fixture(autouse=True)
def library() -> None:
    pytest.importorskip("stable_baselines3", reason="the bench extra is not installed")


@pytest.mark.parametrize(
    ("policy", "env", "algorithm", "settings", "found"),
    [
        ("MlpPolicy", "Pendulum-v1", "A2C", {"use_sde": True}, "log_std is a 64x1 matrix; a vector"),
        ("MlpPolicy", "Pendulum-v1", "PPO", {"use_sde": True, "policy_kwargs": {"squash_output": True}}, ""),
        ("MlpPolicy", "CartPole-v1", "PPO", {}, "discrete actions"),
        ("MultiInputPolicy", Pair(), "PPO", {}, "expected"),
        ("MlpPolicy", "Pendulum-v1", "SAC", {"buffer_size": 10}, "an off-policy agent; PPO, TRPO and A2C are read"),
    ],
    ids=["state-dependent exploration", "squashed actions", "discrete actions", "dictionary", "off-policy"],
)
def test_agents_of_other_kinds(tmp_path, policy, env, algorithm, settings, found):
    path = untrained(tmp_path, policy, env, algorithm, **settings)
    assert found in refusal(path, env_id=env if isinstance(env, str) else "Pendulum-v1")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"tensors": {"features_extractor.linear.weight": torch.ones(2, 4)}}, "features_extractor.linear.weight"),
        ({"tensors": {"mlp_extractor.shared_net.0.weight": torch.ones(2, 4)}}, "mlp_extractor.shared_net.0.weight"),
        ({"tensors": {"lstm_actor.weight_ih_l0": torch.ones(2, 4)}}, "lstm_actor"),
        ({"tensors": {"action_net.bias": None}}, "layer 2 lacks"),
        ({"tensors": {"mlp_extractor.policy_net.2.weight": torch.ones(8, 5)}}, "layer 1 has weights"),
        ({"tensors": {"log_std": torch.zeros(2)}}, "action space has the shape [1]"),
        ({"data": {"observation_space": {":type:": BOX, "_shape": [84, 84, 3]}}}, "[84, 84, 3]"),
        ({"data": {"policy_kwargs": {"activation_fn": "<class 'torch.nn.modules.activation.GELU'>"}}}, "GELU"),
        ({"data": {"policy_kwargs": {"features_extractor_class": "<class 'my.Extractor'>"}}}, "my.Extractor"),
        ({"data": {"policy_class": {"__module__": "my.policies"}}}, "my.policies"),
        ({"data": {"gamma": 1.0}}, "common.gamma = 1.0"),
        ({"data": {"gamma": None}}, "gamma = None"),
        ({"data": {"n_steps": 1}}, "common.timesteps = 1"),
        ({"data": {"action_space": {":type:": BOX, "_shape": [1], "low": "[-1.]", "high": "[1.]"}}}, "[-1, 1]"),
        ({"members": {"data": b"[]"}}, "a JSON object is expected"),
        ({"members": {"data": b"[" * 100_000}}, "not valid JSON"),
    ],
)
def test_parts_that_are_not_an_agents(train, rewritten, changes, found):
    trained: Trained = train()
    assert found in refusal(rewritten(trained.zip, **changes), normalizer=trained.normalizer)


def test_another_task_and_none(train):
    folder = train().folder
    assert "observations have 4 numbers, in Hopper-v5 11" in refusal(folder, env_id="Hopper-v5")
    assert "name it with --env" in refusal(folder, env_id=None)
    assert "--env" in refusal(folder, EnvError, env_id="InvertedPendulum-v3000")


def test_a_normaliser_that_is_missing_or_of_another_agent(train, tmp_path):
    trained: Trained = train()
    alone = Path(shutil.copy(trained.zip, tmp_path / "model.zip"))
    assert "--vecnormalize FILE, or say --no-normaliser" in refusal(alone)
    np.savez(tmp_path / "other.npz", mean=np.zeros(5), var=np.ones(5))
    assert "normalises 5 numbers; the policy sees 4" in refusal(alone, normalizer=tmp_path / "other.npz")
    assert "exclude each other" in refusal(alone, normalizer=trained.normalizer, no_normalizer=True)
    assert "no such file" in refusal(alone, normalizer=tmp_path / "none.pkl")


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("env_wrapper: sb3_contrib.common.wrappers.TimeFeatureWrapper", "TimeFeatureWrapper"),
        ("frame_stack: 4", "frame_stack 4"),
        ("env_kwargs: {healthy_reward: 2}", "healthy_reward"),
    ],
)
def test_what_rl_zoo_wrapped_the_task_in(train, tmp_path, config, found):
    trained: Trained = train()
    shutil.copy(trained.zip, tmp_path)
    shutil.copy(trained.normalizer, tmp_path)
    (tmp_path / "config.yml").write_text(config, encoding="utf-8")
    (tmp_path / "args.yml").write_text("env: InvertedPendulum-v5", encoding="utf-8")
    assert found in refusal(tmp_path, env_id=None)


@pytest.mark.parametrize("name", ["nothing", "agent.pkl"])
def test_a_path_that_is_no_agent(tmp_path, name):
    path = tmp_path / name
    if path.suffix:
        path.write_bytes(b"not an agent")
    refusal(path)
    refusal(tmp_path, AgentImportError)
