"""The one door to environments: Gymnasium vector environments that reset when they are told to.

Every environment that comes through this door has Box observations and actions and autoreset mode DISABLED: `step`
returns the true next observation of an episode that ends, and the caller resets it with
`reset(options={"reset_mask": ...})`. Nothing outside `dpg.envs` knows what simulates.
"""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from dpg.runtime.errors import UserError


class EnvError(UserError):
    """An environment cannot be used, or returned what no environment should."""


def make_vector(env_id: str, num_envs: int) -> VectorEnv:
    """`num_envs` copies of a task.

    Raises:
        EnvError: the task is not installed, or its spaces are not flat Boxes.
    """
    try:
        spec = gym.spec(env_id)
        single = gym.make(spec, disable_env_checker=True)
    except gym.error.Error as error:
        raise EnvError(f"{env_id} cannot be made: {error}") from error
    for name, space in (("observation", single.observation_space), ("action", single.action_space)):
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise EnvError(f"{env_id}: the {name} space must be a Box of one axis, not {space}")
    single.close()
    return SyncVectorEnv(
        [lambda: gym.make(spec, disable_env_checker=True)] * num_envs,
        copy=False,
        autoreset_mode=AutoresetMode.DISABLED,
    )


def space_dims(env_id: str) -> tuple[int, int]:
    """Numbers in an observation and in an action."""
    envs = make_vector(env_id, 1)
    obs_space, action_space = envs.single_observation_space, envs.single_action_space
    envs.close()
    assert obs_space.shape is not None and action_space.shape is not None
    return obs_space.shape[0], action_space.shape[0]


def reset_some(envs: VectorEnv, mask: np.ndarray, seeds: list[int | None] | None = None) -> np.ndarray:
    """Reset the environments in `mask` and return all observations (E, O), the others' unchanged."""
    obs, _ = envs.reset(seed=seeds, options={"reset_mask": mask})
    return obs
