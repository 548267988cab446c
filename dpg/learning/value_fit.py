"""The value fit: an iteration's regression of the value net on its targets (paper, eq. 4)."""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from dpg.agent import networks
from dpg.agent.networks import Arrays
from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.learning.adam import Adam, learning_rate
from dpg.learning.batch import Batch
from dpg.learning.objectives import clipped_value_loss, clipped_value_slope, value_loss, value_slope
from dpg.numerics.pytorch import Tensor
from dpg.runtime.schema import AlgorithmConfig
from dpg.runtime.seeding import Seed


def update_value(population: Population, batch: Batch, recipe: Recipe, seeds: list[Seed]) -> Population:
    """phi_i to phi_{i+1}, where the baseline is the value net. All value epochs come before the policy's."""
    if recipe.common.baseline == "none":
        return population
    rate = learning_rate(recipe, recipe.config.value_lr, population)
    return fit(population, batch, recipe.config, rate, seeds)


def fit(
    population: Population, batch: Batch, config: AlgorithmConfig, lr: Float[np.ndarray, " P"], seeds: list[Seed]
) -> Population:
    """The population after the value epochs of one iteration: phi_i to phi_{i+1}."""
    adam = Adam(population.value, population.value_adam, lr, config.adam_eps)
    rngs = [(seed / "value").generator() for seed in seeds]
    value = population.architecture.value_layout.unflatten(adam.vectors.numpy())  # views, which every step changes
    arrays = batch.numpy()
    with np.errstate(over="ignore", invalid="ignore"):  # `learning.training._check` finds what diverged
        for _ in range(config.value_epochs):
            for minibatch in arrays.minibatches(rngs, config.value_minibatches):
                adam.step(gradient(population, value, minibatch, config))
    return replace(population, value=adam.vectors.numpy(), value_adam=adam.state)


def loss(
    population: Population, value_vector: Float[Tensor, "P Dv"], batch: Batch, config: AlgorithmConfig
) -> Float[Tensor, " P"]:
    """What the fit minimises: the squared error, clipped where `value_clip` says so."""
    arrays = population.architecture.value_layout.unflatten(value_vector)
    value = networks.mlp(arrays, batch.obs, population.architecture.activation)[..., 0]
    if config.value_clip is None:
        return value_loss(value, batch.value_target)
    return clipped_value_loss(value, batch.value, batch.value_target, config.value_clip)


def gradient(population: Population, arrays: Arrays, batch: Batch, config: AlgorithmConfig) -> Float[Any, "P Dv"]:
    """The gradient of `loss` at the value nets of these named arrays, back-propagated from its slope in each value."""
    inputs, output = networks.layer_inputs(arrays, batch.obs, population.architecture.activation)
    value = output[..., 0]
    if config.value_clip is None:
        slope = value_slope(value, batch.value_target)
    else:
        slope = clipped_value_slope(value, batch.value, batch.value_target, config.value_clip)
    errors = networks.layer_errors(arrays, inputs, slope[..., None], population.architecture.activation)
    return population.architecture.value_layout.flatten(networks.gradient(inputs, errors))
