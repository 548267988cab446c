"""Streams that begin within an episode, as those of a trainer that continues from its last state."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Float, Int

from dpg.agent.acting import Actor
from dpg.envs.make import park
from dpg.envs.stepping import begin, step
from dpg.runtime.seeding import Seed


@dataclass(frozen=True)
class Start:
    """Where N streams begin: their observations, and the pairs of their episodes before that."""

    obs: Float[np.ndarray, "N O"]
    elapsed: Int[np.ndarray, " N"]


def burn_in(actor: Actor, envs: VectorEnv, seeds: Sequence[Seed], longest: int, *, clip_actions: bool) -> Start:
    """Run every environment from its reset for a number of steps that is uniform below `longest`.

    With `longest` the task's time limit, streams of episodes that reach it begin at a pair that is uniform over the
    episode. Environments wait for their turn, so that all arrive together; each stream is the same whatever others
    are collected with it.

    Raises:
        EnvError: an action, an observation or a reward is not finite; the message names the stream and the step.
    """
    assert envs.single_action_space.shape is not None
    rngs = [(seed / "burn-in").generator() for seed in seeds]
    length = np.array([rng.integers(longest) for rng in rngs])
    total = int(length.max())
    first = total - length
    noise = np.zeros((total, len(seeds), *envs.single_action_space.shape), np.float32)
    for index, rng in enumerate(rngs):
        own = noise[first[index] :, index]
        own[:] = rng.standard_normal(own.shape, np.float32)
    elapsed = np.zeros(len(seeds), np.int64)
    t = 0

    def locate(stream: int) -> tuple[int, Seed]:
        return t - int(first[stream]), seeds[stream] / "burn-in"

    obs = begin(envs, [(seed / "env").integer() for seed in seeds], locate)
    if (waiting := first > 0).any():
        park(envs, waiting)
    for t in range(total):
        running = first <= t
        obs, _, terminated, truncated = step(
            envs, actor.act(obs, noise[t]), locate, clip_actions=clip_actions, active=running
        )
        done = terminated | truncated
        elapsed[running] += 1
        elapsed[done] = 0
        if (over := done & running).any():
            obs = begin(envs, [None] * len(seeds), locate, mask=over, active=running)
        if (over := done & ~running).any():
            park(envs, over)
        if (starting := first == t + 1).any():
            own_seeds = [(seed / "env").integer() if mine else None for seed, mine in zip(seeds, starting, strict=True)]
            obs = begin(envs, own_seeds, locate, mask=starting, active=running | starting)
    return Start(obs.astype(np.float64), elapsed)
