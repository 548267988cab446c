"""Proximal policy optimisation (arXiv:1707.06347), as the paper trains it. PPO-M is PPO with its extras off."""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from dpg.agent import gaussian
from dpg.agent.networks import Arrays
from dpg.agent.population import Population
from dpg.agent.score import Likelihood
from dpg.learning.adam import Adam
from dpg.learning.algorithm import Algorithm, Step
from dpg.learning.batch import Batch, distribution
from dpg.learning.objectives import clipped_surrogate_objective, clipped_surrogate_slope
from dpg.numerics.pytorch import Tensor
from dpg.runtime.fields import Count, NonNegative, Positive
from dpg.runtime.schema import AlgorithmConfig


class PPOConfig(AlgorithmConfig):
    """The block of PPO, and of PPO-M (paper, Table 1)."""

    lr: NonNegative
    epochs: Count
    minibatches: Count
    clip_eps: Positive
    entropy_coef: NonNegative


def surrogate(
    population: Population, policy: Float[Tensor, "P D"], batch: Batch, config: PPOConfig
) -> Float[Tensor, " P"]:
    """What PPO maximises: the clipped surrogate (paper, eq. 17) and the entropy bonus."""
    mean, log_std = distribution(population, policy, batch.obs)
    log_prob = gaussian.log_prob(mean, log_std, batch.action)
    clipped = clipped_surrogate_objective(log_prob, batch.old_log_prob, batch.advantage, config.clip_eps)
    return clipped + config.entropy_coef * gaussian.entropy(log_std)


def update_policy(population: Population, batch: Batch, config: PPOConfig, step: Step) -> Population:
    """The population after the policy epochs of one iteration.

    Every minibatch takes one Adam step up the surrogate; advantages are normalised in each minibatch.
    """
    adam = Adam(population.policy, population.policy_adam, step.lr, config.adam_eps, maximize=True)
    rngs = [(seed / "policy").generator() for seed in step.seeds]
    policy = population.architecture.policy_layout.unflatten(adam.vectors.numpy())  # views, which every step changes
    arrays = batch.numpy()
    with np.errstate(over="ignore", invalid="ignore"):  # `learning.training._check` finds what diverged
        for _ in range(config.epochs):
            for minibatch in arrays.minibatches(rngs, config.minibatches):
                adam.step(gradient(population, policy, minibatch.normalized(), config))
    return replace(population, policy=adam.vectors.numpy(), policy_adam=adam.state)


def gradient(population: Population, policy: Arrays, batch: Batch, config: PPOConfig) -> Float[Any, "P D"]:
    """The gradient of `surrogate` at the policies of these named arrays.

    It is a sum of scores, weighted by the slope of `surrogate` in each log-probability: by hand, since automatic
    differentiation makes an update a quarter to a half slower, even of the slope alone.
    """
    now = Likelihood.of(population.architecture, policy, batch.obs, batch.action)
    slope = clipped_surrogate_slope(now.log_prob, batch.old_log_prob, batch.advantage, config.clip_eps)
    total = now.gradient(slope)
    if config.entropy_coef:  # the entropy is sum(log_std) + constant, and log_std lies at the vector's end
        total[..., -population.architecture.action_dim :] += config.entropy_coef
    return total


ALGORITHM = Algorithm(
    name="ppo",
    label="PPO",
    color="#004488",
    marker="o",
    dashes=(),
    config_type=PPOConfig,
    surrogate=surrogate,
    update_policy=update_policy,
)
