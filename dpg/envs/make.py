"""The one door to environments: Gymnasium vector environments that reset when they are told to.

Every environment that comes through this door has Box observations and actions and autoreset mode DISABLED: `step`
returns the true next observation of an episode that ends, and the caller resets it with
`reset(options={"reset_mask": ...})`. Nothing outside `dpg.envs` knows what simulates.
"""

import importlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from jaxtyping import Bool, Float, Int

from dpg.envs import linear_quadratic
from dpg.envs.errors import EnvError
from dpg.envs.tasks import TASKS

__all__ = ["EnvError", "make_vector", "reset", "reset_to", "rest", "states", "time_limit"]


@runtime_checkable
class Settable(Protocol):
    """A vector environment whose `reset` takes `options["state"]`."""

    def states(self) -> Float[np.ndarray, "E S"]:
        """Where every simulation stands."""
        ...


@runtime_checkable
class Restful(Protocol):
    """A vector environment that can leave some of its simulations alone."""

    def rest(self, mask: Bool[np.ndarray, " E"]) -> None:
        """Until they are reset, steps pass those in `mask` by."""
        ...


def make_vector(env_id: str, num_envs: int, modules: Sequence[str] = ()) -> VectorEnv:
    """`num_envs` copies of a task: batched for `TASKS` and our own, one after the other for the rest.

    `modules` are imported first: they may register tasks of their own.

    Raises:
        EnvError: a module cannot be imported, the task is not installed, or its spaces are not flat Boxes.
    """
    import_modules(modules)
    if env_id in TASKS:
        # Late: the other tasks do without MuJoCo.
        from dpg.envs.mujoco_batch import MujocoBatchVectorEnv

        return MujocoBatchVectorEnv(env_id, num_envs)
    if env_id == linear_quadratic.ENV_ID:
        return linear_quadratic.LinearQuadraticVectorEnv(num_envs)
    try:
        spec = gym.spec(env_id)
        single = gym.make(spec, disable_env_checker=True)
    except gym.error.Error as error:
        raise EnvError(f"{env_id} cannot be made: {error}") from error
    single.close()
    for name, space in (("observation", single.observation_space), ("action", single.action_space)):
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise EnvError(f"{env_id}: the {name} space must be a Box of one axis, not {space}")
    return SyncVectorEnv(
        [lambda: gym.make(spec, disable_env_checker=True)] * num_envs,
        copy=False,
        autoreset_mode=AutoresetMode.DISABLED,
    )


def action_space_of(env_id: str, modules: Sequence[str] = ()) -> Box:
    """What actions a task takes.

    Raises:
        EnvError: as in `make_vector`.
    """
    envs = make_vector(env_id, 1, modules)
    space = envs.single_action_space
    envs.close()
    assert isinstance(space, Box)
    return space


def import_modules(modules: Sequence[str]) -> None:
    """Import modules for what they register with Gymnasium.

    Raises:
        EnvError: one cannot be imported.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise EnvError(f"common.env_modules = {module!r} cannot be imported: {error}") from error


def reset(
    envs: VectorEnv, seeds: Sequence[int | None], mask: Bool[np.ndarray, " E"] | None = None
) -> Float[np.ndarray, "E O"]:
    """Reset the environments in `mask` (default: all); a seed of None goes on with the environment's generator.

    Returns all observations: those outside the mask as they were.
    """
    options = None if mask is None else {"reset_mask": mask}
    obs, _ = envs.reset(seed=list(seeds), options=options)  # pyright: ignore[reportArgumentType]: a seed each is allowed
    return obs


def time_limit(env_id: str, modules: Sequence[str] = ()) -> int | None:
    """Pairs after which a task truncates an episode; None: never."""
    import_modules(modules)
    return gym.spec(env_id).max_episode_steps


def states(envs: VectorEnv) -> Float[np.ndarray, "E S"] | None:
    """Where every simulation stands, as `reset_to` takes it; None where a task cannot be put into a state."""
    return envs.states() if isinstance(envs, Settable) else None


def reset_to(
    envs: VectorEnv,
    state: Float[np.ndarray, "E S"],
    elapsed: Int[np.ndarray, " E"],
    seeds: Sequence[int | None],
    mask: Bool[np.ndarray, " E"],
) -> None:
    """Put the environments in `mask` into states, `elapsed` pairs after the start of their episodes.

    What follows is what would have followed where the states were read, given the same noise. The observation at a
    state is the one that was seen there: engines may hold what they have derived since.
    """
    options = {"reset_mask": mask, "state": state, "elapsed": elapsed}
    envs.reset(seed=list(seeds), options=options)  # pyright: ignore[reportArgumentType]: a seed each is allowed


def rest(envs: VectorEnv, mask: Bool[np.ndarray, " E"]) -> None:
    """The episodes in `mask` have ended, and no other is to follow: the environments are stepped in vain no longer.

    Those that cannot rest begin another episode, which nobody looks at; it may end, and they have to rest again.
    """
    if isinstance(envs, Restful):
        envs.rest(mask)
    else:
        reset(envs, [None] * envs.num_envs, mask)
