"""How good gradient estimates of each size are: against each other and against the true gradient.

The paper's figures 1, 2, 10 and 11. `dpg.probes.gradient_sums` defines an estimate.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from dpg.agent.snapshot import Snapshot, require
from dpg.numerics.statistics import Interval, Sample, of_pairs, of_values, sample_interval
from dpg.numerics.vectors import cosine, cosine_matrix
from dpg.probes import stream_blocks
from dpg.probes.collection import GRADIENT_PARTS, STREAMS_AT_ONCE, Rows, by_snapshot, identity, probe_seed
from dpg.probes.gradient_sums import GradientMoments, GradientSums, gradient_noise, noise_scale, pool
from dpg.probes.stream_blocks import BlockSums, StreamBlock, StreamShard
from dpg.probes.stream_scores import StreamScores
from dpg.runtime.budgets import GradientBudget
from dpg.runtime.schema import Statistics
from dpg.tables.gradient import Noise, Similarity

# Of the true gradient's streams: enough for a jackknife interval, few enough to hold the sums of each.
NUM_GROUPS = 20


def plan(
    snapshots: Sequence[Snapshot], budget: GradientBudget, seed: int, streams_per_shard: int = STREAMS_AT_ONCE
) -> list[StreamShard]:
    """The streams of all estimates and of the true gradient."""
    for snapshot in snapshots:
        require(snapshot, "a gradient estimate", *GRADIENT_PARTS)
    return [
        shard
        for snapshot in snapshots
        for shard in stream_blocks.pack(
            snapshot, _sets(budget, snapshot.recipe.common.timesteps), seed, streams_per_shard
        )
    ]


def _sets(budget: GradientBudget, timesteps: int) -> list[StreamBlock]:
    """The estimates, then the groups of each half of the true gradient, of nearly equal size."""
    needed = max(1, budget.sizes[-1] // timesteps)
    estimates = [StreamBlock("estimate", r, 0, needed, budget.sizes) for r in range(budget.repeats)]
    half = budget.true_pairs // 2
    num_streams = max(1, half // timesteps)
    groups = np.array_split(np.arange(num_streams), min(NUM_GROUPS // 2, num_streams))
    return estimates + [
        StreamBlock("true", r, int(streams[0]), len(streams), (half,), group)
        for r in range(2)
        for group, streams in enumerate(groups)
    ]


def measure(shard: StreamShard) -> list[BlockSums]:
    """Collect the streams of a shard, and reduce each block to its statistics."""
    return stream_blocks.reduce(shard, StreamScores.of(shard.snapshot, stream_blocks.collect(shard)))


@dataclass(frozen=True)
class EstimateSet:
    """The estimates from one snapshot, and the groups of streams in each half of its true gradient."""

    snapshot: Snapshot
    sizes: tuple[int, ...]
    estimates: list[GradientSums]
    halves: list[list[GradientMoments]]

    @property
    def groups(self) -> list[GradientMoments]:
        """The groups of both halves."""
        return [group for half in self.halves for group in half]


def gather(shards: Sequence[StreamShard], results: Iterable[list[BlockSums]]) -> Iterator[EstimateSet]:
    """Pool the results snapshot by snapshot, holding the sums of one at a time."""
    for snapshot, found in by_snapshot(shards, results):
        timesteps = snapshot.recipe.common.timesteps
        estimates: dict[int, GradientSums] = {}
        groups: dict[tuple[int, int], GradientMoments] = {}
        for shard, result in found:
            for block, (sums, products) in zip(shard.blocks, result, strict=True):
                own = block.by_size(sums, timesteps)
                if products is None:
                    before = estimates.get(block.set_index)
                    estimates[block.set_index] = before + own if before else own
                else:
                    key, group = (block.set_index, block.group), (own, products)
                    groups[key] = pool([groups[key], group]) if key in groups else group
        halves = [[group for (half, _), group in groups.items() if half == r] for r in range(2)]
        sizes = tuple(int(pairs) for pairs in estimates[0].pairs)
        yield EstimateSet(snapshot, sizes, list(estimates.values()), halves)


def tabulate(estimate_sets: Iterable[EstimateSet], statistics: Statistics, seed: int) -> Rows:
    """The similarities and the noise at every snapshot."""
    similarities: list[Similarity] = []
    noise: list[Noise] = []
    for estimate_set in estimate_sets:
        rng = (probe_seed(seed, "gradient", estimate_set.snapshot) / "bootstrap").generator()
        rows = list(_similarities(estimate_set, statistics, rng))
        similarities += rows
        noise.append(_noise(estimate_set, rows, statistics))
    return {Similarity: similarities, Noise: noise}


def _similarities(estimate_set: EstimateSet, statistics: Statistics, rng: np.random.Generator) -> Iterator[Similarity]:
    """Cosines of the estimates of every size: (R, R) with each other, and (R) with the true gradient.

    Estimates without a direction, whose advantages do not vary, are left out and counted in `undirected`.
    """
    total, products = pool(estimate_set.groups)
    reliability = gradient_noise(total, products).reliability
    for index, pairs in enumerate(estimate_set.sizes):
        gradients = np.stack([sums.gradient()[index] for sums in estimate_set.estimates])
        directed = gradients[np.linalg.norm(gradients, axis=-1) > 0]
        to_true = cosine(directed, total.gradient()[0])
        for against, values in (("each other", cosine_matrix(directed)), ("true", to_true[np.isfinite(to_true)])):
            distinct = values[np.triu_indices(len(values), 1)] if values.ndim == 2 else values
            sample = _sample(values, distinct, statistics.resample)
            interval = sample_interval(sample, statistics.confidence, statistics.resamples, rng)
            corrected = against == "true" and reliability > 0
            yield Similarity(
                **identity(estimate_set.snapshot),
                against=against,
                pairs=pairs,
                trajectories=float(np.mean([sums.episodes[index] for sums in estimate_set.estimates])),
                repeats=len(values),
                undirected=len(gradients) - len(directed),
                **interval.columns("cosine"),
                corrected_cosine=interval.mean / float(np.sqrt(reliability)) if corrected else float("nan"),
                share_nonpositive=float(np.mean(distinct <= 0)) if len(distinct) else float("nan"),
                random_floor=float(1 / np.sqrt(total.score.shape[-1])),
            )


def _sample(values: Float[np.ndarray, "..."], distinct: Float[np.ndarray, " K"], resample: str) -> Sample:
    """The mean cosine; its units are the estimates or, as in the paper, the cosines themselves."""
    if len(distinct) == 0:
        return Sample(float("nan"), distinct)
    return (
        of_pairs(values, cosine=True)
        if values.ndim == 2 and resample == "estimates"
        else of_values(distinct, cosine=True)
    )


def _noise(estimate_set: EstimateSet, rows: Sequence[Similarity], statistics: Statistics) -> Noise:
    timesteps = estimate_set.snapshot.recipe.common.timesteps
    total, products = pool(estimate_set.groups)
    first, second = (pool(groups)[0].gradient()[0] for groups in estimate_set.halves)
    noise = gradient_noise(total, products)
    scale = Interval(*(timesteps * end for end in noise_scale(estimate_set.groups, statistics.confidence)))
    return Noise(
        **identity(estimate_set.snapshot),
        true_pairs=int(total.pairs[0]),
        true_trajectories=int(total.episodes[0]),
        split_half_cosine=float(cosine(first, second)),
        reliability=noise.reliability,
        gradient_squared=noise.gradient_squared,
        trace=noise.trace * timesteps,
        **scale.columns("noise_scale_pairs", "noise_scale_"),
        signal_to_noise=noise.gradient_squared / noise.trace if noise.trace > 0 else float("nan"),
        pairwise_pairs_for_090=_pairs_for(rows, "each other", 0.9),
        true_pairs_for_090=_pairs_for(rows, "true", 0.9),
        largest_pairs=estimate_set.sizes[-1],
    )


def _pairs_for(rows: Sequence[Similarity], against: str, level: float) -> float:
    """Pairs at which the mean cosine reaches `level`, interpolated in log pairs; NaN if no size reaches it."""
    curve = [(row.pairs, row.cosine) for row in rows if row.against == against]
    if curve[0][1] >= level:
        return float(curve[0][0])
    for (pairs, low), (next_pairs, high) in pairwise(curve):
        if low < level <= high:
            share = (level - low) / (high - low)
            return float(np.exp(np.log(pairs) + share * (np.log(next_pairs) - np.log(pairs))))
    return float("nan")
