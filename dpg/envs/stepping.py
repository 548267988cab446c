"""Steps of a vector of environments that are what they should be: finite numbers, in episodes that end.

Whoever steps environments does it here, so that a fault of a task ends every kind of work with the same message.
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

# Pairs after which an episode is given up, of tasks that set no limit of their own.
LONGEST_EPISODE = 100_000
REMEDY = "register the task with a limit: gymnasium.register(..., max_episode_steps=1000)"

# The step that an environment of this index is at, and whose it is: a stream or an episode.
At = Callable[[int], tuple[int, object]]


def step(
    envs: VectorEnv,
    action: Float[np.ndarray, "E A"],
    at: At,
    *,
    clip_actions: bool,
    looked_at: Bool[np.ndarray, " E"] | None = None,
) -> tuple[Num[np.ndarray, "E O"], Float[np.ndarray, " E"], Bool[np.ndarray, " E"], Bool[np.ndarray, " E"]]:
    """Observations, rewards, terminated and truncated after one step of every environment.

    `clip_actions` clips what is passed on to the action space. Environments outside `looked_at` may do as they like.

    Raises:
        EnvError: an action, a reward or an observation is not finite; the message names the task, step and owner.
    """
    _check_finite(envs, "action at", action, at, looked_at)
    if clip_actions:
        space = envs.single_action_space
        assert isinstance(space, Box)
        action = np.clip(action, space.low, space.high)
    obs, reward, terminated, truncated, _ = envs.step(action)
    _check_finite(envs, "reward at", reward, at, looked_at)
    _check_finite(envs, "obs after", obs, at, looked_at)
    return obs, reward, terminated, truncated


def begin(
    envs: VectorEnv,
    seeds: Sequence[int | None],
    at: At,
    *,
    mask: Bool[np.ndarray, " E"] | None = None,
    looked_at: Bool[np.ndarray, " E"] | None = None,
) -> Num[np.ndarray, "E O"]:
    """As `dpg.envs.make.reset`: the observations that episodes begin with.

    Raises:
        EnvError: one is not finite; the message names the task, step and owner.
    """
    obs = reset(envs, seeds, mask)
    _check_finite(envs, "obs of a reset at", obs, at, looked_at)
    return obs


def _check_finite(
    envs: VectorEnv,
    what: str,
    values: Num[np.ndarray, "E ..."],
    at: At,
    looked_at: Bool[np.ndarray, " E"] | None = None,
) -> None:
    """Refuse numbers that are none.

    Raises:
        EnvError: one is not finite; the message names the task, step and owner.
    """
    # A sum of squares is finite only if all are, and takes a tenth of the time; it may overflow where they are.
    if math.isfinite(np.vdot(values, values)):
        return
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if looked_at is not None:
        bad &= looked_at
    if bad.any():
        number, owner = at(int(np.argmax(bad)))
        raise EnvError(f"{name_of(envs)}: the {what} step {number} is not finite ({owner})")


def check_length(envs: VectorEnv, steps: Int[np.ndarray, " E"], at: At, going_on: Bool[np.ndarray, " E"]) -> None:
    """Refuse episodes that do not end: beyond `LONGEST_EPISODE` pairs, where the task has no limit of its own.

    Raises:
        EnvError: one goes on; the message names the task and the episode.
    """
    if envs.spec is not None and envs.spec.max_episode_steps is not None:
        return
    endless = going_on & (steps >= LONGEST_EPISODE)
    if endless.any():
        number, owner = at(int(np.argmax(endless)))
        raise EnvError(f"{name_of(envs)}: an episode has not ended after {number:,} steps ({owner}); {REMEDY}")


def name_of(envs: VectorEnv | gym.Env[Any, Any]) -> str:
    """The id of the task."""
    return envs.spec.id if envs.spec is not None else type(envs).__name__
