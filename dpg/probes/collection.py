"""Fresh streams and episodes from a snapshot, as training would have collected them: what probes measure on."""

from collections.abc import Sequence

from dpg.agent.acting import Actor
from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.runtime.seeding import Seed
from dpg.streams import episodes
from dpg.streams.episodes import Episodes
from dpg.streams.rollout import Streams, collect

STREAMS_AT_ONCE = 8
MAX_ENVS = 16


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
        envs = make_vector(recipe.env_id, len(group), recipe.common.modules)
        pairs = num_pairs or recipe.common.timesteps
        parts.append(collect(actor, envs, group, pairs, clip_actions=recipe.common.clip_actions))
        envs.close()
    return Streams.concatenate(parts)


def fresh_episodes(snapshot: Snapshot, seeds: Sequence[Seed], *, deterministic: bool) -> Episodes:
    """One whole episode from every seed; normalisers are frozen."""
    common = snapshot.recipe.common
    envs = make_vector(snapshot.recipe.env_id, min(len(seeds), MAX_ENVS), common.modules)
    found = episodes.run(
        snapshot.state, envs, [list(seeds)], clip_actions=common.clip_actions, deterministic=deterministic
    )
    envs.close()
    return found
