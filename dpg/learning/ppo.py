"""Proximal policy optimisation (arXiv:1707.06347), as the paper trains it. PPO-M is PPO with its extras off."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dpg.agent import gaussian
from dpg.agent.population import Population
from dpg.learning.adam import Adam
from dpg.learning.batch import Batch, distribution
from dpg.learning.objectives import clipped_surrogate_objective, normalize
from dpg.runtime.schema import PPO
from dpg.runtime.seeding import Seed


def objective(population: Population, policy: Float[Tensor, "P D"], batch: Batch, config: PPO) -> Float[Tensor, " P"]:
    """What PPO maximises: the clipped surrogate (paper, eq. 17) of advantages normalised over the batch."""
    mean, log_std = distribution(population, policy, batch.obs)
    log_prob = gaussian.log_prob(mean, log_std, batch.action)
    advantage = normalize(batch.advantage)
    surrogate = clipped_surrogate_objective(log_prob, batch.old_log_prob, advantage, config.clip_eps)
    return surrogate + config.entropy_coef * gaussian.entropy(log_std)


def update_policy(
    population: Population, batch: Batch, config: PPO, lr: Float[np.ndarray, " P"], seeds: list[Seed]
) -> Population:
    """The population after the policy epochs of one iteration: theta_i to theta_{i+1}.

    Every minibatch takes one Adam step up the objective; advantages are normalised in each minibatch.
    """
    adam = Adam(population.policy_adam, lr, config.adam_eps)
    rngs = [(seed / "policy").generator() for seed in seeds]
    theta = torch.from_numpy(population.policy)
    for _ in range(config.epochs):
        for minibatch in batch.minibatches(rngs, config.minibatches):
            theta = theta.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(objective(population, theta, minibatch, config).sum(), theta)
            theta = adam.descend(theta.detach(), -gradient)
    return replace(population, policy=theta.detach().numpy(), policy_adam=adam.state)
