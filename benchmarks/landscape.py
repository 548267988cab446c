"""The speed of reward landscapes, against raw `mj_step`.

A plain loop, with one Gymnasium environment and one PyTorch policy at a time, records the same episodes of the same
points, and `mj_step` replays them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import nn

from benchmarks.agents import params, snapshot
from benchmarks.harness import Cores, Row, Skipped
from benchmarks.peers import RawReplay, Recording, make_gymnasium
from dpg.agent.snapshot import Snapshot
from dpg.probes import landscape
from dpg.probes.collection import probe_seed
from dpg.probes.landscape import Grid, PlaneShard, RewardShard

ENV_IDS = ("Hopper-v4", "Humanoid-v4")
# Targets by episodes per point; 2 is the minimum in practice, where most environments soon have nothing to do.
TARGETS = {2: None, 10: 0.8}
TWO_CORES = 1.8
WITH_SURROGATE = 0.97  # of the speed without it, on as many pairs per point as its episodes have


@dataclass(frozen=True)
class LandscapeCase:
    """16 points on a plane around an agent after some training."""

    env_id: str
    iterations: int

    def contenders(self, core: int) -> dict[str, Callable[[], int]]:
        """`ours` and the physics alone, for each number of episodes per point."""
        del core
        agent = snapshot(self.env_id, self.iterations)
        plane, seed = params().landscape, agent.recipe.seed
        grid = Grid(plane.step_range, plane.random_range, (4, 4))
        around = PlaneShard(agent, grid.points, agent.recipe.common.timesteps, plane.random_norm, seed)
        directions = landscape.measure_plane(around)
        theta = landscape.policies(agent, grid.points, directions.step, directions.random)
        batch, _ = landscape.update_batch(around)
        found: dict[str, Callable[[], int]] = {}
        for episodes in TARGETS:
            shard = RewardShard(around, directions.step, directions.random, np.arange(16), 0, episodes, True)
            recorded = record(agent, theta, episodes, seed)
            _check(landscape.measure_rewards(shard).length, recorded, self.env_id)
            found[f"ours, {episodes}"] = lambda shard=shard: int(landscape.measure_rewards(shard).length.sum())
            found[f"raw, {episodes}"] = RawReplay(self.env_id, recorded).run

        pairs = found["ours, 10"]() // len(theta)
        as_many = next(batch.parts(pairs))

        def with_surrogate() -> int:
            landscape.surrogate(agent, theta, as_many)
            return found["ours, 10"]()

        return found | {"with surrogate": with_surrogate}


def measure(cores: Cores, *, quick: bool) -> Iterator[Row | Skipped]:
    """Points with few and more episodes, on one core; the cost of the surrogate; two cores against one."""
    rounds, iterations = (2, 1) if quick else (7, 20)
    for env_id in ENV_IDS:
        case = LandscapeCase(env_id, iterations)
        race = cores.race(case, [f"{who}, {episodes}" for episodes in TARGETS for who in ("ours", "raw")], rounds)
        for episodes, target in TARGETS.items():
            name = f"landscape, {env_id}, {episodes} trajectories a point, 1 core / raw mj_step"
            yield race.row(name, f"ours, {episodes}", f"raw, {episodes}", target)
        race = cores.race(case, ["with surrogate", "ours, 10"], rounds)
        yield race.row(
            f"landscape, {env_id}, with the surrogate / rewards alone", "with surrogate", "ours, 10", WITH_SURROGATE
        )
    if cores.count == 1:
        yield Skipped(f"landscape, {ENV_IDS[0]}, 2 cores / 1 core", "there is one core")
        return
    race = cores.scaling(LandscapeCase(ENV_IDS[0], iterations), "ours, 10", rounds)
    yield race.row(f"landscape, {ENV_IDS[0]}, {cores.count} cores / 1 core", "all cores", "one core", TWO_CORES)


@torch.no_grad()
def record(agent: Snapshot, policies: np.ndarray, num_episodes: int, seed: int) -> list[Recording]:
    """Every episode of every point, point by point, by a loop over points, episodes and steps."""
    env = make_gymnasium(agent.recipe.env_id)
    space, clip = env.action_space, agent.state.architecture.obs_clip or np.inf
    obs_mean, obs_std = agent.state.obs_moments.mean[0], agent.state.obs_moments.std[0]
    node = probe_seed(seed, "landscape", agent) / "reward"
    recorded: list[Recording] = []
    for theta, index in product(policies, range(num_episodes)):
        network, std = _network(agent, theta)
        episode = node / f"episode={index}"
        rng = (episode / "actions").generator()
        obs, _ = env.reset(seed=(episode / "env").integer())
        actions: list[np.ndarray] = []
        done = False
        while not done:
            normalised = np.clip((obs - obs_mean) / obs_std, -clip, clip).astype(np.float32)
            action = network(torch.from_numpy(normalised)).numpy() + std * rng.standard_normal(len(std), np.float32)
            obs, _, terminated, truncated, _ = env.step(np.clip(action, space.low, space.high))
            actions.append(action)
            done = terminated or truncated
        recorded.append(Recording(episode, [np.stack(actions)], obs))
    return recorded


def _network(agent: Snapshot, theta: np.ndarray) -> tuple[nn.Sequential, np.ndarray]:
    """The policy's mean as a PyTorch module, and its standard deviations."""
    arrays = agent.state.architecture.policy_layout.unflatten(theta)
    layers: list[nn.Module] = []
    for index in range(sum(name.startswith("w") for name in arrays)):
        weight, bias = arrays[f"w{index}"], arrays[f"b{index}"]
        linear = nn.Linear(*weight.shape)
        linear.load_state_dict({"weight": torch.from_numpy(weight.T.copy()), "bias": torch.from_numpy(bias.copy())})
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1]), np.exp(arrays["log_std"])


def _check(ours: np.ndarray, recorded: list[Recording], env_id: str) -> None:
    """Check that both run the same episodes, of which rounding changes some lengths."""
    lengths = [len(one.episodes[0]) for one in recorded]
    if np.mean(ours.ravel() == lengths) < 0.5:
        raise RuntimeError(f"{env_id}: the plain loop does not run the landscape's episodes")
