"""How fast streams are collected on one core: against raw `mj_step`, and against Gymnasium's own vector environment.

Ours and Gymnasium's go through the same `collect` with the same policies, observations and rewards included. Raw
`mj_step` visits the very states of our streams: it is given the state at each episode's start and the recorded actions,
and does nothing else. All are timed in turn, in CPU seconds of this process, so that other programs count little; a
ratio is taken within each repeat, and its median is reported.
"""

import os

# Before NumPy is loaded: one thread for its matrix products.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from dpg.agent.acting import Actor
from dpg.agent.population import Architecture, initialize
from dpg.envs.make import make_vector
from dpg.envs.tasks import TASKS
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import Streams, collect

NUM_AGENTS = 8
PAIRS_A_REPEAT = 3200
ASSETS = Path(gym.__file__).parent / "envs" / "mujoco" / "assets"
WHOLE_STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)
# The least that ours should reach over Gymnasium, and over raw mj_step with 32 environments.
OVER_GYMNASIUM = {"Hopper-v4": 1.3, "Walker2d-v4": 1.15, "Humanoid-v4": 1.15}
OVER_RAW = 0.85


@dataclass(frozen=True)
class Case:
    """One task with so many environments, and the pairs that each of them collects in a repeat."""

    env_id: str
    num_envs: int
    num_pairs: int

    @property
    def seeds(self) -> list[Seed]:
        """A seed for every stream."""
        return [Seed(0) / "benchmark" / index for index in range(self.num_envs)]


def measure(repeats: int = 7, env_ids: tuple[str, ...] = tuple(OVER_GYMNASIUM)) -> list[dict[str, Any]]:
    """One record a comparison: name, ours, peer, ratio, target (None: none is set), unit, and the ratio's spread.

    `ours` and `peer` are medians; `ratio` is the median, `spread` the least and greatest of the repeats' own ratios.
    """
    records: list[dict[str, Any]] = []
    for env_id in env_ids:
        for num_envs in (8, 32):
            records += _measure_case(Case(env_id, num_envs, PAIRS_A_REPEAT // num_envs), repeats)
    return records


def _measure_case(case: Case, repeats: int) -> list[dict[str, Any]]:
    ours = make_vector(case.env_id, case.num_envs)
    gymnasium = _gymnasium(case)
    actor = _actor(ours)
    streams = _collect(case, actor, ours)
    replay = _RawReplay(case, streams)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: _collect(case, actor, ours),
        "raw mj_step": replay.run,
        "gymnasium": lambda: _collect(case, actor, gymnasium),
    }
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats + 1):
        for name, run in contenders.items():
            speed = case.num_envs * case.num_pairs / _cpu_seconds(run)
            if repeat:  # the first warms caches
                speeds[name].append(speed)
    ours.close()
    gymnasium.close()
    targets = {"raw mj_step": OVER_RAW if case.num_envs == 32 else None, "gymnasium": OVER_GYMNASIUM[case.env_id]}
    return [_record(case, speeds, peer, target) for peer, target in targets.items()]


def _record(case: Case, speeds: dict[str, list[float]], peer: str, target: float | None) -> dict[str, Any]:
    ratios = [mine / theirs for mine, theirs in zip(speeds["ours"], speeds[peer], strict=True)]
    return {
        "name": f"rollout, {case.env_id}, {case.num_envs} environments, one core, against {peer}",
        "ours": statistics.median(speeds["ours"]),
        "peer": statistics.median(speeds[peer]),
        "ratio": statistics.median(ratios),
        "target": target,
        "unit": "pairs per CPU second",
        "spread": (min(ratios), max(ratios)),
    }


def _cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _gymnasium(case: Case) -> VectorEnv:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "-v4 is out of date"
        return SyncVectorEnv(
            [lambda: gym.make(case.env_id, disable_env_checker=True)] * case.num_envs,
            copy=False,
            autoreset_mode=AutoresetMode.DISABLED,
        )


def _actor(envs: VectorEnv) -> Actor:
    """Freshly initialised agents with the networks of `params.yaml`."""
    spaces = (envs.single_observation_space, envs.single_action_space)
    assert all(isinstance(space, Box) for space in spaces)
    obs_dim, action_dim = (space.shape[0] for space in spaces if space.shape)
    architecture = Architecture(obs_dim, action_dim, (64, 64), (64, 64), obs_clip=10.0)
    return Actor.of(initialize(architecture, "orthogonal", [Seed(0) / "agent" / index for index in range(NUM_AGENTS)]))


def _collect(case: Case, actor: Actor, envs: VectorEnv) -> Streams:
    return collect(actor, envs, case.seeds, case.num_pairs, clip_actions=True)


class _RawReplay:
    """The physics of recorded streams, and nothing else: one stream after the other in one `mjData`."""

    def __init__(self, case: Case, streams: Streams) -> None:
        task = TASKS[case.env_id]
        self._frame_skip = task.frame_skip
        self._model = mujoco.MjModel.from_xml_path(str(ASSETS / task.xml_file))
        self._data = mujoco.MjData(self._model)
        low, high = self._model.actuator_ctrlrange.T
        self._episodes: list[tuple[np.ndarray, np.ndarray]] = []
        for stream, seed in enumerate(case.seeds):
            rng, _ = seeding.np_random((seed / "env").integer())
            ends = np.flatnonzero(streams.done[stream][:-1]) + 1
            for actions in np.split(np.clip(streams.action[stream].astype(np.float64), low, high), ends):
                qpos, qvel = task.initial_state(rng, self._model.qpos0, self._model.nv)
                self._episodes.append((self._start(qpos, qvel), actions))
        self.run()
        self._check(case, streams)

    def _start(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:], self._data.qvel[:] = qpos, qvel
        mujoco.mj_forward(self._model, self._data)
        state = np.empty(mujoco.mj_stateSize(self._model, WHOLE_STATE))
        mujoco.mj_getState(self._model, self._data, state, WHOLE_STATE)
        return state

    def run(self) -> None:
        model, data, frame_skip = self._model, self._data, self._frame_skip
        for start, actions in self._episodes:
            mujoco.mj_setState(model, data, start, WHOLE_STATE)
            for action in actions:
                data.ctrl[:] = action
                mujoco.mj_step(model, data, nstep=frame_skip)

    def _check(self, case: Case, streams: Streams) -> None:
        """The last state must be where the last stream ended: else other physics would be timed."""
        heights = (1, 2) if "Humanoid" not in case.env_id else (2, 3)
        if not streams.terminated[-1, -1] and not np.array_equal(
            self._data.qpos[list(heights)], streams.end_obs[-1, :2]
        ):
            raise RuntimeError(f"{case.env_id}: raw mj_step did not visit the states of the streams")


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--env", action="append", choices=sorted(OVER_GYMNASIUM))
    options = parser.parse_args(arguments)
    sys.stdout.write(f"{'':75} {'ours':>8} {'peer':>8} {'ratio':>6}  {'spread':<13} target\n")
    for record in measure(options.repeats, tuple(options.env or OVER_GYMNASIUM)):
        low, high = record["spread"]
        target = "-" if record["target"] is None else f"{record['target']:.2f}"
        sys.stdout.write(
            f"{record['name']:75} {record['ours']:8.0f} {record['peer']:8.0f} {record['ratio']:6.2f}  "
            f"{low:.2f} to {high:.2f}  {target}\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
