"""The batched MuJoCo environments: Gymnasium's Hopper, Walker2d and Humanoid, a whole vector in one call.

The same seeds and actions give the same observations, rewards and ends as `SyncVectorEnv` over `gymnasium.make`, bit
for bit.
"""

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from jaxtyping import Bool, Float, Int
from mujoco import MjData, MjModel, mj_rnePostConstraint, mjtStage, mjtWarning  # pyright: ignore[reportAttributeAccessIssue]
from mujoco.batch import Batch, SimulationError

from dpg.envs.batched import BatchedVectorEnv
from dpg.envs.errors import EnvError
from dpg.envs.tasks import TASKS, Physics


@cache
def _model(xml_file: str) -> MjModel:
    """One of Gymnasium's models, read once in a process; batches copy it."""
    path = Path(gym.__file__).parent / "envs" / "mujoco" / "assets" / xml_file
    return MjModel.from_xml_path(str(path))


class MujocoBatchVectorEnv(BatchedVectorEnv):
    """A task in `TASKS` as a vector, on the thread that calls.

    An unstable simulation continues as Gymnasium's does, from where MuJoCo resets it (the model's initial state), with
    a RuntimeWarning. After a reset to a state the trajectory continues bit for bit as where it was read; only the
    observation at the reset itself differs, by a substep, in tasks that observe derived quantities (Humanoid).

    Raises:
        EnvError: the simulations cannot be made; or, in `step` and `reset`, MuJoCo raised an error.
    """

    def __init__(self, env_id: str, num_envs: int) -> None:
        task = self._task = TASKS[env_id]
        model = self._model = _model(task.xml_file)
        self._step_seconds = model.opt.timestep * task.frame_skip
        # Only a simulation's own MjData holds what its contact forces are computed from.
        self._data = MjData(model) if "cfrc_ext" in task.outputs else None
        try:
            self._batch = Batch(model, num_envs, nthread=1, persistent=self._data is not None)
        except ValueError as error:
            raise EnvError(f"{env_id}: MuJoCo cannot make {num_envs} simulations: {error}") from error
        outputs = {name: self._batch.bind(name).reshape(num_envs, -1) for name in task.outputs}
        if self._data is not None:
            outputs["cfrc_ext"] = self._contact_forces = np.zeros_like(outputs["cfrc_ext"])
        qpos, qvel, ctrl = (self._batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self._physics = Physics(qpos, qvel, ctrl, outputs, model.body_mass)
        low, high = model.actuator_ctrlrange.astype(np.float32).T
        obs_space = Box(-np.inf, np.inf, (task.observation(self._physics).shape[1],), np.float64)
        super().__init__(env_id, num_envs, obs_space, Box(low, high, dtype=np.float32))
        self._x = np.zeros(num_envs)
        self._parked = np.zeros(num_envs, bool)
        self._reported = np.zeros_like(self._batch.warning[:, :, 1])

    def states(self) -> Float[np.ndarray, "E S"]:
        """The state rows, the solver's warm start included, and the robots' x along the track."""
        return np.column_stack([self._batch.state, self._x])

    def park(self, mask: Bool[np.ndarray, " E"]) -> None:
        """Steps skip the environments in `mask`, at no cost, until they are reset.

        A parked environment keeps its state and does not end; its rewards have no meaning.
        """
        self._parked |= mask
        self._needs_reset &= ~mask

    def _observation(self) -> Float[np.ndarray, "E O"]:
        return self._task.observation(self._physics)

    def _start(
        self, ids: Int[np.ndarray, " K"], rngs: list[np.random.Generator], state: Float[np.ndarray, "E S"] | None
    ) -> None:
        self._batch.reset(ids, stage=mjtStage.mjSTAGE_NONE)
        for index, rng in zip(ids, rngs, strict=True):
            start = self._task.initial_state(rng, self._model.qpos0, self._model.nv)
            self._physics.qpos[index], self._physics.qvel[index] = start
        if state is not None:
            self._batch.state[ids] = state[ids, :-1]
        self._raising_env_errors(self._batch.forward, ids)
        x = self._task.x_position(self._physics)
        if state is not None:
            # Restored: a forward call leaves its own warm start, and body positions a substep ahead.
            self._batch.state[ids] = state[ids, :-1]
            x[ids] = state[ids, -1]
        self._x[ids] = x[ids]
        self._parked[ids] = False
        self._reported[ids] = 0
        if self._data is not None:
            self._contact_forces[ids] = 0.0

    def _advance(self, actions: Float[np.ndarray, "E A"]) -> tuple[Float[np.ndarray, " E"], Bool[np.ndarray, " E"]]:
        self._physics.ctrl[:] = actions
        awake = ~self._parked if np.count_nonzero(self._parked) else None
        self._raising_env_errors(self._batch.step, awake, nstep=self._task.frame_skip)
        if self._data is not None:
            self._compute_contact_forces(self._data)
        if np.count_nonzero(self._batch.warning):
            self._report_warnings()
        x = self._task.x_position(self._physics)
        x_velocity = (x - self._x) / self._step_seconds
        self._x = x
        healthy = self._task.healthy(self._physics)
        terminated = ~healthy
        if awake is not None:  # the others do not end
            terminated &= awake
            self._elapsed[self._parked] = 0
        return self._task.reward(self._physics, actions, x_velocity, healthy), terminated

    def _raising_env_errors(self, function: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Call `function`; an error of the engine is an `EnvError`."""
        try:
            function(*args, **kwargs)
        except SimulationError as error:
            raise EnvError(f"{self.env_id}: {error}") from error

    def _compute_contact_forces(self, data: MjData) -> None:
        """`cfrc_ext` as `mj_rnePostConstraint` computes it, which steps do not call."""
        for index in np.flatnonzero(~self._parked).tolist():
            self._batch.get_data(index, data)
            mj_rnePostConstraint(self._model, data)
            self._contact_forces[index] = data.cfrc_ext.ravel()

    def _report_warnings(self) -> None:
        """Report the warnings that MuJoCo counted since the last report."""
        found = self._batch.warning[:, :, 1].copy()
        new = np.argwhere(found > self._reported)
        self._reported = found
        for index, number in new.tolist():
            kind = mjtWarning(number)
            if kind == mjtWarning.mjWARN_BADCTRL:
                raise EnvError(f"{self.env_id}: an action in environment {index} is not finite or is huge")
            what = kind.name.removeprefix("mjWARN_")
            warnings.warn(
                f"{self.env_id}: MuJoCo warns of {what} in environment {index}. After BADQPOS, BADQVEL and BADQACC, "
                "signs of an unstable simulation, it has put the robot back to where the model starts.",
                RuntimeWarning,
                stacklevel=4,
            )
