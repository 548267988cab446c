"""What vector environments that compute all their environments at once have in common."""

from abc import ABC, abstractmethod
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float, Int

Seeds = int | list[int | None] | None
Steps = tuple[
    Float[np.ndarray, "E O"],
    Float[np.ndarray, " E"],
    Bool[np.ndarray, " E"],
    Bool[np.ndarray, " E"],
    dict[str, Any],
]


class BatchedVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray], ABC):
    """`num_envs` environments of one task with autoreset mode DISABLED, which can be set to simulator states.

    Every environment has its own generator, so that it does not depend on the others in the vector.
    """

    def __init__(self, env_id: str, num_envs: int, obs_space: Box, action_space: Box) -> None:
        self.env_id, self.num_envs = env_id, num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED}
        self.single_observation_space, self.single_action_space = obs_space, action_space
        self.observation_space = batch_space(obs_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        limit = gym.spec(env_id).max_episode_steps
        assert limit is not None
        self._max_episode_steps = limit
        self._generators: list[np.random.Generator | None] = [None] * num_envs
        self._elapsed = np.zeros(num_envs, np.int64)
        self._needs_reset = np.ones(num_envs, bool)

    @abstractmethod
    def states(self) -> Float[np.ndarray, "E S"]:
        """The simulator states, as `options["state"]` takes them."""

    @abstractmethod
    def _observation(self) -> Float[np.ndarray, "E O"]:
        """The observations, in a new array."""

    @abstractmethod
    def _start(
        self, ids: Int[np.ndarray, " K"], rngs: list[np.random.Generator], state: Float[np.ndarray, "E S"] | None
    ) -> None:
        """Start episodes in the environments `ids`, at rows of `state`, if given, without changing what is drawn."""

    @abstractmethod
    def _advance(self, actions: Float[np.ndarray, "E A"]) -> tuple[Float[np.ndarray, " E"], Bool[np.ndarray, " E"]]:
        """Rewards and terminated after one step; `_elapsed` counts it already."""

    def reset(
        self, *, seed: Seeds = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, "E O"], dict[str, Any]]:
        """Start new episodes in all environments, or in those of `options["reset_mask"]`.

        Seeds are as in `SyncVectorEnv`: a list has one for each; a number n stands for n, n + 1, ...; with None, an
        environment continues its generator. `options["state"]` (E, S), as `states` returns it, sets where those that
        are reset start, and `options["elapsed"]` (E,) the pairs since their episodes began (default: 0). Returns all
        observations; those outside the mask are unchanged.

        Raises:
            ValueError: the seeds, the mask or the states do not fit the environments.
        """
        options, count = options or {}, self.num_envs
        mask = options.get("reset_mask", np.ones(count, bool))
        if not (isinstance(mask, np.ndarray) and mask.shape == (count,) and mask.dtype == bool and mask.any()):
            raise ValueError(f"reset_mask must be {count} booleans, at least one of them true; found {mask!r}")
        seeds = (
            [None if seed is None else seed + index for index in range(count)] if not isinstance(seed, list) else seed
        )
        if len(seeds) != count:
            raise ValueError(f"{count} environments need as many seeds, not {len(seeds)}")
        state = options.get("state")
        if state is not None and np.shape(state) != (expected := self.states().shape):
            raise ValueError(f"{self.env_id}: states of shape {np.shape(state)}, not {expected}")
        ids = np.flatnonzero(mask)
        self._start(ids, [self._generator(index, seeds[index]) for index in ids.tolist()], state)
        self._elapsed[ids] = options.get("elapsed", np.zeros(count, np.int64))[ids]
        self._needs_reset[ids] = False
        return self._observation(), {}

    def _generator(self, index: int, seed: int | None) -> np.random.Generator:
        """The generator of an environment, made anew from a seed."""
        generator = self._generators[index]
        if seed is not None or generator is None:
            generator = self._generators[index] = seeding.np_random(seed)[0]
        return generator

    def step(self, actions: Float[np.ndarray, "E A"]) -> Steps:
        """Observations (E, O), rewards, terminated and truncated (E,) in new arrays, and an empty dictionary.

        Raises:
            gymnasium.error.ResetNeeded: an environment's episode has ended, or was never started.
            ValueError: the actions do not have the shape of the action space.
            EnvError: the simulator refuses them.
        """
        if np.count_nonzero(self._needs_reset):  # `any` takes several times as long
            ended = np.flatnonzero(self._needs_reset).tolist()
            raise gym.error.ResetNeeded(f"{self.env_id}: environments {ended} must be reset before they step")
        if actions.shape != self.action_space.shape:
            raise ValueError(f"{self.env_id}: actions of shape {actions.shape}, not {self.action_space.shape}")
        self._elapsed += 1
        reward, terminated = self._advance(actions)
        truncated = self._elapsed >= self._max_episode_steps
        self._needs_reset = terminated | truncated
        return self._observation(), reward, terminated, truncated, {}

    def park(self, mask: Bool[np.ndarray, " E"]) -> None:
        """Stop stepping the environments in `mask` until they are reset; by default they start episodes to ignore."""
        self.reset(options={"reset_mask": mask})
