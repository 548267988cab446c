"""How good gradient estimates are at each sample size: against each other and against the true gradient.

The paper's figures 1, 2, 10 and 11. `dpg.probes.stream_sums` says what an estimate is.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from dpg.agent.snapshot import Snapshot, require
from dpg.numerics.statistics import Sample, nested_interval, of_pairs, of_values, sample_interval
from dpg.numerics.vectors import cosine, cosine_matrix
from dpg.probes import stream_sums
from dpg.probes.collection import GRADIENT_PARTS, STREAMS_AT_ONCE, fresh_streams, probe_seed
from dpg.probes.stream_sums import Products, Scored, Share, Sums, noise_scale, shares, spread, union
from dpg.runtime.budgets import GradientBudget
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import Streams
from dpg.tables.gradient import AgentsSimilarity, Noise, Similarity

# Of the true gradient's streams: enough for an interval by leaving one out, and few enough to hold the sums of each.
GROUPS = 20


@dataclass(frozen=True)
class Part:
    """Consecutive streams of one set: of `estimate` r, or of a `group` of half r of the `true` gradient."""

    role: str
    set_index: int
    first_stream: int
    num_streams: int
    sizes: tuple[int, ...]
    group: int = 0

    def shares(self, timesteps: int) -> list[Share]:
        """What each size takes of these streams."""
        return shares(self.sizes, timesteps, self.first_stream, self.num_streams)

    def distinct_shares(self, timesteps: int) -> list[Share]:
        """Those that differ: most sizes take all of these streams or none, and one sum serves them."""
        return [share for share in dict.fromkeys(self.shares(timesteps)) if share.streams]


@dataclass(frozen=True)
class Shard:
    """Some streams from one snapshot, which may be parts of several sets."""

    snapshot: Snapshot
    parts: tuple[Part, ...]
    seed: int

    @property
    def num_pairs(self) -> int:
        """Pairs that the shard collects."""
        return sum(part.num_streams for part in self.parts) * self.snapshot.recipe.common.timesteps

    def __str__(self) -> str:
        parts = (f"{part.role} {part.set_index} from stream {part.first_stream}" for part in self.parts)
        return f"{self.snapshot}, {', '.join(parts)}"


def plan(
    snapshots: Sequence[Snapshot], budget: GradientBudget, seed: int, streams_per_shard: int = STREAMS_AT_ONCE
) -> list[Shard]:
    """The shards of a probe, snapshot by snapshot; all but a snapshot's last have `streams_per_shard` streams."""
    for snapshot in snapshots:
        require(snapshot, "a gradient estimate", *GRADIENT_PARTS)
    return [
        Shard(snapshot, parts, seed)
        for snapshot in snapshots
        for parts in pack(_sets(budget, snapshot.recipe.common.timesteps), streams_per_shard)
    ]


def _sets(budget: GradientBudget, timesteps: int) -> list[Part]:
    """The estimates, whole, and the groups of each half of the true gradient, as equal as they can be."""
    needed = max(1, budget.sizes[-1] // timesteps)
    estimates = [Part("estimate", r, 0, needed, budget.sizes) for r in range(budget.repeats)]
    half = budget.true_pairs // 2
    groups = np.array_split(np.arange(max(1, half // timesteps)), min(GROUPS // 2, max(1, half // timesteps)))
    return estimates + [
        Part("true", r, int(streams[0]), len(streams), (half,), group)
        for r in range(2)
        for group, streams in enumerate(groups)
    ]


def pack(sets: Sequence[Part], capacity: int) -> Iterator[tuple[Part, ...]]:
    """Sets cut and filled into shards of `capacity` streams, in their order."""
    packed: list[Part] = []
    room = capacity
    for whole in sets:
        taken = 0
        while taken < whole.num_streams:
            count = min(room, whole.num_streams - taken)
            packed.append(replace(whole, first_stream=whole.first_stream + taken, num_streams=count))
            taken, room = taken + count, room - count
            if room == 0:
                yield tuple(packed)
                packed, room = [], capacity
    if packed:
        yield tuple(packed)


Reduced = tuple[Sums, Products | None]


def measure(shard: Shard) -> list[Reduced]:
    """Collect a shard's streams, and reduce each part to the statistics of its distinct shares."""
    return reduce(shard, Scored.of(shard.snapshot, streams_of(shard)))


def streams_of(shard: Shard) -> Streams:
    """Collect a shard's streams."""
    return fresh_streams(shard.snapshot, seeds_of(shard))


def reduce(shard: Shard, scored: Scored) -> list[Reduced]:
    """The statistics of each part, from all the streams of the shard; products of the true gradient's alone."""
    timesteps = shard.snapshot.recipe.common.timesteps
    results: list[Reduced] = []
    first = 0
    for part in shard.parts:
        own, wanted = scored.part(first, part.num_streams), part.distinct_shares(timesteps)
        results.append(own.reduce(wanted) if part.role == "true" else (own.sums(wanted), None))
        first += part.num_streams
    return results


def seeds_of(shard: Shard) -> list[Seed]:
    """The seed of every stream of a shard."""
    root = probe_seed(shard.seed, "gradient", shard.snapshot)
    return [
        root / part.role / part.set_index / f"stream={part.first_stream + index}"
        for part in shard.parts
        for index in range(part.num_streams)
    ]


@dataclass(frozen=True)
class Collected:
    """Of one snapshot: the sums of every estimate, and the groups of streams in each half of the true gradient."""

    snapshot: Snapshot
    sizes: tuple[int, ...]
    estimates: list[Sums]
    halves: list[list[stream_sums.Part]]

    @property
    def groups(self) -> list[stream_sums.Part]:
        """Of both halves."""
        return [group for half in self.halves for group in half]


def gather(shards: Sequence[Shard], results: Iterable[list[Reduced]]) -> Iterator[Collected]:
    """Pool the results of shards, in their order, snapshot by snapshot; only one snapshot's sums are held."""
    estimates: dict[int, Sums] = {}
    groups: dict[tuple[int, int], stream_sums.Part] = {}
    for position, (shard, result) in enumerate(zip(shards, results, strict=True)):
        timesteps = shard.snapshot.recipe.common.timesteps
        for part, (sums, stream_products) in zip(shard.parts, result, strict=True):
            own = by_size(part, sums, timesteps)
            if stream_products is None:
                before = estimates.get(part.set_index)
                estimates[part.set_index] = before + own if before else own
            else:
                place, group = (part.set_index, part.group), (own, stream_products)
                groups[place] = union([groups[place], group]) if place in groups else group
        if position + 1 == len(shards) or shards[position + 1].snapshot is not shard.snapshot:
            halves = [[group for (half, _), group in groups.items() if half == r] for r in range(2)]
            sizes = tuple(int(pairs) for pairs in estimates[0].pairs)
            yield Collected(shard.snapshot, sizes, list(estimates.values()), halves)
            estimates, groups = {}, {}


def by_size(part: Part, sums: Sums, timesteps: int) -> Sums:
    """A part's statistics, an entry a size, from those of its distinct shares; nothing where a size takes nothing."""
    row = {share: index for index, share in enumerate(part.distinct_shares(timesteps))}
    nothing = Sums.nothing(1, sums.score.shape[-1])
    with_nothing = Sums(*(np.concatenate([a, b]) for a, b in zip(sums, nothing, strict=True)))
    return with_nothing.rows([row.get(share, len(row)) for share in part.shares(timesteps)])


@dataclass(frozen=True)
class Cosines:
    """Cosines of the estimates of one size from one snapshot: among them (R, R), or with the true gradient (R).

    Estimates without a direction (advantages that do not vary) have none; they are left out and counted.
    """

    against: str
    pairs: int
    trajectories: float
    values: Float[np.ndarray, "..."]
    undirected: int

    @property
    def repeats(self) -> int:
        """Estimates that have a direction."""
        return len(self.values)

    @property
    def distinct(self) -> Float[np.ndarray, " K"]:
        """Every cosine once."""
        return self.values[np.triu_indices(len(self.values), 1)] if self.values.ndim == 2 else self.values

    def sample(self, resample: str) -> Sample:
        """The mean cosine; the units are the estimates, or (the paper's way) the cosines themselves."""
        if len(self.distinct) == 0:
            return Sample(float("nan"), self.distinct)
        if self.values.ndim == 2 and resample == "estimates":
            return of_pairs(self.values, cosine=True)
        return of_values(self.distinct, cosine=True)


def cosines(collected: Collected) -> list[Cosines]:
    """Of every size, among the estimates and with the true gradient."""
    true_gradient = union(collected.groups)[0].gradient()[0]
    found: list[Cosines] = []
    for index, pairs in enumerate(collected.sizes):
        gradients = np.stack([sums.gradient()[index] for sums in collected.estimates])
        directed = gradients[np.linalg.norm(gradients, axis=-1) > 0]
        to_true = cosine(directed, true_gradient)
        of = {"each other": cosine_matrix(directed), "true": to_true[np.isfinite(to_true)]}
        trajectories = float(np.mean([sums.episodes[index] for sums in collected.estimates]))
        undirected = len(gradients) - len(directed)
        found += [Cosines(against, pairs, trajectories, values, undirected) for against, values in of.items()]
    return found


def tabulate(
    collected: Collected, found: Sequence[Cosines], statistics: Statistics, seed: int
) -> tuple[list[Similarity], Noise]:
    """The rows of one snapshot, `found` being its cosines."""
    snapshot = collected.snapshot
    recipe = snapshot.recipe
    cell = (recipe.env_id, recipe.algorithm, snapshot.agent, snapshot.iteration)
    rng = (probe_seed(seed, "gradient", snapshot) / "bootstrap").generator()
    true, products = union(collected.groups)
    halves = [union(groups)[0].gradient()[0] for groups in collected.halves]
    quality = spread(true, products)
    scale = noise_scale(collected.groups, statistics.confidence)
    rows: list[Similarity] = []
    for each in found:
        interval = sample_interval(each.sample(statistics.resample), statistics.confidence, statistics.resamples, rng)
        corrected = each.against == "true" and quality.reliability > 0
        row = Similarity(
            *cell,
            against=each.against,
            pairs=each.pairs,
            trajectories=each.trajectories,
            repeats=each.repeats,
            undirected=each.undirected,
            cosine=interval.mean,
            low=interval.low,
            high=interval.high,
            corrected_cosine=interval.mean / float(np.sqrt(quality.reliability)) if corrected else float("nan"),
            share_nonpositive=_share_nonpositive([each]),
            random_floor=float(1 / np.sqrt(true.score.shape[-1])),
        )
        rows.append(row)
    trace = quality.trace * recipe.common.timesteps
    noise = Noise(
        *cell,
        true_pairs=int(true.pairs[0]),
        true_trajectories=int(true.episodes[0]),
        split_half_cosine=float(cosine(*halves)),
        reliability=quality.reliability,
        gradient_squared=quality.gradient_squared,
        trace=trace,
        noise_scale_pairs=recipe.common.timesteps * scale.mean,
        noise_scale_low=recipe.common.timesteps * scale.low,
        noise_scale_high=recipe.common.timesteps * scale.high,
        signal_to_noise=quality.gradient_squared / quality.trace if quality.trace > 0 else float("nan"),
        pairwise_pairs_for_090=_pairs_for(rows, "each other", 0.9),
        true_pairs_for_090=_pairs_for(rows, "true", 0.9),
        largest_pairs=collected.sizes[-1],
    )
    return rows, noise


def over_agents(
    found: Sequence[tuple[Snapshot, Sequence[Cosines]]], statistics: Statistics, seed: int
) -> list[AgentsSimilarity]:
    """The rows over all agents, by iteration and in the order of `cosines`."""
    rows: list[AgentsSimilarity] = []
    for iteration in sorted({snapshot.iteration for snapshot, _ in found}):
        of_iteration = [(snapshot, each) for snapshot, each in found if snapshot.iteration == iteration]
        recipe = of_iteration[0][0].recipe
        node = Seed(seed) / "gradient" / recipe.env_id / recipe.algorithm / "agents" / f"iteration={iteration}"
        rng = (node / "bootstrap").generator()
        for same in zip(*(each for _, each in of_iteration), strict=True):
            samples = [each.sample(statistics.resample) for each in same]
            interval = nested_interval(samples, statistics.confidence, statistics.resamples, rng)
            row = AgentsSimilarity(
                env=recipe.env_id,
                algorithm=recipe.algorithm,
                iteration=iteration,
                against=same[0].against,
                pairs=same[0].pairs,
                trajectories=float(np.mean([each.trajectories for each in same])),
                agents=sum(bool(np.isfinite(sample.point)) for sample in samples),
                repeats=sum(each.repeats for each in same),
                cosine=interval.mean,
                low=interval.low,
                high=interval.high,
                share_nonpositive=_share_nonpositive(same),
            )
            rows.append(row)
    return rows


def _share_nonpositive(found: Sequence[Cosines]) -> float:
    """Of all cosines."""
    pooled = np.concatenate([each.distinct for each in found])
    return float(np.mean(pooled <= 0)) if len(pooled) else float("nan")


def _pairs_for(rows: Sequence[Similarity], against: str, level: float) -> float:
    """Pairs at which the mean cosine reaches `level`, interpolated in log pairs; NaN where no size gets there."""
    curve = [(row.pairs, row.cosine) for row in rows if row.against == against]
    if curve[0][1] >= level:
        return float(curve[0][0])
    for (pairs, low), (next_pairs, high) in pairwise(curve):
        if low < level <= high:
            share = (level - low) / (high - low)
            return float(np.exp(np.log(pairs) + share * (np.log(next_pairs) - np.log(pairs))))
    return float("nan")
