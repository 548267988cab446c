"""The two updates of an iteration, for whichever algorithm a recipe names."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.learning import ppo, trpo, value_fit
from dpg.learning.batch import Batch
from dpg.learning.objectives import normalize
from dpg.runtime.schema import PPO
from dpg.runtime.seeding import Seed


def learning_rate(recipe: Recipe, base: float | Sequence[float], population: Population) -> Float[np.ndarray, " P"]:
    """The rates of this iteration: `base`, or falling linearly to zero over the recipe's iterations."""
    left = 1 - population.iteration / recipe.iterations if recipe.config.anneal else 1.0
    return np.broadcast_to(np.asarray(base, np.float64) * left, population.size)


def update_value(population: Population, batch: Batch, recipe: Recipe, seeds: list[Seed]) -> Population:
    """phi_i to phi_{i+1}, where the baseline is the value net. All value epochs come before the policy's."""
    if recipe.common.baseline == "none":
        return population
    rate = learning_rate(recipe, recipe.config.value_lr, population)
    return value_fit.fit(population, batch, recipe.config, rate, seeds)


def update_policy(
    population: Population, batch: Batch, recipe: Recipe, seeds: list[Seed], rates: Sequence[float] | None = None
) -> Population:
    """theta_i to theta_{i+1}; `rates` are the members' learning rates where they are not the recipe's."""
    if isinstance(recipe.config, PPO):
        rate = learning_rate(recipe, rates or recipe.config.lr, population)
        return ppo.update_policy(population, batch, recipe.config, rate, seeds)
    return trpo.update_policy(population, batch, recipe.config, seeds)


def objective(
    population: Population, policy: Float[Tensor, "P D"], batch: Batch, recipe: Recipe
) -> Float[Tensor, " P"]:
    """What the algorithm maximises, at other policy vectors, on a batch of this population."""
    if isinstance(recipe.config, PPO):
        return ppo.objective(population, policy, batch, recipe.config)
    return trpo.objective(population, policy, batch)


def objective_over(
    population: Population, policy: Float[Tensor, "P D"], batch: Batch, recipe: Recipe, pairs_at_once: int
) -> Float[Tensor, " P"]:
    """`objective`, some pairs of the batch at a time, added up in float64: P policies hold no more than those."""
    normalized = replace(batch, advantage=normalize(batch.advantage))
    total = torch.zeros(len(policy), dtype=torch.float64)
    for part in normalized.parts(pairs_at_once):
        if isinstance(recipe.config, PPO):
            value = ppo.surrogate(population, policy, part, recipe.config)
        else:
            value = trpo.surrogate(population, policy, part)
        total += value.double() * part.advantage.shape[1]
    return total / batch.advantage.shape[1]
