"""Whole episodes from a population: what returns are measured on.

The episodes of every member are settled beforehand, and each is run to its end, however long: stopping at a count of
pairs would favour short ones. An environment that finishes takes up the next episode on the list.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv
from jaxtyping import Float, Int

from dpg.agent.acting import Actor
from dpg.agent.population import Population
from dpg.envs.make import EnvError, reset, rest
from dpg.runtime.seeding import Seed

# Noise is drawn this many steps at a time, for the environments that need it.
NOISE_BLOCK = 256


@dataclass(frozen=True)
class Episodes:
    """E episodes of each of P members: raw undiscounted returns, and lengths in pairs."""

    return_: Float[np.ndarray, "P E"]
    length: Int[np.ndarray, "P E"]


@dataclass(frozen=True)
class _Episode:
    """An episode under way in one environment, and where its action noise comes from."""

    member: int
    number: int
    env_seed: int
    rng: np.random.Generator

    @classmethod
    def begin(cls, member: int, number: int, seed: Seed) -> "_Episode":
        return cls(member, number, (seed / "env").integer(), (seed / "actions").generator())


def run(
    population: Population,
    envs: VectorEnv,
    seeds: Sequence[Sequence[Seed]],
    *,
    clip_actions: bool,
    deterministic: bool = False,
) -> Episodes:
    """Run episode e of member p from `seeds[p][e]`, for all p and e.

    Members that share seeds meet the same initial states and the same action noise (common random numbers).

    Raises:
        EnvError: a return is not finite; the message names the episode.
    """
    action_space = envs.single_action_space
    assert isinstance(action_space, Box)
    low, high, action_dim = action_space.low, action_space.high, action_space.shape[0]
    if len(seeds) != population.size or len({len(row) for row in seeds}) != 1:
        raise ValueError(f"{population.size} members need as many rows of seeds, of one length; found {len(seeds)}")
    return_ = np.zeros((population.size, len(seeds[0])))
    length = np.zeros(return_.shape, np.int64)
    pending = (_Episode.begin(p, e, seed) for p, row in enumerate(seeds) for e, seed in enumerate(row))
    # One entry an environment; None once there is nothing left for it to do.
    running = [next(pending, None) for _ in range(envs.num_envs)]
    live = np.array([episode is not None for episode in running])
    source = Actor.of(population)
    actor = Actor.of(population.select(np.array([episode.member if episode else 0 for episode in running])))
    obs = reset(envs, [episode.env_seed if episode else 0 for episode in running])
    if not live.all():
        rest(envs, ~live)
    every = np.arange(envs.num_envs)
    noise = np.zeros((envs.num_envs, NOISE_BLOCK, action_dim), np.float32)
    total, steps = np.zeros(envs.num_envs), np.zeros(envs.num_envs, np.int64)
    while live.any():
        at = steps % NOISE_BLOCK
        if not deterministic and (fresh := live & (at == 0)).any():
            for index in map(int, np.flatnonzero(fresh)):
                episode = running[index]
                assert episode is not None
                noise[index] = episode.rng.standard_normal((NOISE_BLOCK, action_dim), np.float32)
        action = actor.act(obs, None if deterministic else noise[every, at])
        obs, reward, terminated, truncated, _ = envs.step(np.clip(action, low, high) if clip_actions else action)
        total += reward
        steps += 1
        done = terminated | truncated
        if not done.any():
            continue
        env_seeds: list[int | None] = [None] * envs.num_envs
        for index in map(int, np.flatnonzero(done & live)):
            ended = running[index]
            assert ended is not None
            return_[ended.member, ended.number], length[ended.member, ended.number] = total[index], steps[index]
            episode = running[index] = next(pending, None)
            total[index] = steps[index] = 0
            live[index] = episode is not None
            if episode:
                env_seeds[index] = episode.env_seed
                if episode.member != ended.member:
                    actor.put(index, source, episode.member)
        if (done & ~live).any():
            rest(envs, done & ~live)
        if (done & live).any():
            obs = reset(envs, env_seeds, done & live)
    if not np.isfinite(return_).all():
        member, number = np.argwhere(~np.isfinite(return_))[0]
        raise EnvError(f"the return of an episode is not finite ({seeds[member][number]})")
    return Episodes(return_, length)
