"""The peers: raw `mj_step`, and Gymnasium's own environments."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Recording:
    """The actions of the consecutive episodes of one environment, and its last observation where it is known."""

    seed: Seed
    episodes: Sequence[np.ndarray]
    last_obs: np.ndarray | None


def recordings(seeds: Sequence[Seed], streams: Streams) -> list[Recording]:
    """Those of streams. After a termination, `end_obs` has not the last observation."""
    return [
        Recording(
            seed,
            np.split(streams.action[row], np.flatnonzero(streams.done[row][:-1]) + 1),
            None if streams.terminated[row, -1] else streams.end_obs[streams.end_at[:, 0] == row][-1],
        )
        for row, seed in enumerate(seeds)
    ]


class RawReplay:
    """The physics of recorded episodes and nothing else, one after another in one `mjData`.

    `mj_step` visits exactly the recorded states: it starts from each episode's initial state and receives the actions,
    clipped.

    Raises:
        RuntimeError: the replay of the last recording does not end in its last state.
    """

    def __init__(self, env_id: str, recorded: Sequence[Recording]) -> None:
        task = TASKS[env_id]
        self._frame_skip = task.frame_skip
        self._num_pairs = sum(len(actions) for one in recorded for actions in one.episodes)
        self._model = mujoco.MjModel.from_xml_path(str(ASSETS / task.xml_file))
        self._data = mujoco.MjData(self._model)
        low, high = self._model.actuator_ctrlrange.T
        self._episodes: list[tuple[np.ndarray, np.ndarray]] = []
        for one in recorded:
            rng, _ = seeding.np_random((one.seed / "env").integer())
            for actions in one.episodes:
                qpos, qvel = task.initial_state(rng, self._model.qpos0, self._model.nv)
                self._episodes.append((self._start(qpos, qvel), np.clip(actions.astype(np.float64), low, high)))
        self.run()
        self._check(env_id, recorded[-1].last_obs)

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

    def _check(self, env_id: str, last_obs: np.ndarray | None) -> None:
        # Observations start with the positions, without the horizontal ones.
        skipped = 2 if "Humanoid" in env_id else 1
        positions = self._data.qpos[skipped:]
        if last_obs is not None and not np.array_equal(positions, last_obs[: len(positions)]):
            raise RuntimeError(f"{env_id}: raw mj_step did not visit the recorded states")
