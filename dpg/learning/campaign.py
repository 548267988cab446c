"""Training many agents: each is a chain of shards, and where there are fewer workers than agents they train together.

An agent trains to the same bytes alone and in any group. A group of four takes some two thirds of the time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.runtime.schema import Params
from dpg.runtime.shards import Together
from dpg.tables.training import IterationRecord


@dataclass(frozen=True)
class Group:
    """Agents that train together: their numbers and, where they differ from the recipe's, policy learning rates."""

    recipe: Recipe
    agents: tuple[int, ...]
    rates: tuple[float, ...] | None = None

    @property
    def num_pairs(self) -> int:
        """Pairs of the group's whole training."""
        return self.recipe.iterations * len(self.agents) * self.recipe.common.timesteps

    def members(self) -> list["Group"]:
        """Its agents, each as a group of its own."""
        rates = [(rate,) for rate in self.rates] if self.rates else [None] * len(self.agents)
        return [Group(self.recipe, (agent,), rate) for agent, rate in zip(self.agents, rates, strict=True)]

    def __str__(self) -> str:
        several = "s" if len(self.agents) > 1 else ""
        rates = f" at rate{several} {', '.join(f'{rate:g}' for rate in self.rates)}" if self.rates else ""
        agents = f"agent{several} {', '.join(map(str, self.agents))}{rates}"
        recipe = self.recipe
        return f"{recipe.env_id} {recipe.algorithm}, {recipe.common.timesteps:,} pairs an iteration, {agents}"


@dataclass(frozen=True)
class TrainingShard:
    """A group, from its present population (None: not yet initialised) to iteration `until`."""

    group: Group
    population: Population | None
    until: int

    @property
    def num_pairs(self) -> int:
        """Pairs that the shard trains on."""
        return (self.until - self.start) * len(self.group.agents) * self.group.recipe.common.timesteps

    @property
    def start(self) -> int:
        """The iteration that the shard begins with."""
        return self.population.iteration if self.population else 0

    def __str__(self) -> str:
        return f"{self.group}, iterations {self.start} to {self.until}"


@dataclass(frozen=True)
class TrainedGroup:
    """The result of a shard: its group's population, and the records of the shard's iterations."""

    group: Group
    population: Population
    records: list[IterationRecord]


def groups_of(recipe: Recipe, num_agents: int, group_size: int, rates: Sequence[float] | None = None) -> list[Group]:
    """Agents 0 .. num_agents - 1, and as many for every rate, in groups of at most `group_size`."""
    members = [(agent, rate) for rate in (rates or [None]) for agent in range(num_agents)]
    cuts = [members[first : first + group_size] for first in range(0, len(members), group_size)]
    return [
        Group(
            recipe,
            tuple(agent for agent, _ in cut),
            tuple(rate for _, rate in cut if rate is not None) or None,
        )
        for cut in cuts
    ]


def regimes(params: Params, env: str) -> list[Group]:
    """An algorithm at every sample size, its rates as members, with equal total pairs (paper, fig. 3)."""
    budget, algorithm = params.budget.regimes, params.regimes.algorithm
    return [
        group
        for timesteps in budget.timesteps
        for group in groups_of(
            Recipe.of(params, env, algorithm, budget.total_pairs // timesteps, timesteps=timesteps),
            budget.agents,
            budget.group_size,
            budget.rates,
        )
    ]


# `map_shards` of `run_shard`, which takes `shards`, `then` and `together` by name.
Run = Callable[..., Iterator[TrainedGroup]]


def train(groups: Sequence[Group], run: Run, every: int | None = None) -> Iterator[TrainedGroup]:
    """Train all agents to their ends: results of all at their first stop, then of all at their second, and so on.

    Agents do not wait for each other. At most as many as the largest of `groups` has train together. Those with fewer
    stops drop out earlier.
    """

    def following(trained: TrainedGroup) -> TrainingShard | None:
        left = [stop for stop in stops(trained.group, every) if stop > trained.population.iteration]
        return TrainingShard(trained.group, trained.population, left[0]) if left else None

    members = chain.from_iterable(group.members() for group in groups)
    together = Together(run_together, _kind, max((len(group.agents) for group in groups), default=1))
    return run(shards=[TrainingShard(member, None, 0) for member in members], then=following, together=together)


def _kind(shard: TrainingShard) -> object:
    """What shards that can be one population have in common."""
    return shard.group.recipe, shard.start, shard.until, shard.group.rates is None


def stops(group: Group, every: int | None = None) -> list[int]:
    """Iterations at which a group's shards end: 0 before learning, then each `every` or tenth, and the last."""
    end = group.recipe.iterations
    return [*range(0, end, every or max(1, end // 10)), end]


def run_shard(shard: TrainingShard) -> TrainedGroup:
    """Train one group up to `shard.until`."""
    recipe, agents = shard.group.recipe, list(shard.group.agents)
    envs = make_vector(recipe.env_id, len(agents), recipe.modules)
    population = shard.population or training.begin(recipe, envs, agents)
    records: list[IterationRecord] = []
    for trained, rows in training.train(population, envs, recipe, agents, shard.until, shard.group.rates):
        population = trained
        records += rows
    envs.close()
    return TrainedGroup(shard.group, population, records)


def run_together(shards: Sequence[TrainingShard]) -> list[TrainedGroup]:
    """`run_shard` of each of some agents, as one population."""
    first, count = shards[0], len(shards)
    agents = tuple(chain.from_iterable(shard.group.agents for shard in shards))
    rates = tuple(chain.from_iterable(shard.group.rates or () for shard in shards))
    populations = [shard.population for shard in shards if shard.population]
    population = Population.concatenate(populations) if populations else None
    trained = run_shard(TrainingShard(Group(first.group.recipe, agents, rates or None), population, first.until))
    return [
        TrainedGroup(shard.group, trained.population.member(row), trained.records[row::count])
        for row, shard in enumerate(shards)
    ]
