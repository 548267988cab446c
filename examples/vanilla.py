"""The plain policy gradient: one Adam step along the gradient estimate (paper, eq. 11) per batch.

    cat examples/vanilla.yaml >> params.yaml
    dvc exp run -S 'modules=[examples.vanilla]' -S 'algorithms=[ppo, vanilla]'

At the old policy the surrogate of eq. 14 has exactly this gradient, so it is what the step climbs and what landscapes
show.
"""

from dataclasses import replace

from dpg.agent import gaussian
from dpg.learning.adam import Adam
from dpg.learning.algorithm import Algorithm, ascent
from dpg.learning.batch import distribution
from dpg.learning.objectives import surrogate_objective
from dpg.runtime.fields import NonNegative
from dpg.runtime.schema import AlgorithmConfig


class VanillaConfig(AlgorithmConfig):
    """The block `vanilla`."""

    lr: NonNegative


def surrogate(population, policy, batch, config):
    """Mean of rho A, with rho = pi(a|s) / pi_old(a|s) (paper, eq. 14)."""
    mean, log_std = distribution(population, policy, batch.obs)
    log_prob = gaussian.log_prob(mean, log_std, batch.action)
    return surrogate_objective(log_prob, batch.old_log_prob, batch.advantage)


def update_policy(population, batch, config, step):
    """The population after one Adam step on the whole batch."""
    adam = Adam(population.policy, population.policy_adam, step.lr, config.adam_eps, maximize=True)
    _, gradient = ascent(surrogate, population, adam.vectors, batch.normalized(), config)
    adam.step(gradient)
    return replace(population, policy=adam.vectors.numpy(), policy_adam=adam.state)


ALGORITHM = Algorithm(
    name="vanilla",
    label="Policy gradient",
    config_type=VanillaConfig,
    surrogate=surrogate,
    update_policy=update_policy,
)
