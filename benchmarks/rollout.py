"""Rollout speed, against raw `mj_step` and against Gymnasium's own vector environment.

Both vector environments run in the same `collect` with the same policies, including observations and rewards. Raw
`mj_step` replays the recorded actions of the streams and does nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv

from benchmarks.harness import Cores, Row
from benchmarks.peers import RawReplay, make_gymnasium_vector, recordings
from dpg.agent.acting import Actor
from dpg.agent.population import Architecture, initialize
from dpg.envs.make import make_vector
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import Streams, collect

NUM_AGENTS = 8
# Targets: the ratios to Gymnasium, and to raw mj_step with 32 environments.
OVER_GYMNASIUM = {"Hopper-v4": 1.3, "Walker2d-v4": 1.15, "Humanoid-v4": 1.15}
OVER_RAW = 0.85


@dataclass(frozen=True)
class RolloutCase:
    """One task, the number of environments, and the pairs that they collect in a run together."""

    env_id: str
    num_envs: int
    num_pairs: int

    def contenders(self, core: int) -> dict[str, Callable[[], int]]:
        """`ours`, `raw mj_step` and `gymnasium`."""
        ours, gymnasium = make_vector(self.env_id, self.num_envs), make_gymnasium_vector(self.env_id, self.num_envs)
        actor = _fresh_actor(ours)
        seeds = [Seed(0) / "benchmark" / core / index for index in range(self.num_envs)]

        def run(envs: VectorEnv) -> Streams:
            return collect(actor, envs, seeds, self.num_pairs // self.num_envs, clip_actions=True)

        return {
            "ours": lambda: run(ours).reward.size,
            "raw mj_step": RawReplay(self.env_id, recordings(seeds, run(ours))).run,
            "gymnasium": lambda: run(gymnasium).reward.size,
        }


def measure(cores: Cores, *, quick: bool) -> Iterator[Row]:
    """8 and 32 environments on one core, and 32 on each of all cores; when quick, only 32."""
    rounds, num_pairs = (2, 1600) if quick else (7, 3200)
    for env_id, over_gymnasium in OVER_GYMNASIUM.items():
        for num_envs, num_cores in [(32, 1)] if quick else [(8, 1), (32, 1)]:
            yield from _rows(cores, RolloutCase(env_id, num_envs, num_pairs), rounds, num_cores, over_gymnasium)
        if cores.count > 1:
            yield from _rows(cores, RolloutCase(env_id, 32, num_pairs), rounds, cores.count, over_gymnasium)


def _rows(cores: Cores, case: RolloutCase, rounds: int, num_cores: int, over_gymnasium: float) -> Iterator[Row]:
    race = cores.race(case, ["ours", "raw mj_step", "gymnasium"], rounds, num_cores)
    where = "1 core" if num_cores == 1 else f"{num_cores} cores"
    name = f"rollout, {case.env_id}, {case.num_envs} environments, {where}"
    yield race.row(f"{name} / raw mj_step", "ours", "raw mj_step", OVER_RAW if case.num_envs == 32 else None)
    yield race.row(f"{name} / SyncVectorEnv", "ours", "gymnasium", over_gymnasium)


def _fresh_actor(envs: VectorEnv) -> Actor:
    """Freshly initialised agents with the networks of `params.yaml`."""
    spaces = (envs.single_observation_space, envs.single_action_space)
    assert all(isinstance(space, Box) for space in spaces)
    obs_dim, action_dim = (space.shape[0] for space in spaces if space.shape)
    architecture = Architecture(obs_dim, action_dim, (64, 64), (64, 64), obs_clip=10.0)
    return Actor.of(initialize(architecture, "orthogonal", [Seed(0) / "agent" / index for index in range(NUM_AGENTS)]))
