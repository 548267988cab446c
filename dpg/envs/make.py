"""The only way to make environments: Gymnasium vector environments that the caller resets.

All have Box observations and actions, and autoreset mode DISABLED: `step` returns the true next observation of an
episode that ends, and the caller resets it with `reset(options={"reset_mask": ...})`. Nothing outside `dpg.envs`
depends on the simulator.
"""

import difflib
import sys
from collections.abc import Sequence
from contextlib import suppress

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from jaxtyping import Bool, Float, Int

from dpg.envs import linear_quadratic
from dpg.envs.batched import BatchedVectorEnv
from dpg.envs.errors import EnvError
from dpg.envs.tasks import TASKS
from dpg.runtime import modules as own

MAX_ALTERNATIVES = 5  # other ids to try when one cannot be made

__all__ = ["EnvError", "make_vector", "park", "reset", "reset_to", "states", "time_limit"]


def make_vector(env_id: str, num_envs: int, modules: Sequence[str] = ()) -> VectorEnv:
    """`num_envs` copies of a task: batched for `TASKS` and LinearQuadratic-v0, one after the other for any other task.

    `modules` are imported first: they may register tasks.

    Raises:
        ModuleError: a module cannot be imported.
        EnvError: the task cannot be made, or its spaces are not flat Boxes.
    """
    own.load(modules)
    if env_id in TASKS:
        # Imported late: the other tasks do not need MuJoCo.
        from dpg.envs.mujoco_batch import MujocoBatchVectorEnv

        envs = MujocoBatchVectorEnv(env_id, num_envs)
    elif env_id == linear_quadratic.ENV_ID:
        envs = linear_quadratic.LinearQuadraticVectorEnv(num_envs)
    else:
        envs = _make_one_by_one(env_id, num_envs)
    envs.spec = gym.spec(env_id)
    return envs


def _make_one_by_one(env_id: str, num_envs: int) -> SyncVectorEnv:
    try:
        _check_spaces(env_id)
        spec = gym.spec(env_id)
        return SyncVectorEnv(
            [lambda: gym.make(spec, disable_env_checker=True)] * num_envs,
            copy=False,
            autoreset_mode=AutoresetMode.DISABLED,
        )
    except EnvError:
        raise
    except (Exception, SystemExit) as error:  # a constructor may raise anything
        works = _nearest_that_works(env_id)
        own = "" if env_id in gym.registry else " (a task of your own needs its module in `modules`)"
        hint = f" ({works} can be made)" if works else own
        raise EnvError(f"{env_id} cannot be made: {cause(error)}{hint}") from error


def _check_spaces(env_id: str) -> None:
    """Refuse a task whose spaces are not flat. Errors of its constructor propagate."""
    env = gym.make(gym.spec(env_id), disable_env_checker=True)
    env.close()
    for name in ("observation", "action"):
        space: object = getattr(env, f"{name}_space")
        if not isinstance(space, Box) or len(space.shape) != 1 or not space.shape[0]:
            raise EnvError(f"{env_id}: the {name} space must be a Box of one axis, not {space}")


def _nearest_that_works(env_id: str) -> str | None:
    """A task that can be made: the nearest other version, or one with a similar id."""
    name, _, number = env_id.rpartition("-v")
    family, version = (name, int(number)) if name and number.isdecimal() else (env_id, sys.maxsize)
    versions = {
        spec.id: spec.version
        for spec in gym.registry.values()
        if spec.version is not None and spec.id == f"{family}-v{spec.version}" != env_id
    }
    near = sorted(versions, key=lambda other: abs(versions[other] - version))
    similar = difflib.get_close_matches(env_id, gym.registry, n=MAX_ALTERNATIVES, cutoff=0.8)
    # An id that is registered and cannot be made is not a typing mistake.
    others = near if env_id in gym.registry else [*near, *similar]
    for other in others[:MAX_ALTERNATIVES]:
        with suppress(Exception):  # this one cannot be made either
            if other not in TASKS:
                _check_spaces(other)
            return other
    return None


def cause(error: BaseException) -> str:
    """What went wrong, on one line, with the type of an error that is not Gymnasium's."""
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, gym.error.Error) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def spaces_of(env_id: str, modules: Sequence[str] = ()) -> tuple[Box, Box]:
    """The observation space and the action space of a task.

    Raises:
        ModuleError: as in `make_vector`.
        EnvError: as in `make_vector`.
    """
    envs = make_vector(env_id, 1, modules)
    obs, action = envs.single_observation_space, envs.single_action_space
    envs.close()
    assert isinstance(obs, Box) and isinstance(action, Box)
    return obs, action


def action_space_of(env_id: str, modules: Sequence[str] = ()) -> Box:
    """The action space of a task.

    Raises:
        ModuleError: as in `make_vector`.
        EnvError: as in `make_vector`.
    """
    return spaces_of(env_id, modules)[1]


def reset(
    envs: VectorEnv, seeds: Sequence[int | None], mask: Bool[np.ndarray, " E"] | None = None
) -> Float[np.ndarray, "E O"]:
    """Reset the environments in `mask` (default: all); with seed None an environment continues its own generator.

    Returns all observations; those outside the mask are unchanged.
    """
    options = None if mask is None else {"reset_mask": mask}
    obs, _ = envs.reset(seed=list(seeds), options=options)  # pyright: ignore[reportArgumentType]: a seed each is allowed
    return obs


def time_limit(env_id: str, modules: Sequence[str] = ()) -> int | None:
    """Pairs after which a task truncates an episode; None if it never does."""
    own.load(modules)
    return gym.spec(env_id).max_episode_steps


def states(envs: VectorEnv) -> Float[np.ndarray, "E S"] | None:
    """The simulator states, as `reset_to` takes them; None if the task cannot be set to a state."""
    return envs.states() if isinstance(envs, BatchedVectorEnv) else None


def reset_to(
    envs: VectorEnv,
    state: Float[np.ndarray, "E S"],
    elapsed: Int[np.ndarray, " E"],
    seeds: Sequence[int | None],
    mask: Bool[np.ndarray, " E"],
) -> None:
    """Set the environments in `mask` to simulator states, `elapsed` pairs after the start of their episodes.

    Given the same noise, the trajectory is the one that continued from where the states were read. Use the observation
    that was recorded there: an engine may recompute derived quantities at the reset.
    """
    options = {"reset_mask": mask, "state": state, "elapsed": elapsed}
    envs.reset(seed=list(seeds), options=options)  # pyright: ignore[reportArgumentType]: a seed each is allowed


def park(envs: VectorEnv, mask: Bool[np.ndarray, " E"]) -> None:
    """Stop stepping the environments in `mask`; their episodes are over.

    An environment that cannot skip steps starts another episode, which is ignored; when that one ends, park it again.
    """
    if isinstance(envs, BatchedVectorEnv):
        envs.park(mask)
    else:
        reset(envs, [None] * envs.num_envs, mask)
