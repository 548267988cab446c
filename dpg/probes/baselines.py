"""What a baseline buys: agreement of gradient estimates with three of them, on the same streams (paper, fig. 5, 15).

The baselines b(s) of eq. 9 are the agent's value net, the true value function V* (`dpg.probes.true_value`) and zero.
The advantage is formed in two ways. `gae` puts the value function inside GAE; with zero it is the discounted return of
what was recorded, as the paper says. `returns` takes the discounted return for Q and subtracts b(s), so that only the
baseline differs: where an episode was truncated or cut, Q goes on with V*(s) whatever the baseline.

The scores are the same for all: they differ in the weights alone, and one backward pass serves them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, product

import numpy as np
from jaxtyping import Float

from dpg.agent.snapshot import Snapshot, require
from dpg.learning.batch import ValueEstimates, estimate_values
from dpg.numerics.statistics import nested_interval, of_pairs, pairwise_interval
from dpg.numerics.vectors import cosine_matrix
from dpg.probes import gradient
from dpg.probes.collection import GRADIENT_PARTS, STREAMS_AT_ONCE, probe_seed
from dpg.probes.gradient import Part, by_size
from dpg.probes.stream_sums import Scored, Sums
from dpg.runtime.budgets import BaselinesBudget
from dpg.runtime.schema import Common, Statistics
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import Streams
from dpg.tables.baselines import AgentsDifference, BaselineCosine, BaselineDifference

BASELINES = ("true value", "value net", "zero")
WAYS = ("gae", "returns")
# Baseline, and how the advantage is formed.
VARIANTS: tuple[tuple[str, str], ...] = tuple(product(BASELINES, WAYS))


@dataclass(frozen=True)
class ReturnsMinusBaseline(ValueEstimates):
    """Advantages Q(s, a) - b(s), Q being the discounted return: GAE with lambda 1 is Q(s, a) - V(s)."""

    baseline: Float[np.ndarray, "N T"]

    def advantage(
        self, common: Common, pairs: int | None = None, streams: slice = slice(None)
    ) -> Float[np.ndarray, "M n"]:
        """Of the first `pairs` pairs of some streams, as if they had been cut there."""
        cut = (streams, slice(pairs))
        return super().advantage(common, pairs, streams) + self.value[cut] - self.baseline[cut]


@dataclass(frozen=True)
class Shard:
    """Some streams from one snapshot, and its V* as a vector in the layout of its value net."""

    streams: gradient.Shard
    true_value: Float[np.ndarray, " D"]

    @property
    def num_pairs(self) -> int:
        """Pairs that the shard collects."""
        return self.streams.num_pairs

    def __str__(self) -> str:
        return str(self.streams)


def plan(
    snapshots: Sequence[Snapshot], true_values: Sequence[Float[np.ndarray, " D"]], budget: BaselinesBudget, seed: int
) -> list[Shard]:
    """The shards of a probe, snapshot by snapshot."""
    shards: list[Shard] = []
    for snapshot, true_value in zip(snapshots, true_values, strict=True):
        require(snapshot, "a gradient estimate", *GRADIENT_PARTS)
        needed = max(1, budget.sizes[-1] // snapshot.recipe.common.timesteps)
        sets = [Part("baselines", r, 0, needed, budget.sizes) for r in range(budget.repeats)]
        shards += [
            Shard(gradient.Shard(snapshot, parts, seed), true_value) for parts in gradient.pack(sets, STREAMS_AT_ONCE)
        ]
    return shards


def measure(shard: Shard) -> list[list[Sums]]:
    """Collect a shard's streams; the statistics of each part's distinct shares, with each of `VARIANTS`."""
    return reduce(shard, gradient.streams_of(shard.streams))


def reduce(shard: Shard, streams: Streams, variants: Sequence[tuple[str, str]] = VARIANTS) -> list[list[Sums]]:
    """The statistics of each part with each variant, from all the streams of the shard: scores are made once."""
    snapshot = shard.streams.snapshot
    seen = value_estimates(snapshot, streams, shard.true_value, variants)
    scored = Scored.of(snapshot, streams, seen[0])
    by_variant = [
        [sums for sums, _ in gradient.reduce(shard.streams, replace(scored, estimates=each))] for each in seen
    ]
    return [list(of_part) for of_part in zip(*by_variant, strict=True)]


def value_estimates(
    snapshot: Snapshot,
    streams: Streams,
    true_value: Float[np.ndarray, " D"],
    variants: Sequence[tuple[str, str]] = VARIANTS,
) -> list[ValueEstimates]:
    """The streams as each variant sees them."""
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
class Collected:
    """Of one snapshot: cosines among its R estimates, for each of `VARIANTS` and size; complete episodes by size."""

    snapshot: Snapshot
    sizes: tuple[int, ...]
    trajectories: Float[np.ndarray, " K"]
    cosines: dict[tuple[str, str], Float[np.ndarray, "K R R"]]

    @property
    def repeats(self) -> int:
        """R."""
        return self.cosines[VARIANTS[0]].shape[-1]


def gather(shards: Sequence[Shard], results: Iterable[list[list[Sums]]]) -> Iterator[Collected]:
    """Pool the results of shards, in their order, snapshot by snapshot; only one snapshot's sums are held."""
    sets: dict[int, list[Sums]] = {}
    for position, (shard, result) in enumerate(zip(shards, results, strict=True)):
        snapshot = shard.streams.snapshot
        for part, by_variant in zip(shard.streams.parts, result, strict=True):
            mine = [by_size(part, sums, snapshot.recipe.common.timesteps) for sums in by_variant]
            before = sets.get(part.set_index)
            sets[part.set_index] = [a + b for a, b in zip(before, mine, strict=True)] if before else mine
        if position + 1 == len(shards) or shards[position + 1].streams.snapshot is not snapshot:
            yield _collected(snapshot, list(sets.values()))
            sets = {}


def _collected(snapshot: Snapshot, estimates: Sequence[Sequence[Sums]]) -> Collected:
    gradients = [[sums.gradient() for sums in by_variant] for by_variant in estimates]
    cosines = {
        variant: cosine_matrix(np.stack([one[index] for one in gradients], axis=1))
        for index, variant in enumerate(VARIANTS)
    }
    first = [by_variant[0] for by_variant in estimates]
    trajectories = np.mean([sums.episodes for sums in first], axis=0)
    return Collected(snapshot, tuple(int(pairs) for pairs in first[0].pairs), trajectories, cosines)


def tabulate(
    collected: Collected, statistics: Statistics, seed: int
) -> tuple[list[BaselineCosine], list[BaselineDifference]]:
    """The rows of one snapshot. An estimate whose advantages do not vary has no direction: its cosines are blank."""
    snapshot = collected.snapshot
    cell = (snapshot.recipe.env_id, snapshot.recipe.algorithm, snapshot.agent, snapshot.iteration)
    rng = (probe_seed(seed, "baselines", snapshot) / "bootstrap").generator()
    settings = (statistics.confidence, statistics.resamples, rng)
    comparisons: list[BaselineCosine] = []
    differences: list[BaselineDifference] = []
    for index, pairs in enumerate(collected.sizes):
        trajectories = float(collected.trajectories[index])
        for variant, cosines in collected.cosines.items():
            interval = pairwise_interval(cosines[index], *settings, cosine=True)
            comparisons.append(BaselineCosine(*cell, *variant, pairs, trajectories, collected.repeats, *interval))
        for names, gap in _differences(collected, index).items():
            interval = pairwise_interval(gap, *settings)
            differences.append(BaselineDifference(*cell, *names, pairs, collected.repeats, *interval))
    return comparisons, differences


def _differences(collected: Collected, index: int) -> dict[tuple[str, str, str], Float[np.ndarray, "R R"]]:
    """Baseline, other, way: the differences of the cosines of one size, estimate by estimate."""
    cosines = collected.cosines
    return {
        (one, other, way): cosines[one, way][index] - cosines[other, way][index]
        for way in WAYS
        for one, other in combinations(BASELINES, 2)
    }


def over_agents(found: Sequence[Collected], statistics: Statistics, seed: int) -> list[AgentsDifference]:
    """The differences over all agents, by iteration and size."""
    rows: list[AgentsDifference] = []
    for iteration in sorted({each.snapshot.iteration for each in found}):
        agents = [each for each in found if each.snapshot.iteration == iteration]
        recipe = agents[0].snapshot.recipe
        node = Seed(seed) / "baselines" / recipe.env_id / recipe.algorithm / "agents" / f"iteration={iteration}"
        rng = (node / "bootstrap").generator()
        for index, pairs in enumerate(agents[0].sizes):
            by_agent = [_differences(each, index) for each in agents]
            for names in by_agent[0]:
                samples = [of_pairs(gaps[names]) for gaps in by_agent]
                interval = nested_interval(samples, statistics.confidence, statistics.resamples, rng)
                known = sum(bool(np.isfinite(sample.point)) for sample in samples)
                repeats = sum(each.repeats for each in agents)
                cell = (recipe.env_id, recipe.algorithm, iteration)
                rows.append(AgentsDifference(*cell, *names, pairs, known, repeats, *interval))
    return rows
