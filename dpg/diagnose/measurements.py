"""The measurements that checks read, as jobs for workers: each is a pure function of its fields, and gives arrays.

All estimators are those of `dpg.probes`. Everything random comes from nodes below `seed / "diagnose" / task / agent`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from dpg.agent.snapshot import Snapshot
from dpg.envs.make import action_space_of, time_limit
from dpg.learning.batch import values
from dpg.probes import baselines, state_rollouts, true_value, update_gain
from dpg.probes.collection import fresh_episodes, fresh_streams, probe_seed
from dpg.probes.gradient_sums import GradientSums
from dpg.probes.stream_scores import StreamScores
from dpg.runtime.schema import TrueValue
from dpg.runtime.seeding import Seed
from dpg.streams.advantages import horizon
from dpg.streams.episodes import Episodes
from dpg.streams.rollout import Streams

FIT = TrueValue(lr=1e-3, minibatch=512, max_epochs=40, patience=4)
OTHER_LIMIT = {"bootstrap": "terminal", "terminal": "bootstrap"}


@runtime_checkable
class Job(Protocol):
    """Some work for a worker; `pairs` is about how many it collects."""

    @property
    def pairs(self) -> int:
        """Collected, at the most."""
        ...

    def run(self) -> Any:
        """The result."""
        ...


def run(job: Job) -> Any:
    """A job's result: what workers are given."""
    return job.run()


def pairs_of(job: Job) -> int:
    """A job's pairs."""
    return job.pairs


def root(snapshot: Snapshot, seed: int) -> Seed:
    """The node of everything random in a diagnosis that is not a probe's own."""
    return probe_seed(seed, "diagnose", snapshot)


@dataclass(frozen=True)
class EvaluationJob:
    """Some whole episodes, with sampled or with deterministic actions, from the same seeds."""

    snapshot: Snapshot
    actions: str
    first: int
    count: int
    length: int
    seed: int

    @property
    def pairs(self) -> int:
        """If episodes have the expected length."""
        return self.count * self.length

    def run(self) -> Episodes:
        """Returns and lengths."""
        node = root(self.snapshot, self.seed) / "returns"
        seeds = [node / f"episode={self.first + index}" for index in range(self.count)]
        return fresh_episodes(self.snapshot, seeds, deterministic=self.actions == "deterministic")


@dataclass(frozen=True)
class StateValues:
    """S states with R rollouts from each: returns under the agent's own definition of a time limit and under the other.

    In the units that the value net is trained in. `value` is the net's. `reaches_limit` are the states from which
    a rollout can meet the time limit; for the rest the definitions agree.
    """

    value: Float[np.ndarray, " S"]
    elapsed: Int[np.ndarray, " S"]
    reaches_limit: Bool[np.ndarray, " S"]
    own: Float[np.ndarray, "S R"]
    other: Float[np.ndarray, "S R"]
    pairs: int


@dataclass(frozen=True)
class StatesJob:
    """Some states, drawn from streams of the policy, and rollouts from each."""

    snapshot: Snapshot
    first: int
    count: int
    rollouts: int
    seed: int

    @property
    def pairs(self) -> int:
        """Of visits and of rollouts that run to the horizon."""
        common = self.snapshot.recipe.common
        return self.count * (common.timesteps + self.rollouts * (horizon(common.gamma) + 1))

    def run(self) -> StateValues | None:
        """None where the task cannot be put into a state."""
        snapshot, common = self.snapshot, self.snapshot.recipe.common
        node = root(snapshot, self.seed) / f"states={self.first}"
        visited = state_rollouts.visit(snapshot, self.count, node)
        if visited.simulation is None:
            return None
        seeds = [[node / f"state={s}" / f"rollout={r}" for r in range(self.rollouts)] for s in range(self.count)]
        value = values(snapshot.state, snapshot.state.normalize_obs(visited.obs[None]))[0]
        own, length, _ = state_rollouts.rollouts(snapshot, visited.obs, visited.elapsed, visited.simulation, seeds)
        limit = time_limit(snapshot.recipe.env_id, snapshot.recipe.modules)
        meets = np.zeros(self.count, bool) if limit is None else visited.elapsed + horizon(common.gamma) + 1 > limit
        other, pairs = own.copy(), int(length.sum())
        if meets.any():
            chosen = np.flatnonzero(meets)
            swapped = with_common(snapshot, time_limit=OTHER_LIMIT[common.time_limit])
            start = (visited.obs[chosen], visited.elapsed[chosen], visited.simulation[chosen])
            other[chosen], length, _ = state_rollouts.rollouts(swapped, *start, [seeds[index] for index in chosen])
            pairs += int(length.sum())
        return StateValues(value, visited.elapsed, meets, own, other, pairs)


@dataclass(frozen=True)
class FitJob:
    """The fit of V*, the true value function."""

    snapshot: Snapshot
    fit_pairs: int
    seed: int

    @property
    def shard(self) -> true_value.FitShard:
        """As the probe has it: whole streams."""
        timesteps = self.snapshot.recipe.common.timesteps
        streams = max(2 * true_value.MIN_STREAMS, self.fit_pairs // timesteps)
        return true_value.FitShard(self.snapshot, streams * timesteps, FIT, self.seed)

    @property
    def pairs(self) -> int:
        """Streams are recorded longer than they are used."""
        return self.shard.num_pairs

    def run(self) -> true_value.Fitted | str:
        """V*, or why there is none."""
        return true_value.measure(self.shard)


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


@dataclass(frozen=True)
class StreamResults:
    """N streams of a training batch's kind: sums of their gradients with each baseline, an entry a stream; episodes."""

    sums: Mapping[str, GradientSums]
    episodes: EpisodeSums


@dataclass(frozen=True)
class StreamsJob:
    """Some streams, scored once, with every baseline that there is; `true_value` is V* or None."""

    snapshot: Snapshot
    first: int
    count: int
    true_value: Float[np.ndarray, " D"] | None
    seed: int

    @property
    def pairs(self) -> int:
        """Whole streams."""
        return self.count * self.snapshot.recipe.common.timesteps

    def run(self) -> StreamResults:
        """Sums of every stream."""
        snapshot = self.snapshot
        node = root(snapshot, self.seed) / "streams"
        streams = fresh_streams(snapshot, [node / f"stream={self.first + index}" for index in range(self.count)])
        names = baselines_of(snapshot, self.true_value)
        standing = snapshot.state.value[0] if self.true_value is None else self.true_value
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


@dataclass(frozen=True)
class UpdatesJob:
    """Some whole updates, each from a batch of its own."""

    shard: update_gain.UpdateShard

    @property
    def pairs(self) -> int:
        """Of the batches and the held-out ones."""
        return self.shard.num_pairs

    def run(self) -> update_gain.Updates:
        """The updated policies."""
        return update_gain.measure_updates(self.shard)


@dataclass(frozen=True)
class UpdateEpisodesJob:
    """Episodes before and after some updates."""

    shard: update_gain.EpisodeShard
    length: int

    @property
    def pairs(self) -> int:
        """If episodes have the expected length."""
        return self.shard.num_episodes * self.length

    def run(self) -> Episodes:
        """Returns and lengths."""
        return update_gain.measure_episodes(self.shard)


def with_common(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """The snapshot with other values of `common` in its recipe."""
    recipe = snapshot.recipe
    return replace(snapshot, recipe=recipe.model_copy(update={"common": recipe.common.model_copy(update=changes)}))


def joined(parts: Sequence[Any], axis: int = 0) -> Any:
    """Results of one dataclass of arrays, one after the other; numbers are added up."""
    first = parts[0]
    columns = {name: [getattr(part, name) for part in parts] for name in first.__dataclass_fields__}
    return type(first)(
        **{name: sum(c) if isinstance(c[0], int) else np.concatenate(c, axis=axis) for name, c in columns.items()}
    )
