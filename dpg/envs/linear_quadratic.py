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
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float

from dpg.envs.resets import check_step, each_seed, elapsed_pairs, reset_mask

ENV_ID = "LinearQuadratic-v0"
EPISODE_STEPS = 200

_Step = tuple[Float[np.ndarray, " O"], float, bool, bool, dict[str, Any]]
_Steps = tuple[
    Float[np.ndarray, "E O"],
    Float[np.ndarray, " E"],
    Bool[np.ndarray, " E"],
    Bool[np.ndarray, " E"],
    dict[str, Any],
]


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


def _spaces() -> tuple[Box, Box]:
    obs_dim, action_dim = TASK.control.shape
    return Box(-np.inf, np.inf, (obs_dim,), np.float64), Box(-np.inf, np.inf, (action_dim,), np.float32)


def _episode_noise(generator: np.random.Generator) -> Float[np.ndarray, "steps O"]:
    """Standard normal noise of a whole episode, drawn at its reset: for the initial state, then for every step."""
    return generator.standard_normal((1 + EPISODE_STEPS, len(TASK.dynamics)))


class LinearQuadraticEnv(gym.Env[np.ndarray, np.ndarray]):
    """One environment. `reset(options={"state": s})` starts from s, with the same noise as without it."""

    def __init__(self) -> None:
        self.observation_space, self.action_space = _spaces()
        self._state = np.zeros(self.observation_space.shape)
        self._noise = np.zeros((0, *self.observation_space.shape))
        self._elapsed = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, " O"], dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        self._noise = _episode_noise(self.np_random)
        self._state = TASK.initial_state(self._noise[:1])[0]
        if options is not None and "state" in options:
            self._state = np.array(options["state"], np.float64)
        self._elapsed = 0
        return self._state.copy(), {}

    def step(self, action: Float[np.ndarray, " A"]) -> _Step:
        """One step; truncated at the time limit.

        Raises:
            gymnasium.error.ResetNeeded: the episode has ended, or was never started.
            ValueError: the action does not have the shape of the action space.
        """
        ended = self._elapsed + 1 >= len(self._noise)
        assert self.action_space.shape is not None
        check_step(ENV_ID, np.array([ended]), action, self.action_space.shape)
        self._elapsed += 1
        state, wide = self._state[None], action[None].astype(np.float64)
        self._state = TASK.next_state(state, wide, self._noise[None, self._elapsed])[0]
        return self._state.copy(), float(TASK.reward(state, wide)[0]), False, self._elapsed == EPISODE_STEPS, {}


class LinearQuadraticVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` environments with autoreset mode DISABLED, equal to `LinearQuadraticEnv` bit for bit.

    Every environment has its own generator, so that it does not depend on the others in the vector.
    """

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED}
        self.single_observation_space, self.single_action_space = _spaces()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators: list[np.random.Generator | None] = [None] * num_envs
        obs_dim = len(TASK.dynamics)
        self._state = np.zeros((num_envs, obs_dim))
        self._noise = np.zeros((num_envs, 1 + EPISODE_STEPS, obs_dim))
        self._elapsed = np.zeros(num_envs, np.int64)
        self._needs_reset = np.ones(num_envs, bool)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, "E O"], dict[str, Any]]:
        """Start new episodes in all environments, or in those of `options["reset_mask"]`.

        Seeds are as in `SyncVectorEnv`. `options["state"]` (E, O) sets where those that are reset start; by default
        their generators draw it. `options["elapsed"]` (E,) are the pairs since their episodes began (default: 0).
        Returns all observations; those outside the mask are unchanged.

        Raises:
            ValueError: the seeds, the mask or the states do not fit the environments.
        """
        seeds = each_seed(seed, self.num_envs)
        ids = np.flatnonzero(reset_mask(options, self.num_envs))
        for index in ids.tolist():
            generator = self._generators[index]
            if seeds[index] is not None or generator is None:
                generator = self._generators[index] = seeding.np_random(seeds[index])[0]
            self._noise[index] = _episode_noise(generator)
        state = TASK.initial_state(self._noise[:, 0])
        if options is not None and "state" in options:
            state = options["state"]
            if np.shape(state) != self._state.shape:
                raise ValueError(f"{ENV_ID}: states of shape {np.shape(state)}, not {self._state.shape}")
        self._state[ids] = state[ids]
        self._elapsed[ids] = elapsed_pairs(options, self.num_envs)[ids]
        self._needs_reset[ids] = False
        return self._state.copy(), {}

    def states(self) -> Float[np.ndarray, "E O"]:
        """The states, as `options["state"]` takes them."""
        return self._state.copy()

    def step(self, actions: Float[np.ndarray, "E A"]) -> _Steps:
        """Observations (E, O), rewards, terminated and truncated (E,) in new arrays, and an empty dictionary.

        Raises:
            gymnasium.error.ResetNeeded: an environment's episode has ended, or was never started.
            ValueError: the actions do not have the shape of the action space.
        """
        assert self.action_space.shape is not None
        check_step(ENV_ID, self._needs_reset, actions, self.action_space.shape)
        wide = actions.astype(np.float64)
        reward = TASK.reward(self._state, wide)
        self._elapsed += 1
        noise = self._noise[np.arange(self.num_envs), self._elapsed]
        self._state = TASK.next_state(self._state, wide, noise)
        truncated = self._elapsed == EPISODE_STEPS
        self._needs_reset = truncated.copy()
        return self._state.copy(), reward, np.zeros(self.num_envs, bool), truncated, {}


# No vector entry point: Gymnasium would pass it arguments that the task does not take. `make_vector` makes the batch.
gym.register(
    ENV_ID,
    entry_point="dpg.envs.linear_quadratic:LinearQuadraticEnv",
    max_episode_steps=EPISODE_STEPS,
)
