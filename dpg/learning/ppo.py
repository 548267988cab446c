"""Proximal policy optimisation (arXiv:1707.06347), as the paper trains it. PPO-M is PPO with its extras off."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dpg.agent import gaussian
from dpg.agent.population import Population
from dpg.agent.score import Score
from dpg.learning.adam import Adam
from dpg.learning.batch import Batch, distribution
from dpg.learning.objectives import clipped_surrogate_objective, clipped_surrogate_slope, normalize
from dpg.runtime.schema import PPO
from dpg.runtime.seeding import Seed


def objective(population: Population, policy: Float[Tensor, "P D"], batch: Batch, config: PPO) -> Float[Tensor, " P"]:
    """What PPO maximises: the clipped surrogate (paper, eq. 17) of advantages normalised over the batch."""
    return surrogate(population, policy, replace(batch, advantage=normalize(batch.advantage)), config)


def surrogate(population: Population, policy: Float[Tensor, "P D"], batch: Batch, config: PPO) -> Float[Tensor, " P"]:
    """The objective of advantages as they stand: its mean over parts of a batch is that of the whole."""
    mean, log_std = distribution(population, policy, batch.obs)
    log_prob = gaussian.log_prob(mean, log_std, batch.action)
    clipped = clipped_surrogate_objective(log_prob, batch.old_log_prob, batch.advantage, config.clip_eps)
    return clipped + config.entropy_coef * gaussian.entropy(log_std)


@torch.inference_mode()
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
            theta = adam.descend(theta, -gradient(population, theta, minibatch, config))
    return replace(population, policy=theta.numpy(), policy_adam=adam.state)


def gradient(population: Population, policy: Float[Tensor, "P D"], batch: Batch, config: PPO) -> Float[Tensor, "P D"]:
    """The gradient of `objective`: a sum of scores, weighted by the objective's slope in each log-probability."""
    score = Score.of(population.architecture, policy, batch.obs, batch.action)
    advantage = normalize(batch.advantage)
    weights = clipped_surrogate_slope(score.log_prob, batch.old_log_prob, advantage, config.clip_eps)
    total = score.sum(weights)
    # The entropy is sum(log_std) + constant, and log_std lies at the vector's end.
    total[..., -population.architecture.action_dim :] += config.entropy_coef
    return total
