"""Whole episodes from a population: what returns are measured on.

The episodes of every member are settled beforehand, and each is run to its end, however long: stopping at a count of
pairs would favour short ones. An environment that finishes takes up the next episode on the list.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Float, Int

from dpg.agent.acting import Actor
from dpg.agent.population import Population
from dpg.envs.make import rest
from dpg.envs.stepping import begin, check_length, step
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
        EnvError: an episode has numbers that are not finite, or no end; the message names it.
    """
    action_dim = population.architecture.action_dim
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
    total, steps = np.zeros(envs.num_envs), np.zeros(envs.num_envs, np.int64)

    def at(index: int) -> tuple[int, Seed]:
        episode = running[index]
        assert episode is not None
        return int(steps[index]), seeds[episode.member][episode.number]

    obs = begin(envs, [episode.env_seed if episode else 0 for episode in running], at, looked_at=live)
    if not live.all():
        rest(envs, ~live)
    every = np.arange(envs.num_envs)
    noise = np.zeros((envs.num_envs, NOISE_BLOCK, action_dim), np.float32)
    while live.any():
        drawn = steps % NOISE_BLOCK
        if not deterministic and (fresh := live & (drawn == 0)).any():
            for index in map(int, np.flatnonzero(fresh)):
                episode = running[index]
                assert episode is not None
                noise[index] = episode.rng.standard_normal((NOISE_BLOCK, action_dim), np.float32)
        action = actor.act(obs, None if deterministic else noise[every, drawn])
        obs, reward, terminated, truncated = step(envs, action, at, clip_actions=clip_actions, looked_at=live)
        total += reward
        steps += 1
        done = terminated | truncated
        check_length(envs, steps, at, live & ~done)
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
            obs = begin(envs, env_seeds, at, mask=done & live, looked_at=live)
    return Episodes(return_, length)
