"""A second opinion on value functions, which needs no fit: fresh rollouts from states that are set in the simulator.

States are drawn from streams of the snapshot's policy, one from each stream. From each the simulator runs on with fresh
noise, again and again: the mean of the discounted returns is the true value of that very state, with a standard error
that says how well it is known. Normalisers are frozen, and rewards are in the units that the value nets are trained in.

A rollout ends where its episode terminates, or after H further pairs: what is left then weighs less than one part in a
hundred. Time limits do not end it unless they are terminal (`common.time_limit`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from dpg.agent.acting import Actor
from dpg.agent.snapshot import Snapshot, require
from dpg.envs.make import make_vector, park, reset_to, states
from dpg.envs.stepping import step
from dpg.learning.batch import scale_reward
from dpg.numerics.ratios import ratio
from dpg.numerics.statistics import Interval, bootstrap, root, standard_error
from dpg.probes.collection import STREAMS_AT_ONCE, probe_seed, start
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed
from dpg.streams import advantages
from dpg.streams.episodes import EpisodeQueue
from dpg.streams.rollout import collect
from dpg.tables.true_value import StateErrors, StateValue

MAX_ENVS = 16


@dataclass(frozen=True)
class Shard:
    """One snapshot, the states to draw, and the rollouts from each."""

    snapshot: Snapshot
    states: int
    rollouts: int
    seed: int

    @property
    def num_rollouts(self) -> int:
        """Of all states together."""
        return self.states * self.rollouts

    def __str__(self) -> str:
        return f"{self.snapshot}, {self.states} states"


@dataclass(frozen=True)
class Visited:
    """States in which streams stood before a pair: what was seen, the pairs of the episode so far, and the simulator.

    `simulation` is None where the task cannot be put into a state.
    """

    obs: Float[np.ndarray, "S O"]
    elapsed: Int[np.ndarray, " S"]
    simulation: Float[np.ndarray, "S X"] | None


@dataclass(frozen=True)
class Found:
    """Normalised observations of S states, and R rollouts from each, their lengths in pairs; R = 0 if none can be made.

    `cut` are those that ran into the horizon.
    """

    obs: Float[np.ndarray, "S O"]
    elapsed: Int[np.ndarray, " S"]
    return_: Float[np.ndarray, "S R"]
    length: Int[np.ndarray, "S R"]
    cut: Bool[np.ndarray, "S R"]


def measure(shard: Shard) -> Found:
    """Draw states, and run on from each."""
    snapshot = shard.snapshot
    require(snapshot, "a Monte Carlo check of values", "return_normalizer")
    node = probe_seed(shard.seed, "states", snapshot)
    visited = visit(snapshot, shard.states, node)
    seeds = [[node / f"state={s}" / f"rollout={r}" for r in range(shard.rollouts)] for s in range(shard.states)]
    obs, none = snapshot.state.normalize_obs(visited.obs[None])[0], np.empty((shard.states, 0))
    if visited.simulation is None:
        return Found(obs, visited.elapsed, none, none.astype(np.int64), none.astype(bool))
    return Found(obs, visited.elapsed, *rollouts(snapshot, visited.obs, visited.elapsed, visited.simulation, seeds))


def visit(snapshot: Snapshot, count: int, node: Seed) -> Visited:
    """A state each from `count` streams, at a random pair of the first, second, ... of as many parts of T pairs."""
    timesteps = snapshot.recipe.common.timesteps
    at = (np.arange(count) + (node / "times").generator().uniform(size=count)) * timesteps / count
    times = at.astype(np.int64)
    seeds = [node / f"stream={index}" for index in range(count)]
    groups = [slice(first, first + STREAMS_AT_ONCE) for first in range(0, count, STREAMS_AT_ONCE)]
    parts = [_visit(snapshot, times[group], seeds[group]) for group in groups]
    simulations = [part.simulation for part in parts if part.simulation is not None]
    return Visited(
        np.concatenate([part.obs for part in parts]),
        np.concatenate([part.elapsed for part in parts]),
        np.concatenate(simulations) if simulations else None,
    )


def _visit(snapshot: Snapshot, times: Int[np.ndarray, " S"], seeds: Sequence[Seed]) -> Visited:
    recipe = snapshot.recipe
    envs = make_vector(recipe.env_id, len(seeds), recipe.common.modules)
    rows: dict[int, np.ndarray] = {}

    def watch(t: int) -> None:
        if t in times and (simulation := states(envs)) is not None:
            rows.update({int(index): simulation[index] for index in np.flatnonzero(times == t)})

    actor = Actor.of(snapshot.state)
    begun_at = start(snapshot, actor, envs, seeds)
    streams = collect(
        actor,
        envs,
        seeds,
        int(times.max()) + 1,
        clip_actions=recipe.common.clip_actions,
        watch=watch,
        start=begun_at,
    )
    envs.close()
    before = np.zeros(len(times), np.int64) if begun_at is None else begun_at.elapsed
    ends = [np.flatnonzero(done[:t]) for done, t in zip(streams.done, times, strict=True)]
    begun = np.array([end[-1] + 1 if len(end) else -already for end, already in zip(ends, before, strict=True)])
    simulation = np.stack([rows[index] for index in range(len(times))]) if rows else None
    return Visited(streams.obs[np.arange(len(times)), times], times - begun, simulation)


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
    envs = make_vector(recipe.env_id, min(MAX_ENVS, shape[0] * shape[1]), common.modules)
    actor, width = Actor.of(snapshot.state), envs.num_envs
    queue = EpisodeQueue(seeds, width, snapshot.state.architecture.action_dim)
    return_, length, cut = np.zeros(shape), np.zeros(shape, np.int64), np.zeros(shape, bool)
    now, discount = np.zeros((width, obs.shape[1])), np.ones(width)

    def start(free: Bool[np.ndarray, " E"]) -> None:
        env_seeds = queue.refill(free)
        if (free & ~queue.active).any():
            park(envs, free & ~queue.active)
        if (started := free & queue.active).any():
            state = [row for row, _ in queue.current]
            now[started], discount[started] = obs[state][started], 1.0
            reset_to(envs, simulation[state], elapsed[state] * terminal, env_seeds, started)

    start(np.ones(width, bool))
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
            start(done)
    envs.close()
    return return_, length, cut


def tabulate(
    shard: Shard,
    found: Found,
    nets: dict[str, Float[np.ndarray, " S"]],
    statistics: Statistics,
) -> tuple[list[StateValue], list[StateErrors]]:
    """The rows of one snapshot; `nets` are the two nets' values at its states, `value net` and `true value`."""
    snapshot = shard.snapshot
    cell = (snapshot.recipe.env_id, snapshot.recipe.algorithm, snapshot.agent, snapshot.iteration)
    count = found.return_.shape[1]
    blank = np.full(shard.states, np.nan)
    mean, error = (found.return_.mean(axis=1), standard_error(found.return_)) if count else (blank, blank)
    rows = [
        StateValue(
            *cell,
            state=index,
            elapsed=int(found.elapsed[index]),
            rollouts=count,
            pairs=int(found.length[index].sum()),
            cut=int(found.cut[index].sum()),
            rollout_mean=float(mean[index]),
            rollout_se=float(error[index]),
            value_net=float(nets["value net"][index]),
            true_value=float(nets["true value"][index]),
        )
        for index in range(shard.states)
    ]
    rng = (probe_seed(shard.seed, "states", snapshot) / "bootstrap").generator()
    opinions: list[StateErrors] = []
    for name, values in nets.items():
        measures = (squared_relative_error, explained_variance)
        relative, explained = (_interval(each, values, mean, error, statistics, rng) for each in measures)
        squares = float(squared_error(values, mean, error)), float(squared_value(mean, error))
        opinions.append(
            StateErrors(*cell, name, shard.states if count else 0, count, *root(relative), *squares, *explained)
        )
    return rows, opinions


Measure = Callable[
    [Float[np.ndarray, "B S"], Float[np.ndarray, "B S"], Float[np.ndarray, "B S"]],
    Float[np.ndarray, " B"],
]


def _interval(
    measure: Measure,
    values: Float[np.ndarray, " S"],
    mean: Float[np.ndarray, " S"],
    error: Float[np.ndarray, " S"],
    statistics: Statistics,
    rng: np.random.Generator,
) -> Interval:
    """A measure of one net at S states, and its interval by resampling them."""

    def resampled(indices: Int[np.ndarray, "B S"]) -> Float[np.ndarray, " B"]:
        return measure(values[indices], mean[indices], error[indices])

    point = float(measure(values[None], mean[None], error[None])[0])
    return bootstrap(point, resampled, len(values), statistics.confidence, statistics.resamples, rng)


def squared_relative_error(
    values: Float[np.ndarray, "B S"], mean: Float[np.ndarray, "B S"], error: Float[np.ndarray, "B S"]
) -> Float[np.ndarray, " B"]:
    """Mean square of V - v over that of v, v being known as `mean` with standard error `error`."""
    return ratio(squared_error(values, mean, error), squared_value(mean, error))


def squared_error(
    values: Float[np.ndarray, "*batch S"], mean: Float[np.ndarray, "*batch S"], error: Float[np.ndarray, "*batch S"]
) -> Float[np.ndarray, "*batch"]:
    """Mean over states of (V - v)^2, v being known as `mean` with standard error `error`.

    E (V - mean)^2 = (V - v)^2 + error^2: what the rollouts' noise adds is taken off.
    """
    return np.asarray(((values - mean) ** 2 - error**2).mean(axis=-1))


def squared_value(
    mean: Float[np.ndarray, "*batch S"], error: Float[np.ndarray, "*batch S"]
) -> Float[np.ndarray, "*batch"]:
    """Mean over states of v^2: E mean^2 = v^2 + error^2."""
    return np.asarray((mean**2 - error**2).mean(axis=-1))


def explained_variance(
    values: Float[np.ndarray, "B S"], mean: Float[np.ndarray, "B S"], error: Float[np.ndarray, "B S"]
) -> Float[np.ndarray, " B"]:
    """1 - var(v - V) / var(v) over states, the noise of the rollouts taken off both variances."""
    noise = (error**2).mean(axis=-1)
    unexplained = np.var(mean - values, axis=-1, ddof=1) - noise
    return 1 - ratio(unexplained, np.var(mean, axis=-1, ddof=1) - noise)
