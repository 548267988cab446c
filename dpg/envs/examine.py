"""Whether agents can be trained on a task: a check of a second, before hours are spent.

One environment is made, reset and stepped, and its return values are checked against Gymnasium's API: `SyncVectorEnv`
would silently convert some invalid ones to numbers.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import SyncVectorEnv, VectorEnv

from dpg.envs.errors import EnvError
from dpg.envs.make import cause, make_vector
from dpg.envs.stepping import REMEDY, begin, name_of, step
from dpg.runtime.config import mistakes
from dpg.runtime.schema import Params

# Random steps within which an episode must end, for tasks without a time limit.
MAX_RANDOM_STEPS = 10_000


def check_tasks(params: Params) -> None:
    """Examine every task of `params.yaml`.

    Raises:
        ConfigError: one line for each task that cannot be used.
    """
    modules = params.modules
    found: list[str] = []
    for index, env_id in enumerate(params.envs):
        try:
            examine(env_id, modules)
        except EnvError as error:
            fault = str(error).removeprefix(env_id).removeprefix(":").strip()
            found.append(f"envs.{index} = {env_id!r}: {fault}")
    if found:
        raise mistakes("params.yaml", found)


def examine(env_id: str, modules: Sequence[str] = ()) -> None:
    """Make one environment, start an episode and step; without a time limit, until random actions end it.

    Raises:
        EnvError: it cannot be made, breaks Gymnasium's API, returns values that are not finite, or does not end.
    """
    envs = make_vector(env_id, 1, modules)
    try:
        if isinstance(envs, SyncVectorEnv):
            _check_reset(envs.envs[0])
            _check_step(envs.envs[0])
        _check_end(envs)
    except EnvError:
        raise
    except Exception as error:  # a user's task may raise anything
        raise EnvError(f"{env_id}: cannot be stepped: {cause(error)}") from error
    finally:
        envs.close()


def _check_end(envs: VectorEnv) -> None:
    limit = MAX_RANDOM_STEPS if envs.spec is None or envs.spec.max_episode_steps is None else 1
    number = 0

    def locate(_: int) -> tuple[int, str]:
        return number, "random actions"

    envs.action_space.seed(0)
    begin(envs, [0], locate)
    for number in range(limit):  # noqa: B007 (`locate` reads it)
        _, _, terminated, truncated = step(
            envs, envs.action_space.sample().astype(np.float32), locate, clip_actions=False
        )
        if terminated.any() or truncated.any():
            return
    if limit > 1:
        _refuse(envs, f"no episode has ended in {limit:,} random steps; {REMEDY}")


def _check_reset(env: gym.Env[Any, Any]) -> None:
    try:
        found: Any = env.reset(seed=0)
    except Exception as error:  # a user's task may raise anything
        hint = "; it must take seed and options by name" if isinstance(error, TypeError) else ""
        _refuse(env, f"reset raised {cause(error)}{hint}")
    if not isinstance(found, tuple) or len(found) != 2:
        _refuse(env, f"reset must return two values (observation, info); it returned {_kind(found)}")
    _check_obs_and_info(env, "reset", *found)


def _check_step(env: gym.Env[Any, Any]) -> None:
    env.action_space.seed(0)
    action = env.action_space.sample()
    try:
        found: Any = env.step(action)
    except Exception as error:
        # Wrappers expect five values and fail on anything else: ask the task itself.
        found = _bare_step(env.unwrapped, action)
        if found is None or (isinstance(found, tuple) and len(found) == 5):
            _refuse(env, f"step raised {cause(error)}")
    if not isinstance(found, tuple) or len(found) != 5:
        old = ", as Gym's did before 0.26" if isinstance(found, tuple) and len(found) == 4 else ""
        values = "five values (observation, reward, terminated, truncated, info)"
        _refuse(env, f"step must return {values}; it returned {_kind(found)}{old}")
    obs, reward, *ends, info = found
    _check_obs_and_info(env, "step", obs, info)
    if not _is_scalar(reward, np.float64):
        _refuse(env, f"the reward of a step must be a number, not {_kind(reward)}")
    for name, value in zip(("terminated", "truncated"), ends, strict=True):
        if not _is_scalar(value, np.bool_):
            _refuse(env, f"{name} must be a boolean, not {_kind(value)}")


def _bare_step(env: gym.Env[Any, Any], action: np.ndarray) -> Any:
    try:
        env.reset(seed=0)
        return env.step(action)
    except Exception:
        return None


def _check_obs_and_info(env: gym.Env[Any, Any], where: str, obs: Any, info: Any) -> None:
    space, found = env.observation_space, np.asarray(obs)
    assert isinstance(space, Box)
    if found.shape != space.shape:
        _refuse(env, f"the observation of a {where} has the shape {found.shape}; its space has {space.shape}")
    if not np.can_cast(found.dtype, space.dtype, "same_kind"):
        _refuse(env, f"the observation of a {where} is {found.dtype}; its space is {space.dtype}")
    if not isinstance(info, dict):
        _refuse(env, f"the info of a {where} must be a dictionary, not {_kind(info)}")


def _is_scalar(value: Any, dtype: type) -> bool:
    found = np.asarray(value)
    return not found.ndim and np.can_cast(found.dtype, dtype, "same_kind")


def _kind(value: Any) -> str:
    """The type of a value, with its size."""
    if isinstance(value, tuple):
        return f"{len(value)} values"
    shape = f" of shape {value.shape}" if isinstance(value, np.ndarray) else ""
    return f"{type(value).__name__}{shape}"


def _refuse(envs: VectorEnv | gym.Env[Any, Any], fault: str) -> NoReturn:
    raise EnvError(f"{name_of(envs)}: {fault}")
