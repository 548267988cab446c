"""Policies for use without the laboratory: arrays in safetensors, and beside them JSON that says what they are.

An action for a raw observation, with NumPy alone:

    x = clip((obs - obs_mean) / obs_std, -obs_clip, obs_clip)     without the clip where `obs_clip` is null
    x = tanh(x @ w0 + b0), ...; mean = x @ wL + bL                the last layer is linear
    action = mean + exp(log_std) * noise                          or the mean alone
    action = clip(action, action_low, action_high)                where `clip_actions`
"""

import json
from pathlib import Path

import numpy as np
from gymnasium.spaces import Box
from safetensors.numpy import save

from dpg.agent.snapshot import Snapshot


def export(snapshot: Snapshot, action_space: Box, directory: Path) -> Path:
    """Write `agent00.safetensors` and `agent00.json`; returns the former."""
    state, recipe = snapshot.state, snapshot.recipe
    arrays = {name: array[0] for name, array in state.architecture.policy_layout.unflatten(state.policy).items()}
    arrays |= {"obs_mean": state.obs_moments.mean[0], "obs_std": state.obs_moments.std[0]}
    arrays |= {"action_low": action_space.low, "action_high": action_space.high}
    path = directory / f"agent{snapshot.agent:02d}.safetensors"
    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    about = {
        "format": 1,
        "env": recipe.env_id,
        "algorithm": recipe.algorithm,
        "agent": snapshot.agent,
        "iteration": snapshot.iteration,
        "pairs": snapshot.iteration * recipe.common.timesteps,
        "activation": state.architecture.activation,
        "layers": [state.architecture.obs_dim, *state.architecture.policy_hidden, state.architecture.action_dim],
        "obs_clip": state.architecture.obs_clip,
        "clip_actions": recipe.common.clip_actions,
    }
    path.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return path
