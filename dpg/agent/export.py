"""Agents for use without the laboratory: arrays in safetensors, described by a JSON file.

An action and a value for a raw observation, with NumPy alone:

    x = clip((obs - obs_mean) / obs_std, -obs_clip, obs_clip)     without the clip where `obs_clip` is null
    h = activation(x @ w0 + b0), ...; mean = h @ wL + bL          tanh, relu or elu; the last layer is linear
    action = mean + exp(log_std) * noise                          or the mean alone
    action = clip(action, action_low, action_high)                where `clip_actions`
    value = the same with value_w0, value_b0, ... from x          in raw rewards, or in rewards over `return_std`

`dpg import` reads what this writes, and what other code writes in the same form (docs/importing.md).
"""

import json
from pathlib import Path

import numpy as np
from gymnasium.spaces import Box
from safetensors.numpy import save

from dpg.agent.snapshot import Snapshot

FORMAT = 2


def export(snapshot: Snapshot, action_space: Box, directory: Path) -> Path:
    """Write `agent00.safetensors` and `agent00.json`; returns the former."""
    state, recipe = snapshot.state, snapshot.recipe
    architecture, common, config = state.architecture, recipe.common, recipe.config
    arrays = {name: array[0] for name, array in architecture.policy_layout.unflatten(state.policy).items()}
    arrays |= {"obs_mean": state.obs_moments.mean[0], "obs_std": state.obs_moments.std[0]}
    arrays |= {"action_low": action_space.low, "action_high": action_space.high}
    if common.baseline == "value" and "value_net" not in snapshot.lacks:
        value = architecture.value_layout.unflatten(state.value)
        arrays |= {f"value_{name}": array[0] for name, array in value.items()}
    if config.reward_scaling:
        arrays["return_std"] = state.return_moments.std[0]
    path = directory / f"agent{snapshot.agent:02d}.safetensors"
    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    about = {
        "format": FORMAT,
        "env": recipe.env_id,
        "algorithm": recipe.algorithm,
        "agent": snapshot.agent,
        "iteration": snapshot.iteration,
        "pairs": snapshot.iteration * recipe.batch_pairs,
        "activation": architecture.activation,
        "layers": [architecture.obs_dim, *architecture.policy_hidden, architecture.action_dim],
        "obs_clip": architecture.obs_clip,
        "clip_actions": common.clip_actions,
        "value_unit": "scaled" if config.reward_scaling else "raw",
        "reward_clip": config.reward_clip,
        "gamma": common.gamma,
        "gae_lambda": common.gae_lambda,
        "time_limit": common.time_limit,
        "timesteps": common.timesteps,
        "num_envs": recipe.num_envs,
        "streams": recipe.streams,
        "library": "dpg",
    }
    path.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return path
