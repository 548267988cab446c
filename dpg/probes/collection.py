"""What probes share: fresh streams and episodes from a snapshot, and results grouped by snapshot."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Float

from dpg.agent.acting import Actor
from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.agent.source import Part
from dpg.envs.make import make_vector, time_limit
from dpg.runtime.seeding import Seed
from dpg.streams import episodes
from dpg.streams.burn_in import Start, burn_in
from dpg.streams.episodes import Episodes
from dpg.streams.rollout import Streams, collect

STREAMS_AT_ONCE = 8
BURN_IN_PAIRS = 1000  # the longest burn-in in a task without a time limit
MAX_ENVS = 16  # that run whole episodes, of one policy
MAX_ENVS_OF_POLICIES = 32  # and of several

# What a snapshot needs for an estimate of its gradient, and for an update of its policy.
GRADIENT_PARTS: tuple[Part, ...] = ("value_net", "return_normalizer")
UPDATE_PARTS: tuple[Part, ...] = (*GRADIENT_PARTS, "policy_adam", "policy_update")

Shard = TypeVar("Shard", bound="OfSnapshot")
Result = TypeVar("Result")
# The rows of a probe's tables by their declared types (`dpg.tables`), with an entry for every table.
Rows = dict[type, list[Any]]


@runtime_checkable
class OfSnapshot(Protocol):
    """A shard of a probe's work: it belongs to one snapshot."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that is measured."""
        ...


def by_snapshot(
    shards: Sequence[Shard], results: Iterable[Result]
) -> Iterator[tuple[Snapshot, Iterator[tuple[Shard, Result]]]]:
    """Each snapshot with its shards and their results, which are taken one at a time."""
    pairs = zip(shards, results, strict=True)
    for _, group in groupby(pairs, lambda pair: id(pair[0].snapshot)):
        shard, result = next(group)
        yield shard.snapshot, chain([(shard, result)], group)  # noqa: B031 (the same group continues)


def identity(snapshot: Snapshot) -> dict[str, Any]:
    """The columns that identify a snapshot in a table."""
    recipe = snapshot.recipe
    return {
        "env": recipe.env_id,
        "algorithm": recipe.algorithm,
        "agent": snapshot.agent,
        "iteration": snapshot.iteration,
    }


def probe_seed(seed: int, probe: str, snapshot: Snapshot) -> Seed:
    """The root of everything random in a probe of a snapshot."""
    recipe = snapshot.recipe
    node = Seed(seed) / probe / recipe.env_id / recipe.algorithm / f"agent={snapshot.agent}"
    return node / f"iteration={snapshot.iteration}"


def fresh_streams(snapshot: Snapshot, seeds: Sequence[Seed], num_pairs: int | None = None) -> Streams:
    """One stream from every seed, T pairs long unless `num_pairs` says otherwise; normalisers are frozen."""
    recipe = snapshot.recipe
    actor = Actor.of(snapshot.state)
    parts: list[Streams] = []
    for first in range(0, len(seeds), STREAMS_AT_ONCE):
        group = seeds[first : first + STREAMS_AT_ONCE]
        envs = make_vector(recipe.env_id, len(group), recipe.modules)
        pairs = num_pairs or recipe.common.timesteps
        begun = start(snapshot, actor, envs, group)
        parts.append(collect(actor, envs, group, pairs, clip_actions=recipe.common.clip_actions, start=begun))
        envs.close()
    return Streams.concatenate(parts)


def batch_seeds(recipe: Recipe, seed: Seed) -> list[Seed]:
    """The seeds of the streams of one training batch."""
    return [seed] if recipe.num_envs == 1 else [seed / f"env={index}" for index in range(recipe.num_envs)]


def start(snapshot: Snapshot, actor: Actor, envs: VectorEnv, seeds: Sequence[Seed]) -> Start | None:
    """Where streams begin that continue from the last ones; None where training resets them."""
    recipe = snapshot.recipe
    if recipe.streams == "reset":
        return None
    longest = time_limit(recipe.env_id, recipe.modules) or BURN_IN_PAIRS
    return burn_in(actor, envs, seeds, longest, clip_actions=recipe.common.clip_actions)


def fresh_episodes(snapshot: Snapshot, seeds: Sequence[Seed], *, deterministic: bool) -> Episodes:
    """One whole episode from every seed; normalisers are frozen."""
    return _run(snapshot, snapshot.state, [seeds], MAX_ENVS, deterministic=deterministic)


def episodes_of(snapshot: Snapshot, policies: Float[np.ndarray, "K D"], seeds: Sequence[Sequence[Seed]]) -> Episodes:
    """Whole episodes of other policies instead of a snapshot's own, those of policy k from `seeds[k]`."""
    return _run(snapshot, snapshot.state.copies(len(policies)).with_policy(policies), seeds, MAX_ENVS_OF_POLICIES)


def _run(
    snapshot: Snapshot,
    population: Population,
    seeds: Sequence[Sequence[Seed]],
    most_envs: int,
    *,
    deterministic: bool = False,
) -> Episodes:
    recipe = snapshot.recipe
    envs = make_vector(recipe.env_id, min(most_envs, sum(map(len, seeds))), recipe.modules)
    clip_actions = recipe.common.clip_actions
    found = episodes.run(population, envs, seeds, clip_actions=clip_actions, deterministic=deterministic)
    envs.close()
    return found


def joined(parts: Sequence[Any], axis: int = 0) -> Any:
    """Results of one type, one after the other: their arrays along an axis, in whatever holds them; numbers add up."""
    match parts[0]:
        case int():
            return sum(parts)
        case np.ndarray():
            return np.concatenate(parts, axis)
        case dict() as first:
            return {key: joined([part[key] for part in parts], axis) for key in first}
        case tuple() as first:
            return type(first)(*(joined(column, axis) for column in zip(*parts, strict=True)))
        case first:
            return replace(
                first, **{name: joined([getattr(part, name) for part in parts], axis) for name in vars(first)}
            )
