"""The work of a stage: its shards, the pairs and the work in each, and the bytes that result."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dpg.planning.cells import UntrainedCell
from dpg.probes.collection import STREAMS_AT_ONCE

FLOAT = 8  # bytes
ROW = 140  # bytes of a table's row as CSV: between 60 and 250

# Amounts by kind of work (`dpg.planning.rates` lists the kinds).
WorkUnits = Mapping[str, int | float]


@dataclass(frozen=True)
class ShardGroup:
    """`count` equal shards, which may run side by side. The other fields are those of one shard.

    Attributes:
        count: shards.
        work: amounts by kind of work.
        held: pairs in memory at the peak, by what is held of each.
        pairs: as the stage reports them.
        episodes: as the stage reports them.
        result_bytes: what the shard leaves until its stage has published.
    """

    count: int
    work: WorkUnits
    held: WorkUnits = field(default_factory=dict)
    pairs: int = 0
    episodes: int = 0
    result_bytes: int = 0


@dataclass(frozen=True)
class StageWork:
    """The work of one stage. A round of shards ends before the next begins.

    Attributes:
        stage: its name in `dvc.yaml`.
        env: the task; None for stages of the whole pipeline.
        algorithm: the algorithm in the stage's name, if there is one.
        rounds: its shards.
        approximate: pairs are an estimate.
        gathered_bytes: memory for what the stage's own process gathers.
        output_bytes: of all outputs.
        starts: work outside shards, in start-up times of the stage's process, which follow the machine's speed.
        rates_of: the algorithm whose rates apply where none is in the stage's name.
    """

    stage: str
    env: str | None = None
    algorithm: str | None = None
    rounds: tuple[tuple[ShardGroup, ...], ...] = ()
    approximate: bool = False
    gathered_bytes: int = 0
    output_bytes: int = 0
    starts: float = 0.0
    rates_of: str | None = None

    @property
    def name(self) -> str:
        """As DVC addresses it."""
        cell = [part for part in (self.env, self.algorithm) if part]
        return f"{self.stage}@{'-'.join(cell)}" if cell else self.stage

    @property
    def cell(self) -> tuple[str, str] | None:
        """The task and algorithm whose rates apply to the shards; None without such shards."""
        algorithm = self.algorithm or self.rates_of
        return (self.env, algorithm) if self.env and algorithm else None

    @property
    def groups(self) -> list[ShardGroup]:
        """Of all rounds."""
        return [group for groups in self.rounds for group in groups]

    @property
    def shards(self) -> int:
        """Of all rounds."""
        return sum(group.count for group in self.groups)

    @property
    def pairs(self) -> int:
        """As the stage reports them."""
        return sum(group.count * group.pairs for group in self.groups)

    @property
    def episodes(self) -> int:
        """As the stage reports them."""
        return sum(group.count * group.episodes for group in self.groups)

    @property
    def scratch_bytes(self) -> int:
        """Of finished shards, until the stage has published."""
        return sum(group.count * group.result_bytes for group in self.groups)


def rollouts(pairs: int | float, width: int) -> dict[str, int | float]:
    """The work of a vector of `width` environments that collects `pairs`."""
    return {"step": pairs / width, "pair": pairs}


def whole_episodes(cell: UntrainedCell, count: int, episodes: int, most_envs: int) -> ShardGroup:
    """Shards of whole episodes, as if each ran to the time limit; their pairs are not reported."""
    work = rollouts(episodes * cell.episode_length, min(episodes, most_envs))
    return ShardGroup(count, work, episodes=episodes, result_bytes=2 * FLOAT * episodes)


def collected_streams(
    cell: UntrainedCell,
    count: int,
    sets: Sequence[int],
    per_pair: WorkUnits,
    *,
    length: int | None = None,
    updated: int = 0,
    result_bytes: int = 0,
) -> ShardGroup:
    """Shards that collect sets of streams one after the other, some streams at a time.

    Args:
        cell: whose streams they are.
        count: shards.
        sets: streams in each set.
        per_pair: further work for every pair, by kind; of the first kind, streams are held in passing.
        length: pairs of a stream, if not T.
        updated: pairs behind the shard's policy update, which are held whole.
        result_bytes: as in `ShardGroup`.
    """
    length = length or cell.recipe.common.timesteps
    pairs, steps = sum(sets) * length, length * sum(math.ceil(number / STREAMS_AT_ONCE) for number in sets)
    work = {"step": steps, "pair": pairs} | {kind: amount * pairs for kind, amount in per_pair.items()}
    at_once = min(max(sets), STREAMS_AT_ONCE) * length
    held = {"raw": 2 * at_once} | dict.fromkeys(list(per_pair)[:1], at_once)
    if updated:
        work |= {"policy": 1, "policy_pair": updated}
        held |= {"batch": updated, "policy_pair": updated}
    return ShardGroup(count, work, held, pairs, result_bytes=result_bytes)
