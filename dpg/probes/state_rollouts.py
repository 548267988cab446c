"""Monte Carlo estimates of the value of single states, without a fit: rollouts from states set in the simulator.

States are drawn from streams of the snapshot's policy, one from each stream. From each, several rollouts continue with
fresh noise; the mean of their discounted returns estimates the value of that state, with a standard error. Normalisers
are frozen, and rewards are in the units in which the value nets are trained.

A rollout ends where its episode terminates, or after H further pairs, when the rest has a weight below one percent.
Time limits do not end it unless they are terminal (`common.time_limit`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from dpg.agent.acting import Actor
from dpg.agent.snapshot import Snapshot, require
from dpg.envs.make import make_vector, park, reset_to, states
from dpg.envs.stepping import step
from dpg.learning.batch import scale_reward
from dpg.probes.collection import MAX_ENVS, STREAMS_AT_ONCE, probe_seed, start
from dpg.runtime.seeding import Seed
from dpg.streams import advantages
from dpg.streams.episodes import EpisodeQueue
from dpg.streams.rollout import collect


@dataclass(frozen=True)
class RolloutShard:
    """One snapshot, the number of states, and of rollouts from each."""

    snapshot: Snapshot
    states: int
    rollouts: int
    seed: int

    @property
    def num_episodes(self) -> int:
        """Rollouts from all states together."""
        return self.states * self.rollouts

    def __str__(self) -> str:
        return f"{self.snapshot}, {self.states} states"


@dataclass(frozen=True)
class VisitedStates:
    """States of streams: raw observations, pairs of the episode so far, and simulator states.

    `simulation` is None if the task cannot be set to a state.
    """

    obs: Float[np.ndarray, "S O"]
    elapsed: Int[np.ndarray, " S"]
    simulation: Float[np.ndarray, "S X"] | None


@dataclass(frozen=True)
class StateRollouts:
    """Normalised observations of S states, and returns and lengths in pairs of R rollouts from each.

    `cut` marks those that reached the horizon. R = 0 if the task cannot be set to a state.
    """

    obs: Float[np.ndarray, "S O"]
    elapsed: Int[np.ndarray, " S"]
    return_: Float[np.ndarray, "S R"]
    length: Int[np.ndarray, "S R"]
    cut: Bool[np.ndarray, "S R"]


def plan(snapshots: Sequence[Snapshot], num_states: int, num_rollouts: int, seed: int) -> list[RolloutShard]:
    """One shard for each snapshot."""
    return [RolloutShard(snapshot, num_states, num_rollouts, seed) for snapshot in snapshots]


def measure(shard: RolloutShard) -> StateRollouts:
    """Draw states, and roll out from each."""
    snapshot = shard.snapshot
    require(snapshot, "a Monte Carlo check of values", "return_normalizer")
    node = probe_seed(shard.seed, "states", snapshot)
    visited = visit(snapshot, shard.states, node)
    seeds = [[node / f"state={s}" / f"rollout={r}" for r in range(shard.rollouts)] for s in range(shard.states)]
    obs, none = snapshot.state.normalize_obs(visited.obs[None])[0], np.empty((shard.states, 0))
    found = none, none.astype(np.int64), none.astype(bool)
    if visited.simulation is not None:
        found = rollouts(snapshot, visited.obs, visited.elapsed, visited.simulation, seeds)
    return StateRollouts(obs, visited.elapsed, *found)


def visit(snapshot: Snapshot, count: int, node: Seed) -> VisitedStates:
    """One state from each of `count` streams: from stream k at a random pair in the k-th part of T pairs."""
    timesteps = snapshot.recipe.common.timesteps
    at = (np.arange(count) + (node / "times").generator().uniform(size=count)) * timesteps / count
    times = at.astype(np.int64)
    seeds = [node / f"stream={index}" for index in range(count)]
    groups = [slice(first, first + STREAMS_AT_ONCE) for first in range(0, count, STREAMS_AT_ONCE)]
    obs, elapsed, simulations = zip(*(_visit(snapshot, times[each], seeds[each]) for each in groups), strict=True)
    simulation = None if simulations[0] is None else np.concatenate(simulations)
    return VisitedStates(np.concatenate(obs), np.concatenate(elapsed), simulation)


def _visit(
    snapshot: Snapshot, times: Int[np.ndarray, " S"], seeds: Sequence[Seed]
) -> tuple[Float[np.ndarray, "S O"], Int[np.ndarray, " S"], Float[np.ndarray, "S X"] | None]:
    recipe = snapshot.recipe
    envs = make_vector(recipe.env_id, len(seeds), recipe.modules)
    rows: dict[int, np.ndarray] = {}

    def watch(t: int) -> None:
        if t in times and (simulation := states(envs)) is not None:
            rows.update({int(index): simulation[index] for index in np.flatnonzero(times == t)})

    actor = Actor.of(snapshot.state)
    begun_at = start(snapshot, actor, envs, seeds)
    pairs, clip_actions = int(times.max()) + 1, recipe.common.clip_actions
    streams = collect(actor, envs, seeds, pairs, clip_actions=clip_actions, watch=watch, start=begun_at)
    envs.close()
    before = np.zeros(len(times), np.int64) if begun_at is None else begun_at.elapsed
    ends = [np.flatnonzero(done[:t]) for done, t in zip(streams.done, times, strict=True)]
    begun = np.array([end[-1] + 1 if len(end) else -already for end, already in zip(ends, before, strict=True)])
    simulation = np.stack([rows[index] for index in range(len(times))]) if rows else None
    return streams.obs[np.arange(len(times)), times], times - begun, simulation


def rollouts(
    snapshot: Snapshot,
    obs: Float[np.ndarray, "S O"],
    elapsed: Int[np.ndarray, " S"],
    simulation: Float[np.ndarray, "S X"],
    seeds: Sequence[Sequence[Seed]],
) -> tuple[Float[np.ndarray, "S R"], Int[np.ndarray, "S R"], Bool[np.ndarray, "S R"]]:
    """Discounted returns from states, rollout r from state s with `seeds[s][r]`; lengths; which reached the horizon.

    Raises:
        EnvError: an action, an observation or a reward is not finite; the message names the rollout.
    """
    recipe, common = snapshot.recipe, snapshot.recipe.common
    terminal, horizon = common.time_limit == "terminal", advantages.horizon(common.gamma) + 1
    shape = (len(seeds), len(seeds[0]))
    envs = make_vector(recipe.env_id, min(MAX_ENVS, shape[0] * shape[1]), recipe.modules)
    actor, width = Actor.of(snapshot.state), envs.num_envs
    queue = EpisodeQueue(seeds, width, snapshot.state.architecture.action_dim)
    return_, length, cut = np.zeros(shape), np.zeros(shape, np.int64), np.zeros(shape, bool)
    now, discount = np.zeros((width, obs.shape[1])), np.ones(width)

    def take_next(free: Bool[np.ndarray, " E"]) -> None:
        env_seeds = queue.refill(free)
        if (free & ~queue.active).any():
            park(envs, free & ~queue.active)
        if (started := free & queue.active).any():
            state = [row for row, _ in queue.current]
            now[started], discount[started] = obs[state][started], 1.0
            reset_to(envs, simulation[state], elapsed[state] * terminal, env_seeds, started)

    take_next(np.ones(width, bool))
    while queue.active.any():
        action = actor.act(now, queue.noise())
        now, reward, terminated, truncated = step(
            envs, action, queue.locate, clip_actions=common.clip_actions, active=queue.active
        )
        gain = discount * scale_reward(snapshot.state, reward[None], recipe.config)[0]
        discount *= common.gamma
        queue.steps += 1
        ended = terminated | truncated if terminal else terminated
        at_horizon = ~ended & (queue.steps == horizon)
        for index in map(int, np.flatnonzero(queue.active)):
            at = queue.current[index]
            return_[at] += gain[index]
            length[at], cut[at] = queue.steps[index], at_horizon[index]
        done = ended | at_horizon
        if (continuing := truncated & ~done).any():
            # The time limit is not part of the task: the episode continues from its state.
            here = states(envs)
            assert here is not None
            reset_to(envs, here, np.zeros(width, np.int64), [None] * width, continuing)
        if done.any():
            take_next(done)
    envs.close()
    return return_, length, cut
