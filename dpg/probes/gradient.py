"""How good gradient estimates are at each sample size: against each other and against the true gradient.

The paper's figures 1, 2, 10 and 11. `dpg.probes.stream_sums` says what an estimate is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from dpg.agent.snapshot import Snapshot
from dpg.numerics.statistics import Interval, mean_interval, pairwise_interval
from dpg.numerics.vectors import cosine, cosine_matrix
from dpg.probes.collection import STREAMS_AT_ONCE, fresh_streams, probe_seed
from dpg.probes.stream_sums import Products, Sums, reduce_streams, spread
from dpg.runtime.schema import GradientBudget, Statistics


@dataclass(frozen=True)
class Shard:
    """Some streams of one set (`estimate` r, or half r of the `true` gradient) from one snapshot."""

    snapshot: Snapshot
    role: str
    set_index: int
    first_stream: int
    num_streams: int
    sizes: tuple[int, ...]
    seed: int

    @property
    def num_pairs(self) -> int:
        """Pairs that the shard collects."""
        return self.num_streams * self.snapshot.recipe.common.timesteps


def plan(
    snapshots: Sequence[Snapshot], budget: GradientBudget, seed: int, streams_per_shard: int = STREAMS_AT_ONCE
) -> list[Shard]:
    """The shards of a probe, in the order in which `tabulate` reduces them."""
    shards: list[Shard] = []
    for snapshot in snapshots:
        timesteps = snapshot.recipe.common.timesteps
        half = budget.true_pairs // 2
        sets = [("estimate", r, budget.sizes) for r in range(budget.repeats)]
        sets += [("true", r, (half,)) for r in range(2)]
        for role, index, sizes in sets:
            needed = max(1, sizes[-1] // timesteps)
            for first in range(0, needed, streams_per_shard):
                count = min(streams_per_shard, needed - first)
                shards.append(Shard(snapshot, role, index, first, count, sizes, seed))
    return shards


def measure(shard: Shard) -> tuple[Sums, Products]:
    """Collect a shard's streams and reduce them to the statistics of each of its sizes."""
    snapshot = shard.snapshot
    node = probe_seed(shard.seed, "gradient", snapshot) / shard.role / shard.set_index
    indices = range(shard.first_stream, shard.first_stream + shard.num_streams)
    streams = fresh_streams(snapshot, [node / f"stream={index}" for index in indices])
    return reduce_streams(snapshot, streams, shard.sizes, shard.first_stream)


@dataclass(frozen=True)
class Similarity:
    """One row of `similarity.csv`: estimates of one size from one snapshot, against each other or the true gradient.

    `pairs` and `trajectories` (complete episodes, mean) are those of one estimate; `low` and `high` come from
    resampling the `repeats` estimates.
    """

    env: str
    algorithm: str
    agent: int
    iteration: int
    against: str
    pairs: int
    trajectories: float
    repeats: int
    cosine: float
    low: float
    high: float
    corrected_cosine: float
    share_nonpositive: float
    random_floor: float


@dataclass(frozen=True)
class Noise:
    """One row of `noise.csv`: the true gradient of one snapshot, its quality, and the noise of estimates around it.

    `gradient_squared` and `trace` are unbiased estimates of |g|^2 and of the trace of the covariance of one pair's
    gradient, streams being the independent unit; `noise_scale_pairs` is their ratio (arXiv:1812.06162, eq. 2.8), NaN
    where the estimate of |g|^2 is not positive: the noise hides the gradient. The `*_pairs_for_090` are the pairs at
    which the mean cosine reaches 0.9, NaN where the largest size does not get there.
    """

    env: str
    algorithm: str
    agent: int
    iteration: int
    true_pairs: int
    true_trajectories: int
    split_half_cosine: float
    reliability: float
    gradient_squared: float
    trace: float
    noise_scale_pairs: float
    pairwise_pairs_for_090: float
    true_pairs_for_090: float


@dataclass(frozen=True)
class Collected:
    """All that was collected from one snapshot: the sums of every estimate, and of the halves of the true gradient."""

    snapshot: Snapshot
    sizes: tuple[int, ...]
    estimates: list[Sums]
    halves: list[Sums]
    products: Products


def gather(shards: Sequence[Shard], results: Iterable[tuple[Sums, Products]]) -> Iterable[Collected]:
    """Pool the results of shards, in their order, snapshot by snapshot; only one snapshot's sums are held."""
    sets: dict[tuple[str, int], Sums] = {}
    products: Products | None = None
    for position, (shard, (sums, stream_products)) in enumerate(zip(shards, results, strict=True)):
        key = (shard.role, shard.set_index)
        sets[key] = sets[key] + sums if key in sets else sums
        if shard.role == "true":
            products = products + stream_products if products else stream_products
        last = position + 1 == len(shards) or shards[position + 1].snapshot is not shard.snapshot
        if last:
            assert products is not None
            estimates = [value for (role, _), value in sets.items() if role == "estimate"]
            halves = [value for (role, _), value in sets.items() if role == "true"]
            sizes = next(other.sizes for other in shards if other.snapshot is shard.snapshot)
            yield Collected(shard.snapshot, sizes, estimates, halves, products)
            sets, products = {}, None


def tabulate(collected: Collected, statistics: Statistics, seed: int) -> tuple[list[Similarity], Noise]:
    """The rows of one snapshot."""
    snapshot = collected.snapshot
    recipe = snapshot.recipe
    cell = (recipe.env_id, recipe.algorithm, snapshot.agent, snapshot.iteration)
    rng = (probe_seed(seed, "gradient", snapshot) / "bootstrap").generator()
    true = collected.halves[0] + collected.halves[1]
    true_gradient = true.gradient()[0]
    quality = spread(true, collected.products)
    rows: list[Similarity] = []
    for index in range(len(collected.sizes)):
        gradients = np.stack([sums.gradient()[index] for sums in collected.estimates])
        among, to_true = cosine_matrix(gradients), cosine(gradients, true_gradient)

        def row(
            against: str, interval: Interval, values: Float[np.ndarray, " K"], corrected: float, index: int = index
        ) -> Similarity:
            return Similarity(
                *cell,
                against=against,
                pairs=collected.sizes[index],
                trajectories=float(np.mean([sums.episodes[index] for sums in collected.estimates])),
                repeats=len(collected.estimates),
                cosine=interval.mean,
                low=interval.low,
                high=interval.high,
                corrected_cosine=corrected,
                share_nonpositive=float(np.mean(values <= 0)),
                random_floor=float(1 / np.sqrt(len(true_gradient))),
            )

        among_interval = pairwise_interval(among, statistics.confidence, statistics.resamples, rng)
        rows.append(row("each other", among_interval, among[np.triu_indices(len(among), 1)], float("nan")))
        against = mean_interval(to_true, statistics.confidence, statistics.resamples, rng)
        corrected = against.mean / np.sqrt(quality.reliability) if quality.reliability > 0 else float("nan")
        rows.append(row("true", against, to_true, float(corrected)))
    trace = quality.trace * recipe.common.timesteps
    noise = Noise(
        *cell,
        true_pairs=int(true.pairs[0]),
        true_trajectories=int(true.episodes[0]),
        split_half_cosine=float(cosine(collected.halves[0].gradient()[0], collected.halves[1].gradient()[0])),
        reliability=quality.reliability,
        gradient_squared=quality.gradient_squared,
        trace=trace,
        noise_scale_pairs=trace / quality.gradient_squared if quality.gradient_squared > 0 else float("nan"),
        pairwise_pairs_for_090=_pairs_for(rows, "each other", 0.9),
        true_pairs_for_090=_pairs_for(rows, "true", 0.9),
    )
    return rows, noise


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
