"""The measurements that checks read: shards of work for workers, and the pure functions that measure them.

All estimators are those of `dpg.probes`. Everything random comes from nodes below `seed / "diagnose" / task / agent`.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from dpg.agent.snapshot import Snapshot
from dpg.envs.make import action_space_of, time_limit
from dpg.learning.batch import values
from dpg.probes import baselines, state_rollouts
from dpg.probes.collection import fresh_episodes, fresh_streams, probe_seed
from dpg.probes.gradient_sums import GradientSums
from dpg.probes.stream_scores import StreamScores
from dpg.runtime.seeding import Seed
from dpg.streams.advantages import horizon
from dpg.streams.episodes import Episodes
from dpg.streams.rollout import Streams

OTHER_LIMIT = {"bootstrap": "terminal", "terminal": "bootstrap"}


def root(snapshot: Snapshot, seed: int) -> Seed:
    """The node of everything random in a diagnosis that is not a probe's own."""
    return probe_seed(seed, "diagnose", snapshot)


@dataclass(frozen=True)
class NumberedShard:
    """`count` of the numbered episodes, states or streams of a snapshot, from number `first`."""

    snapshot: Snapshot
    seed: int
    first: int
    count: int


@dataclass(frozen=True)
class ReturnShard(NumberedShard):
    """Whole episodes, with sampled or with deterministic actions, from the same seeds."""

    actions: str


@dataclass(frozen=True)
class StateShard(NumberedShard):
    """States, drawn from streams of the policy, and rollouts from each."""

    rollouts: int


@dataclass(frozen=True)
class BatchShard(NumberedShard):
    """Streams, scored with every baseline that there is; `true_value` is V* or None."""

    true_value: Float[np.ndarray, " D"] | None


def measure_episodes(shard: ReturnShard) -> Episodes:
    """Returns and lengths."""
    node = root(shard.snapshot, shard.seed) / "returns"
    seeds = [node / f"episode={shard.first + index}" for index in range(shard.count)]
    return fresh_episodes(shard.snapshot, seeds, deterministic=shard.actions == "deterministic")


@dataclass(frozen=True)
class StateValues:
    """S states with R rollouts from each: returns under the agent's own definition of a time limit and under the other.

    In the units that the value net is trained in. `value` is the net's. `reaches_limit` are the states from which
    a rollout can meet the time limit; for the rest the definitions agree.
    """

    value: Float[np.ndarray, " S"]
    reaches_limit: Bool[np.ndarray, " S"]
    own: Float[np.ndarray, "S R"]
    other: Float[np.ndarray, "S R"]
    pairs: int

    @property
    def mean(self) -> Float[np.ndarray, " S"]:
        """The true values."""
        return self.own.mean(axis=1)

    @property
    def error(self) -> Float[np.ndarray, " S"]:
        """Their standard errors."""
        return np.asarray(stats.sem(self.own, axis=-1))


def measure_states(shard: StateShard) -> StateValues | None:
    """None where the task cannot be put into a state."""
    snapshot, common, count = shard.snapshot, shard.snapshot.recipe.common, shard.count
    node = root(snapshot, shard.seed) / f"states={shard.first}"
    visited = state_rollouts.visit(snapshot, count, node)
    if visited.simulation is None:
        return None
    seeds = [[node / f"state={s}" / f"rollout={r}" for r in range(shard.rollouts)] for s in range(count)]
    value = values(snapshot.state, snapshot.state.normalize_obs(visited.obs[None]))[0]
    own, length, _ = state_rollouts.rollouts(snapshot, visited.obs, visited.elapsed, visited.simulation, seeds)
    limit = time_limit(snapshot.recipe.env_id, snapshot.recipe.modules)
    meets = np.zeros(count, bool) if limit is None else visited.elapsed + horizon(common.gamma) + 1 > limit
    other, pairs = own.copy(), int(length.sum())
    if meets.any():
        chosen = np.flatnonzero(meets)
        swapped = snapshot.with_common(time_limit=OTHER_LIMIT[common.time_limit])
        start = (visited.obs[chosen], visited.elapsed[chosen], visited.simulation[chosen])
        other[chosen], length, _ = state_rollouts.rollouts(swapped, *start, [seeds[index] for index in chosen])
        pairs += int(length.sum())
    return StateValues(value, meets, own, other, pairs)


@dataclass(frozen=True)
class EpisodeSums:
    """Sums over the pairs of E episodes (the cut last one of a stream counts as one), from which their means follow.

    `z` is the observation before it is clipped, normalised as the networks see it; `clipped` counts action components
    outside of the action space; `error` and `target` are those of the value net against V + A(lambda).
    """

    pairs: Float[np.ndarray, " E"]
    z: Float[np.ndarray, "E O"]
    z_squared: Float[np.ndarray, "E O"]
    obs_clipped: Float[np.ndarray, " E"]
    clipped: Float[np.ndarray, "E A"]
    error: Float[np.ndarray, " E"]
    error_squared: Float[np.ndarray, " E"]
    target: Float[np.ndarray, " E"]
    target_squared: Float[np.ndarray, " E"]

    @property
    def sizes(self) -> dict[str, int]:
        """What an effect was measured on."""
        return {"episodes": len(self.pairs), "pairs": int(self.pairs.sum())}


@dataclass(frozen=True)
class StreamResults:
    """N streams of a training batch's kind: sums of each one's gradient with each baseline, and of their episodes."""

    sums: dict[str, GradientSums]
    episodes: EpisodeSums


def measure_streams(shard: BatchShard) -> StreamResults:
    """Sums of every stream."""
    snapshot = shard.snapshot
    node = root(snapshot, shard.seed) / "streams"
    streams = fresh_streams(snapshot, [node / f"stream={shard.first + index}" for index in range(shard.count)])
    names = baselines_of(snapshot, shard.true_value)
    standing = snapshot.state.value[0] if shard.true_value is None else shard.true_value
    seen = baselines.value_estimates(snapshot, streams, standing, [(name, "gae") for name in names])
    scored = StreamScores.of(snapshot, streams, seen[0])
    sums = {name: replace(scored, estimates=each).per_stream() for name, each in zip(names, seen, strict=True)}
    target = seen[0].value + seen[0].advantage(snapshot.recipe.common)
    return StreamResults(sums, episode_sums(snapshot, streams, seen[0].value, target))


def baselines_of(snapshot: Snapshot, fitted: Float[np.ndarray, " D"] | None) -> list[str]:
    """The baselines to compare, the agent's own first."""
    own = ["zero"] if snapshot.recipe.common.baseline == "none" else ["value net", "zero"]
    return own if fitted is None else [*own, "true value"]


def episode_sums(
    snapshot: Snapshot, streams: Streams, value: Float[np.ndarray, "N T"], target: Float[np.ndarray, "N T"]
) -> EpisodeSums:
    """The sums over episodes of streams."""
    state, recipe = snapshot.state, snapshot.recipe
    ends = streams.done.copy()
    ends[:, -1] = True
    owner = np.concatenate([[0], np.cumsum(ends.ravel())[:-1]])
    count = int(ends.sum())

    def total(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(len(owner), -1).astype(np.float64)
        return np.stack([np.bincount(owner, column, count) for column in flat.T], axis=1)

    moments = state.obs_moments
    z = (streams.obs - moments.mean[0]) / moments.std[0]
    clip = state.architecture.obs_clip
    space = action_space_of(recipe.env_id, recipe.modules)
    outside = (streams.action < space.low) | (streams.action > space.high)
    error = value - target
    beyond = np.zeros(target.shape) if clip is None else (np.abs(z) > clip).mean(axis=-1)
    columns = (np.ones(target.shape), beyond, error, error**2, target, target**2)
    pairs, obs_clipped, *rest = (total(column)[:, 0] for column in columns)
    return EpisodeSums(pairs, total(z), total(z**2), obs_clipped, total(outside), *rest)
