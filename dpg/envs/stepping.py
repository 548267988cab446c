"""Checked steps of a vector of environments: values are finite, and episodes end.

All code that steps environments does it here, so that a faulty task always raises the same error.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float, Int, Num

from dpg.envs.errors import EnvError
from dpg.envs.make import reset

# Longest episode, in pairs, of a task without a time limit.
MAX_EPISODE_PAIRS = 100_000
REMEDY = "register the task with a limit: gymnasium.register(..., max_episode_steps=1000)"

# Maps the index of an environment to its current step and the seed of its stream or episode, for messages.
Locate = Callable[[int], tuple[int, object]]


def step(
    envs: VectorEnv,
    action: Float[np.ndarray, "E A"],
    locate: Locate,
    *,
    clip_actions: bool,
    active: Bool[np.ndarray, " E"] | None = None,
) -> tuple[Num[np.ndarray, "E O"], Float[np.ndarray, " E"], Bool[np.ndarray, " E"], Bool[np.ndarray, " E"]]:
    """Observations, rewards, terminated and truncated after one step of every environment.

    With `clip_actions`, actions are clipped to the action space first. Only environments in `active` are checked.

    Raises:
        EnvError: an action, a reward or an observation is not finite; the message names the task, step and seed.
    """
    _check_finite(envs, "action at", action, locate, active)
    if clip_actions:
        space = envs.single_action_space
        assert isinstance(space, Box)
        action = action.clip(space.low, space.high)
    obs, reward, terminated, truncated, _ = envs.step(action)
    _check_finite(envs, "reward at", reward, locate, active)
    _check_finite(envs, "obs after", obs, locate, active)
    return obs, reward, terminated, truncated


def begin(
    envs: VectorEnv,
    seeds: Sequence[int | None],
    locate: Locate,
    *,
    mask: Bool[np.ndarray, " E"] | None = None,
    active: Bool[np.ndarray, " E"] | None = None,
) -> Num[np.ndarray, "E O"]:
    """`dpg.envs.make.reset`, checked: the first observations of the episodes.

    Raises:
        EnvError: one is not finite; the message names the task, step and seed.
    """
    obs = reset(envs, seeds, mask)
    _check_finite(envs, "obs of a reset at", obs, locate, active)
    return obs


def _check_finite(
    envs: VectorEnv,
    what: str,
    values: Num[np.ndarray, "E ..."],
    locate: Locate,
    active: Bool[np.ndarray, " E"] | None = None,
) -> None:
    """Check the values of the environments in `active`.

    Raises:
        EnvError: one is not finite; the message names the task, step and seed.
    """
    # Quick path: a sum of squares is finite only if all values are. It may overflow although they are.
    if math.isfinite(np.vdot(values, values)):
        return
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if active is not None:
        bad &= active
    if bad.any():
        number, owner = locate(int(np.argmax(bad)))
        raise EnvError(f"{name_of(envs)}: the {what} step {number} is not finite ({owner})")


def check_length(
    envs: VectorEnv, steps: Int[np.ndarray, " E"], locate: Locate, running: Bool[np.ndarray, " E"]
) -> None:
    """Check that no episode in `running` is longer than `MAX_EPISODE_PAIRS`, unless the task has a time limit.

    Raises:
        EnvError: one is longer; the message names the task and the episode.
    """
    if envs.spec is not None and envs.spec.max_episode_steps is not None:
        return
    endless = running & (steps >= MAX_EPISODE_PAIRS)
    if endless.any():
        number, owner = locate(int(np.argmax(endless)))
        raise EnvError(f"{name_of(envs)}: an episode has not ended after {number:,} steps ({owner}); {REMEDY}")


def name_of(envs: VectorEnv | gym.Env[Any, Any]) -> str:
    """The id of the task."""
    return envs.spec.id if envs.spec is not None else type(envs).__name__
