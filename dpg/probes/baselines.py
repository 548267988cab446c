"""What a baseline buys: agreement of gradient estimates with each of three baselines on the same streams (fig. 5, 15).

The baselines b(s) of eq. 9 are the agent's value net, the true value function V* (`dpg.probes.true_value`) and zero.
The advantage has two forms. `gae` uses the value function inside GAE; with zero this is the discounted return of the
recorded rewards, as in the paper. `returns` subtracts b(s) from the discounted return Q, so that only the baseline
differs: Q bootstraps with V*(s) where an episode was truncated or cut, for every baseline.

All variants share the scores and differ in the weights alone, so that one backward pass serves them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, groupby, product
from operator import attrgetter

import numpy as np
from jaxtyping import Float

from dpg.agent.snapshot import Snapshot, require
from dpg.learning.batch import ValueEstimates, estimate_values
from dpg.numerics.statistics import nested_interval, of_pairs, pairwise_interval
from dpg.numerics.vectors import cosine_matrix
from dpg.probes import stream_blocks
from dpg.probes.collection import GRADIENT_PARTS, STREAMS_AT_ONCE, Rows, by_snapshot, identity, probe_seed
from dpg.probes.gradient_sums import GradientSums
from dpg.probes.stream_blocks import StreamBlock, StreamShard
from dpg.probes.stream_scores import StreamScores
from dpg.runtime.budgets import BaselinesBudget
from dpg.runtime.schema import Common, Statistics
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import Streams
from dpg.tables.baselines import AgentsDifference, BaselineCosine, BaselineDifference

BASELINES = ("true value", "value net", "zero")
WAYS = ("gae", "returns")
# Baseline, and form of the advantage.
VARIANTS: tuple[tuple[str, str], ...] = tuple(product(BASELINES, WAYS))


@dataclass(frozen=True)
class ReturnsMinusBaseline(ValueEstimates):
    """Advantages Q(s, a) - b(s), Q being the discounted return: GAE with lambda 1 is Q(s, a) - V(s)."""

    baseline: Float[np.ndarray, "N T"]

    def advantage(
        self, common: Common, pairs: int | None = None, streams: slice = slice(None)
    ) -> Float[np.ndarray, "M n"]:
        """Of the first `pairs` pairs of some streams, cut there."""
        cut = (streams, slice(pairs))
        return super().advantage(common, pairs, streams) + self.value[cut] - self.baseline[cut]


@dataclass(frozen=True)
class BaselineShard(StreamShard):
    """Some streams from one snapshot, and its V* as a vector in the layout of its value net."""

    true_value: Float[np.ndarray, " D"]


def plan(
    snapshots: Sequence[Snapshot], true_values: Sequence[Float[np.ndarray, " D"]], budget: BaselinesBudget, seed: int
) -> list[BaselineShard]:
    """The streams of all estimates."""
    shards: list[BaselineShard] = []
    for snapshot, true_value in zip(snapshots, true_values, strict=True):
        require(snapshot, "a gradient estimate", *GRADIENT_PARTS)
        needed = max(1, budget.sizes[-1] // snapshot.recipe.common.timesteps)
        sets = [StreamBlock("baselines", r, 0, needed, budget.sizes) for r in range(budget.repeats)]
        packed = stream_blocks.pack(snapshot, sets, seed, STREAMS_AT_ONCE)
        shards += [BaselineShard(snapshot, shard.blocks, seed, true_value) for shard in packed]
    return shards


def measure(shard: BaselineShard) -> list[list[GradientSums]]:
    """Collect the streams of a shard; the sums of each block's distinct prefixes, in each of `VARIANTS`."""
    return reduce(shard, stream_blocks.collect(shard))


def reduce(
    shard: BaselineShard, streams: Streams, variants: Sequence[tuple[str, str]] = VARIANTS
) -> list[list[GradientSums]]:
    """The sums of each block in each variant; the scores are computed once."""
    snapshot = shard.snapshot
    estimates = value_estimates(snapshot, streams, shard.true_value, variants)
    scores = StreamScores.of(snapshot, streams, estimates[0])
    by_variant = [
        [sums for sums, _ in stream_blocks.reduce(shard, replace(scores, estimates=each))] for each in estimates
    ]
    return [list(of_block) for of_block in zip(*by_variant, strict=True)]


def value_estimates(
    snapshot: Snapshot,
    streams: Streams,
    true_value: Float[np.ndarray, " D"],
    variants: Sequence[tuple[str, str]] = VARIANTS,
) -> list[ValueEstimates]:
    """The value estimates of the streams in each variant."""
    recipe, state = snapshot.recipe, snapshot.state

    @cache
    def in_gae(name: str) -> ValueEstimates:
        common = recipe.common.model_copy(update={"baseline": "none" if name == "zero" else "value"})
        population = replace(state, value=true_value[None]) if name == "true value" else state
        return estimate_values(population, streams, common, recipe.config)

    def returns_minus(b: ValueEstimates) -> ValueEstimates:
        true = in_gae("true value")
        return ReturnsMinusBaseline(true.reward, true.value, true.next_value, true.done, 1.0, b.value)

    return [in_gae(name) if way == "gae" else returns_minus(in_gae(name)) for name, way in variants]


@dataclass(frozen=True)
class BaselineCosines:
    """The cosines (K, R, R) with each other of R estimates of K sizes from one snapshot, in each variant."""

    snapshot: Snapshot
    sizes: tuple[int, ...]
    trajectories: Float[np.ndarray, " K"]
    cosines: dict[tuple[str, str], Float[np.ndarray, "K R R"]]

    @property
    def repeats(self) -> int:
        """R."""
        return self.cosines[VARIANTS[0]].shape[-1]

    def differences(self, index: int) -> dict[tuple[str, str, str], Float[np.ndarray, "R R"]]:
        """By baseline, other and form: the differences of the cosines of one size."""
        return {
            (one, other, way): self.cosines[one, way][index] - self.cosines[other, way][index]
            for way in WAYS
            for one, other in combinations(BASELINES, 2)
        }


def gather(shards: Sequence[BaselineShard], results: Iterable[list[list[GradientSums]]]) -> Iterator[BaselineCosines]:
    """Pool the results snapshot by snapshot, holding the sums of one at a time."""
    for snapshot, found in by_snapshot(shards, results):
        timesteps = snapshot.recipe.common.timesteps
        sets: dict[int, list[GradientSums]] = {}
        for shard, result in found:
            for block, by_variant in zip(shard.blocks, result, strict=True):
                own = [block.by_size(sums, timesteps) for sums in by_variant]
                before = sets.get(block.set_index)
                sets[block.set_index] = [a + b for a, b in zip(before, own, strict=True)] if before else own
        estimates = list(sets.values())
        gradients = [[sums.gradient() for sums in by_variant] for by_variant in estimates]
        cosines = {
            variant: cosine_matrix(np.stack([one[index] for one in gradients], axis=1))
            for index, variant in enumerate(VARIANTS)
        }
        first = [by_variant[0] for by_variant in estimates]
        trajectories = np.mean([sums.episodes for sums in first], axis=0)
        yield BaselineCosines(snapshot, tuple(int(pairs) for pairs in first[0].pairs), trajectories, cosines)


def tabulate(found: Iterable[BaselineCosines], statistics: Statistics, seed: int) -> Rows:
    """The cosines and their differences at every snapshot and over agents.

    Estimates whose advantages do not vary have no direction: their cosines are NaN.
    """
    kept = list(found)
    rows: Rows = {BaselineCosine: [], BaselineDifference: [], AgentsDifference: []}
    for each in kept:
        for row in _of_snapshot(each, statistics, seed):
            rows[type(row)].append(row)
    rows[AgentsDifference] += _over_agents(kept, statistics, seed)
    return rows


def _of_snapshot(
    found: BaselineCosines, statistics: Statistics, seed: int
) -> Iterator[BaselineCosine | BaselineDifference]:
    rng = (probe_seed(seed, "baselines", found.snapshot) / "bootstrap").generator()
    settings = (statistics.confidence, statistics.resamples, rng)
    key = identity(found.snapshot)
    for index, pairs in enumerate(found.sizes):
        trajectories = float(found.trajectories[index])
        for variant, cosines in found.cosines.items():
            interval = pairwise_interval(cosines[index], *settings, cosine=True)
            yield BaselineCosine(
                **key,
                baseline=variant[0],
                advantage=variant[1],
                pairs=pairs,
                trajectories=trajectories,
                repeats=found.repeats,
                **interval.columns("cosine"),
            )
        for names, gap in found.differences(index).items():
            interval = pairwise_interval(gap, *settings)
            yield BaselineDifference(
                **key,
                baseline=names[0],
                other=names[1],
                advantage=names[2],
                pairs=pairs,
                repeats=found.repeats,
                **interval.columns("difference"),
            )


def _over_agents(found: Sequence[BaselineCosines], statistics: Statistics, seed: int) -> Iterator[AgentsDifference]:
    """The differences over all agents, by iteration and size."""
    iteration_of = attrgetter("snapshot.iteration")
    for iteration, group in groupby(sorted(found, key=iteration_of), iteration_of):
        agents = list(group)
        recipe = agents[0].snapshot.recipe
        node = Seed(seed) / "baselines" / recipe.env_id / recipe.algorithm / "agents" / f"iteration={iteration}"
        rng = (node / "bootstrap").generator()
        for index, pairs in enumerate(agents[0].sizes):
            by_agent = [each.differences(index) for each in agents]
            for names in by_agent[0]:
                samples = [of_pairs(gaps[names]) for gaps in by_agent]
                interval = nested_interval(samples, statistics.confidence, statistics.resamples, rng)
                known = sum(bool(np.isfinite(sample.point)) for sample in samples)
                repeats = sum(each.repeats for each in agents)
                yield AgentsDifference(
                    recipe.env_id, recipe.algorithm, iteration, *names, pairs, known, repeats, *interval
                )
