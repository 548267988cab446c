"""The peers: raw `mj_step`, and Gymnasium's own environments."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from dpg.envs.tasks import TASKS
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import Streams

ASSETS = Path(gym.__file__).parent / "envs" / "mujoco" / "assets"
WHOLE_STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)


def make_gymnasium(env_id: str) -> gym.Env[Any, Any]:
    """One environment, without Gymnasium's checker, which costs time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "-v4 is out of date"
        return gym.make(env_id, disable_env_checker=True)


def make_gymnasium_vector(env_id: str, num_envs: int) -> VectorEnv:
    """Gymnasium's own vector environment, as `collect` takes it."""
    return SyncVectorEnv(
        [lambda: make_gymnasium(env_id)] * num_envs,
        copy=False,
        autoreset_mode=AutoresetMode.DISABLED,
    )


class RawReplay:
    """The physics of recorded streams and nothing else, one stream after another in one `mjData`.

    `mj_step` visits exactly the states of the streams: it starts from each episode's initial state and receives the
    recorded actions, clipped.

    Raises:
        RuntimeError: the replay does not end in the last stream's final state.
    """

    def __init__(self, env_id: str, seeds: Sequence[Seed], streams: Streams) -> None:
        task = TASKS[env_id]
        self._frame_skip = task.frame_skip
        self._num_pairs = streams.reward.size
        self._model = mujoco.MjModel.from_xml_path(str(ASSETS / task.xml_file))
        self._data = mujoco.MjData(self._model)
        low, high = self._model.actuator_ctrlrange.T
        self._episodes: list[tuple[np.ndarray, np.ndarray]] = []
        for stream, seed in enumerate(seeds):
            rng, _ = seeding.np_random((seed / "env").integer())
            ends = np.flatnonzero(streams.done[stream][:-1]) + 1
            for actions in np.split(np.clip(streams.action[stream].astype(np.float64), low, high), ends):
                qpos, qvel = task.initial_state(rng, self._model.qpos0, self._model.nv)
                self._episodes.append((self._start(qpos, qvel), actions))
        self.run()
        self._check(env_id, streams)

    def run(self) -> int:
        """Replay all episodes; returns the number of pairs."""
        model, data, frame_skip = self._model, self._data, self._frame_skip
        for start, actions in self._episodes:
            mujoco.mj_setState(model, data, start, WHOLE_STATE)
            for action in actions:
                data.ctrl[:] = action
                mujoco.mj_step(model, data, nstep=frame_skip)
        return self._num_pairs

    def _start(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:], self._data.qvel[:] = qpos, qvel
        mujoco.mj_forward(self._model, self._data)
        state = np.empty(mujoco.mj_stateSize(self._model, WHOLE_STATE))
        mujoco.mj_getState(self._model, self._data, state, WHOLE_STATE)
        return state

    def _check(self, env_id: str, streams: Streams) -> None:
        if streams.terminated[-1, -1]:
            return  # `end_obs` is not the final state after a termination
        # Observations start with the positions, without the horizontal ones.
        skipped = 2 if "Humanoid" in env_id else 1
        positions = self._data.qpos[skipped:]
        if not np.array_equal(positions, streams.end_obs[-1, : len(positions)]):
            raise RuntimeError(f"{env_id}: raw mj_step did not visit the states of the streams")
