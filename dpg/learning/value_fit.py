"""The value fit: an iteration's regression of the value net on its targets (paper, eq. 4)."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from dpg.agent import networks
from dpg.agent.population import Population
from dpg.learning.adam import Adam
from dpg.learning.batch import Batch
from dpg.learning.objectives import clipped_value_loss, value_loss
from dpg.runtime.schema import Algorithm
from dpg.runtime.seeding import Seed


def fit(
    population: Population, batch: Batch, config: Algorithm, lr: Float[np.ndarray, " P"], seeds: list[Seed]
) -> Population:
    """The population after the value epochs of one iteration: phi_i to phi_{i+1}."""
    layout = population.architecture.value_layout
    adam = Adam(population.value_adam, lr, config.adam_eps)
    rngs = [(seed / "value").generator() for seed in seeds]
    phi = torch.from_numpy(population.value)
    for _ in range(config.value_epochs):
        for minibatch in batch.minibatches(rngs, config.value_minibatches):
            phi = phi.detach().requires_grad_()
            value = networks.mlp(layout.unflatten(phi), minibatch.obs)[..., 0]
            if config.value_clip is None:
                loss = value_loss(value, minibatch.value_target)
            else:
                loss = clipped_value_loss(value, minibatch.value, minibatch.value_target, config.value_clip)
            (gradient,) = torch.autograd.grad(loss.sum(), phi)
            phi = adam.descend(phi.detach(), gradient)
    return replace(population, value=phi.detach().numpy(), value_adam=adam.state)
