"""What the laboratory exports and what the example's writer writes comes back as the agent that it was."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from safetensors.numpy import load_file, save_file

from dpg.agent import normalization
from dpg.agent.acting import Actor
from dpg.agent.export import export
from dpg.agent.snapshot import Snapshot
from dpg.learning.batch import values
from tests.importing.agents import ENV, read, refusal

WRITER = Path(__file__).parents[2] / "examples" / "export_agent.py"
OBS = 3 * np.random.default_rng(0).standard_normal((50, 4))


@pytest.fixture
def own(make_population, make_recipe) -> Snapshot:
    """An agent of the laboratory with another activation than its own."""
    population = make_population(1, obs_dim=4, action_dim=1, policy_hidden=(8, 6), value_hidden=(5,), obs_clip=2.0)
    seen = 1 + 2 * np.random.default_rng(1).standard_normal((1, 50, 4))
    state = replace(
        population,
        architecture=replace(population.architecture, activation="elu"),
        obs_moments=normalization.update(population.obs_moments, seen),
        return_moments=normalization.update(population.return_moments, seen[..., :1]),
        iteration=3,
    )
    return Snapshot(2, make_recipe("ppo", env_id=ENV), state)


def test_an_exported_agent_comes_back(own, tmp_path):
    found = read(export(own, Box(-3, 3, (1,)), tmp_path), env_id=None)
    assert found.recipe.env_id == ENV
    np.testing.assert_array_equal(found.state.policy, own.state.policy)
    np.testing.assert_array_equal(found.state.value, own.state.value)
    np.testing.assert_allclose(Actor.of(found.state).act(OBS, None), Actor.of(own.state).act(OBS, None), rtol=1e-6)
    for name in ("gamma", "gae_lambda", "timesteps", "time_limit", "clip_actions"):
        assert getattr(found.recipe.common, name) == getattr(own.recipe.common, name)
    assert (found.recipe.streams, found.state.architecture.activation) == ("reset", "elu")
    assert found.recipe.config.reward_scaling
    np.testing.assert_allclose(found.state.return_moments.std, own.state.return_moments.std)
    assert {"policy_update", "policy_adam"} <= set(found.lacks)


@pytest.fixture
def write() -> Callable[..., None]:
    """The example's writer, as a file that was copied elsewhere."""
    spec = importlib.util.spec_from_file_location("export_agent", WRITER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(path: Path, **changes: Any) -> None:
        torch.manual_seed(0)
        layers = [torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)) for _ in range(2)]
        settings = {
            "env": ENV,
            "policy": module.layers_of(layers[0]),
            "value": module.layers_of(layers[1]),
            "log_std": torch.zeros(1),
            "activation": "relu",
            "obs_mean": np.full(4, 0.5),
            "obs_std": np.full(4, 2.0),
            "obs_clip": 1.0,
            "gamma": 0.9,
            "gae_lambda": 0.8,
            "timesteps": 100,
            "num_envs": 3,
        }
        module.export_agent(path, **(settings | changes))
        run.networks = layers

    return run


def test_the_examples_writer_writes_what_is_read(write, tmp_path):
    write(tmp_path / "mine", library="mine", version="1.2", algorithm="PPO")
    found = read(tmp_path / "mine.json")
    policy, value = write.networks
    seen = torch.as_tensor(np.clip((OBS - 0.5) / 2, -1, 1), dtype=torch.float32)
    with torch.no_grad():
        np.testing.assert_allclose(Actor.of(found.state).act(OBS, None), policy(seen).numpy(), atol=1e-6)
        normalized = found.state.normalize_obs(OBS[None])
        np.testing.assert_allclose(values(found.state, normalized)[0], value(seen).numpy()[:, 0], atol=1e-6)
    assert (found.recipe.common.timesteps, found.recipe.num_envs, found.recipe.common.gamma) == (100, 3, 0.9)
    assert str(found.source) == "PPO by mine 1.2"
    assert not found.recipe.config.reward_scaling


def test_an_agent_without_a_value_net_lacks_it(write, tmp_path):
    write(tmp_path / "mine", value=None)
    assert "value_net" in read(tmp_path / "mine.safetensors").lacks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "gelu"}, "activation"),
        ({"gamma": None}, "gamma"),
        ({"timesteps": "many"}, "timesteps"),
        ({"format": 1}, "format"),
        ({"gamma": 1.0}, "common.gamma"),
        ({"log_std": [0.0, 0.0]}, "log_std is of shape (2,)"),
        ({"obs_mean": [0.0], "obs_std": [1.0]}, "obs_mean must have 4 numbers"),
        ({"obs_std": [1.0, 1.0, 1.0, 0.0]}, "positive"),
        ({"obs_std": [1.0, 1.0, 1.0, -2.0]}, "positive"),
        ({"return_std": -3.0}, "positive"),
        ({"library": "red\x1b[31m"}, "library"),
        ({"obs_std": [1.0, 1.0, 1.0, float("nan")]}, "finite"),
        ({"value": [(np.ones((3, 1)), np.ones(1))]}, "maps 3 numbers to 1; 4 to one is expected"),
        ({"policy": [(np.ones((4, 2)), np.ones(2)), (np.ones((3, 1)), np.ones(1))]}, "layer 1 has weights"),
        ({"policy": []}, "no layer"),
    ],
)
def test_files_that_are_no_agents_are_refused_in_one_line(write, tmp_path, changes, message):
    write(tmp_path / "mine", **changes)
    assert message in refusal(tmp_path / "mine.json")


def test_a_file_without_its_other_half_or_cut_short_is_refused(write, tmp_path):
    write(tmp_path / "mine")
    arrays, text = tmp_path / "mine.safetensors", tmp_path / "mine.json"
    content = arrays.read_bytes()
    arrays.write_bytes(content[:-10])
    assert "not a whole safetensors file" in refusal(arrays)
    arrays.unlink()
    assert "mine.safetensors: there is no such file" in refusal(text)
    arrays.write_bytes(content)
    text.write_text("{", encoding="utf-8")
    assert "not valid JSON" in refusal(arrays)
    text.unlink()
    assert "no mine.json next to it" in refusal(arrays)


def test_a_snapshot_is_no_exchange_file(own, tmp_path):
    from dpg.agent import snapshot

    assert "a snapshot needs no import" in refusal(snapshot.save(own, tmp_path))


def test_arrays_of_other_kinds_are_refused(write, tmp_path):
    write(tmp_path / "mine")
    arrays = load_file(tmp_path / "mine.safetensors")
    save_file(arrays | {"w0": np.ones((4, 8), np.int64)}, tmp_path / "mine.safetensors")
    assert "w0 must hold finite real numbers" in refusal(tmp_path / "mine.json")
    about = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert about["format"] == 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"obs_std": None}, "obs_mean without obs_std"),
        ({"obs_mean": None}, "obs_std without obs_mean"),
        ({"action_low": [-1.0]}, "action_low without action_high"),
        ({"action_low": [-1.0], "action_high": [1.0, 1.0]}, "action_high must have 1 numbers"),
        ({"value_w0": None}, "the value network: layer 0 lacks"),
        ({"w0": np.full((4, 8), 1e300)}, "w0 must hold finite"),
    ],
)
def test_arrays_that_miss_their_counterpart_or_do_not_fit_are_refused(write, tmp_path, arrays, message):
    write(tmp_path / "mine")
    changed = load_file(tmp_path / "mine.safetensors") | {
        name: array if array is None else np.asarray(array) for name, array in arrays.items()
    }
    save_file({name: array for name, array in changed.items() if array is not None}, tmp_path / "mine.safetensors")
    assert message in refusal(tmp_path / "mine.json")


def test_a_clip_without_statistics_is_kept(write, tmp_path):
    write(tmp_path / "mine", obs_mean=None, obs_std=None)
    found = read(tmp_path / "mine.json")
    np.testing.assert_array_equal(found.state.normalize_obs(OBS[None])[0], np.clip(OBS, -1, 1).astype(np.float32))


def test_a_name_with_a_dot_is_kept_whole(write, tmp_path):
    """Agents of two rates would otherwise be written over each other."""
    write(tmp_path / "run-0.99")
    write(tmp_path / "run-0.95.safetensors")
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {f"run-{rate}.{suffix}" for rate in ("0.99", "0.95") for suffix in ("safetensors", "json")}
