"""Training many agents: groups train as populations on parallel workers, each a chain of shards.

Results depend on the size of the groups, through rounding, but not on other groups or the number of workers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.runtime.schema import Params
from dpg.tables.training import Record


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

    def __str__(self) -> str:
        rates = f" at rates {', '.join(f'{rate:g}' for rate in self.rates)}" if self.rates else ""
        return f"{self.recipe.env_id} {self.recipe.algorithm} agents {', '.join(map(str, self.agents))}{rates}"


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
    records: list[Record]


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


Run = Callable[
    [Sequence[TrainingShard], Callable[[TrainedGroup], TrainingShard | None]],
    Iterator[TrainedGroup],
]


def train(groups: Sequence[Group], run: Run, every: int | None = None) -> Iterator[TrainedGroup]:
    """Train all groups to their ends: results of all at their first stop, then of all at their second, and so on.

    `run(shards, then)` yields `run_shard` of chains of shards: those given, and what `then` makes of each result.
    Groups do not wait for each other. Those with fewer stops drop out earlier.
    """

    def following(trained: TrainedGroup) -> TrainingShard | None:
        left = [stop for stop in stops(trained.group, every) if stop > trained.population.iteration]
        return TrainingShard(trained.group, trained.population, left[0]) if left else None

    return run([TrainingShard(group, None, 0) for group in groups], following)


def stops(group: Group, every: int | None = None) -> list[int]:
    """Iterations at which a group's shards end: 0 before learning, then each `every` or tenth, and the last."""
    end = group.recipe.iterations
    return [*range(0, end, every or max(1, end // 10)), end]


def run_shard(shard: TrainingShard) -> TrainedGroup:
    """Train one group up to `shard.until`."""
    recipe, agents = shard.group.recipe, list(shard.group.agents)
    envs = make_vector(recipe.env_id, len(agents), recipe.modules)
    population = shard.population or training.begin(recipe, envs, agents)
    records: list[Record] = []
    for trained, rows in training.train(population, envs, recipe, agents, shard.until, shard.group.rates):
        population = trained
        records += rows
    envs.close()
    return TrainedGroup(shard.group, population, records)
