"""The policy update of an iteration, and what it maximises, for the algorithm that a recipe names."""

from collections.abc import Sequence

from jaxtyping import Float

from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.learning import algorithm
from dpg.learning.adam import learning_rate
from dpg.learning.algorithm import Algorithm, Step
from dpg.learning.batch import Batch
from dpg.numerics.pytorch import Tensor, torch
from dpg.runtime.registry import AlgorithmError
from dpg.runtime.seeding import Seed


def update_policy(
    population: Population, batch: Batch, recipe: Recipe, seeds: list[Seed], rates: Sequence[float] | None = None
) -> Population:
    """theta_i to theta_{i+1}; `rates` are the members' learning rates where they are not the recipe's.

    Raises:
        AlgorithmError: state of the algorithm's own is not what its `initial_state` says, before or after.
    """
    chosen = algorithm.of(recipe)
    base = rates or getattr(recipe.config, "lr", float("nan"))
    step = Step(seeds, learning_rate(recipe, base, population), population.iteration / recipe.iterations)
    _check_state(chosen, population, recipe)
    updated = chosen.update_policy(population, batch, recipe.config, step)
    _check_state(chosen, updated, recipe)
    return updated


def objective(
    population: Population, policy: Float[Tensor, "P D"], batch: Batch, recipe: Recipe
) -> Float[Tensor, " P"]:
    """What the algorithm maximises, at other policy vectors, on a batch of this population."""
    return algorithm.of(recipe).surrogate(population, policy, batch.normalized(), recipe.config)


def objective_over(
    population: Population, policy: Float[Tensor, "P D"], batch: Batch, recipe: Recipe, pairs_at_once: int
) -> Float[Tensor, " P"]:
    """`objective`, computed `pairs_at_once` pairs at a time to bound memory, and added up in float64."""
    surrogate = algorithm.of(recipe).surrogate
    total = torch.zeros(len(policy), dtype=torch.float64)
    for part in batch.normalized().parts(pairs_at_once):
        value = surrogate(population, policy, part, recipe.config)
        total += value.double() * part.advantage.shape[1]
    return total / batch.advantage.shape[1]


def _check_state(chosen: Algorithm, population: Population, recipe: Recipe) -> None:
    """Another version of the algorithm may have left the snapshot, or the update may have dropped an array."""
    expected, found = (
        {name: (array.shape, str(array.dtype)) for name, array in state.items()}
        for state in (chosen.initial_state(population, recipe.config), population.algorithm_state)
    )
    if found != expected:
        raise AlgorithmError(f"{chosen.name} has state {expected}, and these agents have {found}")
