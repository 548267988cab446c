"""The batched MuJoCo environments: Gymnasium's Hopper, Walker2d and Humanoid, a whole vector in one call.

The same seeds and actions give the same observations, rewards and ends as `SyncVectorEnv` over `gymnasium.make`, bit
for bit, whatever the number of threads.
"""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float
from mujoco import MjModel, mjtState, mjtWarning  # pyright: ignore[reportAttributeAccessIssue]: no stubs

from dpg.envs.errors import EnvError
from dpg.envs.native_batch import NativeBatch
from dpg.envs.resets import check_step, each_seed, elapsed_pairs, reset_mask
from dpg.envs.tasks import TASKS, Physics

_Steps = tuple[
    Float[np.ndarray, "E O"],
    Float[np.ndarray, " E"],
    Bool[np.ndarray, " E"],
    Bool[np.ndarray, " E"],
    dict[str, Any],
]


@cache
def _model(xml_file: str) -> MjModel:
    """One of Gymnasium's models, read once in a process; batches copy it."""
    path = Path(gym.__file__).parent / "envs" / "mujoco" / "assets" / xml_file
    return MjModel.from_xml_path(str(path))


class MujocoBatchVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` environments of a task in `TASKS`, with autoreset mode DISABLED, on `num_threads` threads.

    Every environment has its own generator, as in Gymnasium. An unstable simulation continues as Gymnasium's does, from
    where MuJoCo resets it (the model's initial state), with a RuntimeWarning.

    Raises:
        EnvError: the simulations cannot be made; or, in `step` and `reset`, MuJoCo raised an error.
    """

    def __init__(self, env_id: str, num_envs: int, num_threads: int = 1) -> None:
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED}
        self._env_id = env_id
        self._task = TASKS[env_id]
        limit = gym.spec(env_id).max_episode_steps
        assert limit is not None
        self._max_episode_steps = limit
        model = self._model = _model(self._task.xml_file)
        self._step_seconds = model.opt.timestep * self._task.frame_skip
        self._has_contact_forces = "cfrc_ext" in self._task.outputs
        self._batch = NativeBatch(model, num_envs, num_threads, persistent=self._has_contact_forces)
        self._physics = Physics(
            self._batch.state(mjtState.mjSTATE_QPOS),
            self._batch.state(mjtState.mjSTATE_QVEL),
            self._batch.state(mjtState.mjSTATE_CTRL),
            {name: self._batch.output(name) for name in self._task.outputs},
            model.body_mass,
        )
        low, high = model.actuator_ctrlrange.astype(np.float32).T
        self.single_action_space = Box(low, high, dtype=np.float32)
        obs_dim = self._task.observation(self._physics).shape[1]
        self.single_observation_space = Box(-np.inf, np.inf, (obs_dim,), np.float64)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._generators: list[np.random.Generator | None] = [None] * num_envs
        self._x = np.zeros(num_envs)
        self._elapsed = np.zeros(num_envs, np.int64)
        self._needs_reset = np.ones(num_envs, bool)
        self._parked = np.zeros(num_envs, bool)
        self._warnings = self._batch.warnings
        self._reported = np.zeros_like(self._warnings)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, "E O"], dict[str, Any]]:
        """Start new episodes in all environments, or in those of `options["reset_mask"]`.

        Seeds are as in `SyncVectorEnv`: a list has one for each; a number n stands for n, n + 1, ...; with None, an
        environment continues its generator. `options["state"]` (E, S), as `states` returns it, sets where those that
        are reset start, and `options["elapsed"]` (E,) the pairs since their episodes began (default: 0). Returns all
        observations; those outside the mask are unchanged.

        Raises:
            ValueError: the seeds, the mask or the states do not fit the environments.
        """
        seeds = each_seed(seed, self.num_envs)
        ids = np.flatnonzero(reset_mask(options, self.num_envs))
        rows = None if options is None else options.get("state")
        if rows is not None and np.shape(rows) != (self.num_envs, self._batch.rows.shape[1] + 1):
            expected = (self.num_envs, self._batch.rows.shape[1] + 1)
            raise ValueError(f"{self._env_id}: states of shape {np.shape(rows)}, not {expected}")
        self._batch.clear(ids)
        for index in ids.tolist():
            generator = self._generators[index]
            if seeds[index] is not None or generator is None:
                generator = self._generators[index] = seeding.np_random(seeds[index])[0]
            state = self._task.initial_state(generator, self._model.qpos0, self._model.nv)
            self._physics.qpos[index], self._physics.qvel[index] = state
        if rows is not None:
            self._batch.rows[ids] = rows[ids, :-1]
        self._batch.forward(ids)
        x = self._task.x_position(self._physics)
        if rows is not None:
            # Restored: a forward call leaves its own warm start, and body positions a substep ahead.
            self._batch.rows[ids] = rows[ids, :-1]
            x[ids] = rows[ids, -1]
        self._x[ids] = x[ids]
        self._elapsed[ids] = elapsed_pairs(options, self.num_envs)[ids]
        self._needs_reset[ids] = False
        self._parked[ids] = False
        self._reported[ids] = 0
        return self._task.observation(self._physics), {}

    def states(self) -> Float[np.ndarray, "E S"]:
        """The state rows and the robots' x along the track, as `options["state"]` takes them.

        After a reset to a state the trajectory continues bit for bit as where it was read. Only the observation at the
        reset itself differs, by a substep, in tasks that observe derived quantities (Humanoid).
        """
        return np.column_stack([self._batch.rows, self._x])

    def park(self, mask: Bool[np.ndarray, " E"]) -> None:
        """Steps skip the environments in `mask`, at no cost, until they are reset.

        A parked environment keeps its state and does not end; its rewards have no meaning.
        """
        self._parked |= mask
        self._needs_reset &= ~mask

    def step(self, actions: Float[np.ndarray, "E A"]) -> _Steps:
        """Observations (E, O), rewards, terminated and truncated (E,) in new arrays, and an empty dictionary.

        Raises:
            gymnasium.error.ResetNeeded: an environment's episode has ended, or was never started.
            ValueError: the actions do not have the shape of the action space.
            EnvError: an action is not a number.
        """
        assert self.action_space.shape is not None
        check_step(self._env_id, self._needs_reset, actions, self.action_space.shape)
        self._physics.ctrl[:] = actions
        ids = np.flatnonzero(~self._parked) if self._parked.any() else None
        self._batch.step(self._task.frame_skip, ids)
        if self._has_contact_forces:
            self._batch.add_contact_forces(ids)
        if self._warnings.any():
            self._report_warnings()
        x = self._task.x_position(self._physics)
        x_velocity = (x - self._x) / self._step_seconds
        self._x = x
        healthy = self._task.healthy(self._physics)
        reward = self._task.reward(self._physics, actions, x_velocity, healthy)
        self._elapsed += 1
        terminated = ~healthy & ~self._parked
        truncated = (self._elapsed >= self._max_episode_steps) & ~self._parked
        self._needs_reset = terminated | truncated
        return self._task.observation(self._physics), reward, terminated, truncated, {}

    def _report_warnings(self) -> None:
        """Report the warnings that MuJoCo counted since the last report."""
        found = self._warnings.copy()
        new = np.argwhere(found > self._reported)
        self._reported = found
        for index, number in new.tolist():
            kind = mjtWarning(number)
            if kind == mjtWarning.mjWARN_BADCTRL:
                raise EnvError(f"{self._env_id}: an action in environment {index} is not finite or is huge")
            what = kind.name.removeprefix("mjWARN_")
            warnings.warn(
                f"{self._env_id}: MuJoCo warns of {what} in environment {index}. After BADQPOS, BADQVEL and BADQACC, "
                "signs of an unstable simulation, it has put the robot back to where the model starts.",
                RuntimeWarning,
                stacklevel=3,
            )
