"""The policy update of an iteration, and what it maximises, for the algorithm that a recipe names."""

from collections.abc import Sequence

from jaxtyping import Float

from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.learning import algorithm, contract
from dpg.learning.adam import learning_rate
from dpg.learning.algorithm import Step
from dpg.learning.batch import Batch
from dpg.numerics.pytorch import Tensor, torch
from dpg.runtime.seeding import Seed


def update_policy(
    population: Population, batch: Batch, recipe: Recipe, seeds: list[Seed], rates: Sequence[float] | None = None
) -> Population:
    """theta_i to theta_{i+1}; `rates` are the members' learning rates where they are not the recipe's.

    Raises:
        AlgorithmError: the algorithm cannot be used (`dpg.learning.contract`).
    """
    chosen = algorithm.of(recipe)
    base = rates or getattr(recipe.config, "lr", float("nan"))
    step = Step(seeds, learning_rate(recipe, base, population), population.iteration / recipe.iterations)
    return contract.update_policy(chosen, population, batch, recipe.config, step)


def objective(
    population: Population, policy: Float[Tensor, "P D"], batch: Batch, recipe: Recipe
) -> Float[Tensor, " P"]:
    """What the algorithm maximises, at other policy vectors, on a batch of this population."""
    return contract.surrogate(algorithm.of(recipe), population, policy, batch.normalized(), recipe.config)


def objective_over(
    population: Population, policy: Float[Tensor, "P D"], batch: Batch, recipe: Recipe, pairs_at_once: int
) -> Float[Tensor, " P"]:
    """`objective`, computed `pairs_at_once` pairs at a time to bound memory, and added up in float64."""
    chosen = algorithm.of(recipe)
    total = torch.zeros(len(policy), dtype=torch.float64)
    for part in batch.normalized().parts(pairs_at_once):
        value = contract.surrogate(chosen, population, policy, part, recipe.config)
        total += value.double() * part.advantage.shape[1]
    return total / batch.advantage.shape[1]
