"""Whole episodes from a population, on which returns are measured.

The episodes of every member are fixed in advance, and each runs to its end: stopping at a number of pairs would favour
short episodes. An environment whose episode has ended takes the next one from the queue.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float, Int

from dpg.agent.acting import Actor
from dpg.agent.population import Population
from dpg.envs.make import park
from dpg.envs.stepping import begin, check_length, step
from dpg.runtime.seeding import Seed

NOISE_BLOCK = 256  # steps of action noise drawn at a time


@dataclass(frozen=True)
class Episodes:
    """E episodes of each of P members: raw undiscounted returns, and lengths in pairs."""

    return_: Float[np.ndarray, "P E"]
    length: Int[np.ndarray, "P E"]


class EpisodeQueue:
    """The episodes of a table of seeds (P, E), row by row, for the environments of a vector.

    `active` marks the environments that have an episode, `current` is each one's (p, e), and `steps` its pairs so far.
    The action noise of an episode depends on its seed alone.
    """

    def __init__(self, seeds: Sequence[Sequence[Seed]], num_envs: int, action_dim: int) -> None:
        self.active = np.zeros(num_envs, bool)
        self.current = [(0, 0)] * num_envs
        self.steps = np.zeros(num_envs, np.int64)
        self._seeds = seeds
        self._waiting = iter(np.ndindex(len(seeds), len(seeds[0])))
        self._generators = [np.random.default_rng(0)] * num_envs
        self._noise = np.zeros((num_envs, NOISE_BLOCK, action_dim), np.float32)

    def refill(self, free: Bool[np.ndarray, " E"]) -> list[int | None]:
        """Give each free environment its next episode; the seeds to reset those with one, None for all others."""
        env_seeds: list[int | None] = [None] * len(free)
        for index in map(int, np.flatnonzero(free)):
            episode = next(self._waiting, None)
            self.active[index], self.steps[index] = episode is not None, 0
            if episode is not None:
                self.current[index] = (episode[0], episode[1])
                _, seed = self.locate(index)
                env_seeds[index] = (seed / "env").integer()
                self._generators[index] = (seed / "actions").generator()
        return env_seeds

    def noise(self) -> Float[np.ndarray, "E A"]:
        """Standard normal action noise of the current step."""
        drawn = self.steps % NOISE_BLOCK
        for index in np.flatnonzero(self.active & (drawn == 0)):
            self._noise[index] = self._generators[index].standard_normal(self._noise.shape[1:], np.float32)
        return self._noise[np.arange(len(drawn)), drawn]

    def locate(self, index: int) -> tuple[int, Seed]:
        """The step and the seed of an environment's episode."""
        row, column = self.current[index]
        return int(self.steps[index]), self._seeds[row][column]


def run(
    population: Population,
    envs: VectorEnv,
    seeds: Sequence[Sequence[Seed]],
    *,
    clip_actions: bool,
    deterministic: bool = False,
    watch: Callable[[], None] | None = None,
) -> Episodes:
    """Run episode e of member p from `seeds[p][e]`, for all p and e.

    Members with the same seeds get the same initial states and action noise (common random numbers). `watch` is called
    when the first episodes have begun, and after every step.

    Raises:
        EnvError: an episode has values that are not finite, or no end; the message names it.
    """
    if len(seeds) != population.size or len({len(row) for row in seeds}) != 1:
        raise ValueError(f"{population.size} members need as many rows of seeds, of one length; found {len(seeds)}")
    return_ = np.zeros((population.size, len(seeds[0])))
    length = np.zeros(return_.shape, np.int64)
    queue = EpisodeQueue(seeds, envs.num_envs, population.architecture.action_dim)
    env_seeds = queue.refill(~queue.active)
    obs = begin(envs, [seed or 0 for seed in env_seeds], queue.locate, active=queue.active)
    if not queue.active.all():
        park(envs, ~queue.active)
    if watch is not None:
        watch()
    policies = Actor.of(population)
    actor = Actor.of(population.select(np.array([member for member, _ in queue.current])))
    total = np.zeros(envs.num_envs)
    while queue.active.any():
        action = actor.act(obs, None if deterministic else queue.noise())
        obs, reward, terminated, truncated = step(
            envs, action, queue.locate, clip_actions=clip_actions, active=queue.active
        )
        total += reward
        queue.steps += 1
        done = terminated | truncated
        check_length(envs, queue.steps, queue.locate, queue.active & ~done)
        if watch is not None:
            watch()
        if not done.any():
            continue
        ended, owners = done & queue.active, list(queue.current)
        for index in np.flatnonzero(ended):
            return_[owners[index]], length[owners[index]] = total[index], queue.steps[index]
        total[ended] = 0
        env_seeds = queue.refill(ended)
        if (done & ~queue.active).any():
            park(envs, done & ~queue.active)
        started = ended & queue.active
        for index in map(int, np.flatnonzero(started)):
            if queue.current[index][0] != owners[index][0]:
                actor.set_policy(index, policies, queue.current[index][0])
        if started.any():
            obs = begin(envs, env_seeds, queue.locate, mask=started, active=queue.active)
    return Episodes(return_, length)
