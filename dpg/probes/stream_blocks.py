"""Streams of gradient estimates, cut into shards.

An estimate is made from a set of streams. Blocks of consecutive streams of one set fill shards of a fixed size, so that
a shard may hold parts of several sets and a set may span several shards.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dpg.agent.snapshot import Snapshot
from dpg.probes.collection import fresh_streams, probe_seed
from dpg.probes.gradient_sums import GradientSums, GramSums
from dpg.probes.stream_scores import StreamPrefix, StreamScores, prefixes
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import Streams

# The sums of a block's distinct prefixes, and the products over its streams for a block of the true gradient.
BlockSums = tuple[GradientSums, GramSums | None]


@dataclass(frozen=True)
class StreamBlock:
    """Consecutive streams of one set.

    Args:
        role: The kind of set, which names its seeds. Products are computed for the role `true` alone.
        set_index: The estimate, or the half of the true gradient.
        sizes: Pairs of the estimates that are made from the set.
        group: The group of streams within a half of the true gradient.
    """

    role: str
    set_index: int
    first_stream: int
    num_streams: int
    sizes: tuple[int, ...]
    group: int = 0

    def prefixes(self, timesteps: int) -> list[StreamPrefix]:
        """What each size uses of these streams."""
        return prefixes(self.sizes, timesteps, self.first_stream, self.num_streams)

    def distinct_prefixes(self, timesteps: int) -> list[StreamPrefix]:
        """The distinct ones that have streams: most sizes use all streams of a block or none."""
        return [prefix for prefix in dict.fromkeys(self.prefixes(timesteps)) if prefix.streams]

    def by_size(self, sums: GradientSums, timesteps: int) -> GradientSums:
        """One entry for each size, from those of the distinct prefixes; zero where a size uses no stream."""
        row = {prefix: index for index, prefix in enumerate(self.distinct_prefixes(timesteps))}
        with_nothing = GradientSums(*(np.concatenate([part, np.zeros_like(part[:1])]) for part in sums))
        return with_nothing.rows([row.get(prefix, len(row)) for prefix in self.prefixes(timesteps)])


@dataclass(frozen=True)
class StreamShard:
    """Some streams from one snapshot, as blocks of one or several sets."""

    snapshot: Snapshot
    blocks: tuple[StreamBlock, ...]
    seed: int

    @property
    def num_pairs(self) -> int:
        """Pairs that the shard collects."""
        return sum(block.num_streams for block in self.blocks) * self.snapshot.recipe.common.timesteps

    @property
    def seeds(self) -> list[Seed]:
        """The seed of every stream."""
        root = probe_seed(self.seed, "gradient", self.snapshot)
        return [
            root / block.role / block.set_index / f"stream={block.first_stream + index}"
            for block in self.blocks
            for index in range(block.num_streams)
        ]

    def __str__(self) -> str:
        blocks = (f"{block.role} {block.set_index} from stream {block.first_stream}" for block in self.blocks)
        return f"{self.snapshot}, {', '.join(blocks)}"


def pack(snapshot: Snapshot, sets: Sequence[StreamBlock], seed: int, streams_per_shard: int) -> Iterator[StreamShard]:
    """Shards of `streams_per_shard` streams, the last one smaller, that hold the sets in their order."""
    packed: list[StreamBlock] = []
    room = streams_per_shard
    for whole in sets:
        taken = 0
        while taken < whole.num_streams:
            count = min(room, whole.num_streams - taken)
            packed.append(replace(whole, first_stream=whole.first_stream + taken, num_streams=count))
            taken, room = taken + count, room - count
            if room == 0:
                yield StreamShard(snapshot, tuple(packed), seed)
                packed, room = [], streams_per_shard
    if packed:
        yield StreamShard(snapshot, tuple(packed), seed)


def collect(shard: StreamShard) -> Streams:
    """The streams of a shard."""
    return fresh_streams(shard.snapshot, shard.seeds)


def reduce(shard: StreamShard, scores: StreamScores) -> list[BlockSums]:
    """The statistics of every block, from the scores of all streams of the shard."""
    timesteps = shard.snapshot.recipe.common.timesteps
    results: list[BlockSums] = []
    first = 0
    for block in shard.blocks:
        own = scores.select(first, block.num_streams)
        each = own.per_stream()
        sums = own.pooled(block.distinct_prefixes(timesteps), each)
        results.append((sums, GramSums.of(each) if block.role == "true" else None))
        first += block.num_streams
    return results
