"""PPO with an adaptive KL penalty (arXiv:1707.06347, section 4) instead of clipping.

    cat examples/kl_ppo.yaml >> params.yaml
    dvc exp run -S 'modules=[examples.kl_ppo]' -S 'algorithms=[ppo, kl_ppo]'

The penalty's coefficient beta is state of the algorithm's own, one value per agent: snapshots carry it, and training
continues from it.
"""

from dataclasses import replace

import numpy as np

from dpg.agent import gaussian
from dpg.learning.adam import Adam
from dpg.learning.algorithm import Algorithm, ascent
from dpg.learning.batch import distribution
from dpg.learning.objectives import surrogate_objective
from dpg.numerics.pytorch import torch
from dpg.runtime.fields import Count, NonNegative, Positive
from dpg.runtime.schema import AlgorithmConfig

ADAPT = 2.0  # beta is doubled or halved
TOLERANCE = 1.5  # where the KL is this many times above or below its target


class KLPPOConfig(AlgorithmConfig):
    """The block `kl_ppo`."""

    lr: NonNegative
    epochs: Count
    minibatches: Count
    target_kl: Positive
    initial_beta: Positive


def initial_state(population, config):
    """The coefficient of the penalty, by agent."""
    return {"beta": np.full(population.size, config.initial_beta, np.float32)}


def surrogate(population, policy, batch, config):
    """Mean of rho A, minus beta KL(old policy || policy) (eq. 8)."""
    mean, log_std = distribution(population, policy, batch.obs)
    log_prob = gaussian.log_prob(mean, log_std, batch.action)
    beta = torch.from_numpy(population.algorithm_state["beta"])
    return surrogate_objective(log_prob, batch.old_log_prob, batch.advantage) - beta * kl(batch, mean, log_std)


def update_policy(population, batch, config, step):
    """Epochs of Adam steps on minibatches; then beta follows the KL that they led to."""
    adam = Adam(population.policy, population.policy_adam, step.lr, config.adam_eps, maximize=True)
    rngs = [(seed / "policy").generator() for seed in step.seeds]
    for _ in range(config.epochs):
        for minibatch in batch.minibatches(rngs, config.minibatches):
            _, gradient = ascent(surrogate, population, adam.vectors, minibatch.normalized(), config)
            adam.step(gradient)
    reached = kl(batch, *distribution(population, adam.vectors, batch.obs)).numpy()
    beta = population.algorithm_state["beta"]
    beta = np.where(reached > config.target_kl * TOLERANCE, beta * ADAPT, beta)
    beta = np.where(reached < config.target_kl / TOLERANCE, beta / ADAPT, beta)
    state = {"beta": beta.astype(np.float32)}
    return replace(population, policy=adam.vectors.numpy(), policy_adam=adam.state, algorithm_state=state)


def kl(batch, mean, log_std):
    """Mean KL(old policy || policy) over the batch, by agent."""
    return gaussian.kl(batch.old_mean, batch.old_log_std, mean, log_std).mean(-1)


ALGORITHM = Algorithm(
    name="kl_ppo",
    label="PPO with KL penalty",
    config_type=KLPPOConfig,
    surrogate=surrogate,
    update_policy=update_policy,
    initial_state=initial_state,
)
