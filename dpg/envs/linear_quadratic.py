"""LinearQuadratic-v0: a task whose value functions and policy gradients have closed forms.

Dynamics s' = A s + B a + w with w ~ N(0, diag(noise_std^2)), initial states s_0 ~ N(mean, diag(std^2)), and reward
-(s'Q s + a'R a) of the state before the step. Nothing terminates; an episode is truncated after 200 steps. Neither
space is bounded, so that nothing is ever clipped. `dpg.probes.known_answers` has the closed forms.

Importing this module registers the task with Gymnasium.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from jaxtyping import Bool, Float, Int

from dpg.envs.batched import BatchedVectorEnv

ENV_ID = "LinearQuadratic-v0"
EPISODE_STEPS = 200


@dataclass(frozen=True)
class LinearQuadratic:
    """The constants of the task, and its equations for E environments at once."""

    dynamics: Float[np.ndarray, "O O"]
    control: Float[np.ndarray, "O A"]
    state_cost: Float[np.ndarray, "O O"]
    action_cost: Float[np.ndarray, "A A"]
    noise_std: Float[np.ndarray, " O"]
    initial_mean: Float[np.ndarray, " O"]
    initial_std: Float[np.ndarray, " O"]

    def initial_state(self, noise: Float[np.ndarray, "E O"]) -> Float[np.ndarray, "E O"]:
        """s_0 from standard normal noise."""
        return self.initial_mean + self.initial_std * noise

    def next_state(
        self, state: Float[np.ndarray, "E O"], action: Float[np.ndarray, "E A"], noise: Float[np.ndarray, "E O"]
    ) -> Float[np.ndarray, "E O"]:
        """s' = A s + B a + noise_std * noise, with standard normal noise."""
        return _product(self.dynamics, state) + _product(self.control, action) + self.noise_std * noise

    def reward(self, state: Float[np.ndarray, "E O"], action: Float[np.ndarray, "E A"]) -> Float[np.ndarray, " E"]:
        """-(s'Q s + a'R a)."""
        return -(_quadratic(self.state_cost, state) + _quadratic(self.action_cost, action))


def _product(matrix: Float[np.ndarray, "m n"], x: Float[np.ndarray, "E n"]) -> Float[np.ndarray, "E m"]:
    """matrix @ x of every row, summed in a fixed order: in BLAS the rounding depends on the number of rows."""
    return sum((x[:, index, None] * column for index, column in enumerate(matrix.T[1:], 1)), x[:, :1] * matrix[:, 0])


def _quadratic(matrix: Float[np.ndarray, "n n"], x: Float[np.ndarray, "E n"]) -> Float[np.ndarray, " E"]:
    """x' matrix x of every row."""
    image = _product(matrix, x)
    return sum((x[:, index] * image[:, index] for index in range(1, x.shape[1])), x[:, 0] * image[:, 0])


def _constant(*rows: Any) -> np.ndarray:
    array = np.array(rows, np.float64)
    array.setflags(write=False)
    return array


# Stable, coupled and not symmetric: a transposed matrix or a missing coupling changes the results.
TASK = LinearQuadratic(
    dynamics=_constant([0.9, 0.2, 0.0], [-0.1, 0.8, 0.2], [0.0, -0.2, 0.7]),
    control=_constant([0.0, 0.2], [0.3, 0.0], [0.1, -0.2]),
    state_cost=_constant([1.0, 0.2, 0.0], [0.2, 1.0, 0.0], [0.0, 0.0, 0.5]),
    action_cost=_constant([0.1, 0.02], [0.02, 0.2]),
    noise_std=_constant(0.2, 0.1, 0.3),
    initial_mean=_constant(1.0, -0.5, 0.5),
    initial_std=_constant(0.5, 0.4, 0.6),
)


def _episode_noise(generator: np.random.Generator) -> Float[np.ndarray, "steps O"]:
    """Standard normal noise of a whole episode, drawn at its reset: for the initial state, then for every step."""
    return generator.standard_normal((1 + EPISODE_STEPS, len(TASK.dynamics)))


class LinearQuadraticVectorEnv(BatchedVectorEnv):
    """The task as a vector. A start at `options["state"]` has the same noise as without it."""

    def __init__(self, num_envs: int) -> None:
        obs_dim, action_dim = TASK.control.shape
        spaces = Box(-np.inf, np.inf, (obs_dim,), np.float64), Box(-np.inf, np.inf, (action_dim,), np.float32)
        super().__init__(ENV_ID, num_envs, *spaces)
        self._state = np.zeros((num_envs, obs_dim))
        self._noise = np.zeros((num_envs, 1 + EPISODE_STEPS, obs_dim))

    def states(self) -> Float[np.ndarray, "E O"]:
        """The states."""
        return self._state.copy()

    _observation = states

    def _start(
        self, ids: Int[np.ndarray, " K"], rngs: list[np.random.Generator], state: Float[np.ndarray, "E O"] | None
    ) -> None:
        for index, rng in zip(ids, rngs, strict=True):
            self._noise[index] = _episode_noise(rng)
        start = TASK.initial_state(self._noise[:, 0]) if state is None else state
        self._state[ids] = start[ids]

    def _advance(self, actions: Float[np.ndarray, "E A"]) -> tuple[Float[np.ndarray, " E"], Bool[np.ndarray, " E"]]:
        wide = actions.astype(np.float64)
        reward = TASK.reward(self._state, wide)
        self._state = TASK.next_state(self._state, wide, self._noise[np.arange(self.num_envs), self._elapsed])
        return reward, np.zeros(self.num_envs, bool)


class LinearQuadraticEnv(gym.Env[np.ndarray, np.ndarray]):
    """A vector of one, without its leading axes, for `gymnasium.make`."""

    def __init__(self) -> None:
        self._vector = LinearQuadraticVectorEnv(1)
        self.observation_space = self._vector.single_observation_space
        self.action_space = self._vector.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, " O"], dict[str, Any]]:
        """Start an episode, at `options["state"]` if given."""
        super().reset(seed=seed)
        start = {"state": np.asarray(options["state"])[None]} if options and "state" in options else None
        obs, info = self._vector.reset(seed=seed, options=start)
        return obs[0], info

    def step(
        self, action: Float[np.ndarray, " A"]
    ) -> tuple[Float[np.ndarray, " O"], float, bool, bool, dict[str, Any]]:
        """One step; truncated at the time limit."""
        obs, reward, terminated, truncated, info = self._vector.step(action[None])
        return obs[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), info


# No vector entry point: Gymnasium would pass it arguments that the task does not take. `make_vector` makes the batch.
gym.register(
    ENV_ID,
    entry_point="dpg.envs.linear_quadratic:LinearQuadraticEnv",
    max_episode_steps=EPISODE_STEPS,
)
