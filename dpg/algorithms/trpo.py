"""Trust region policy optimisation (arXiv:1502.05477), as the paper trains it."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field

from dpg.agent import gaussian
from dpg.agent.population import Population
from dpg.learning.algorithm import Algorithm, Step, ascent
from dpg.learning.batch import Batch, distribution
from dpg.learning.objectives import surrogate_objective
from dpg.numerics.pytorch import Tensor, torch
from dpg.numerics.vectors import conjugate_gradient, dot
from dpg.runtime.fields import Count, Fraction, NonNegative, Positive, Real
from dpg.runtime.schema import AlgorithmConfig
from dpg.runtime.seeding import Seed


class TRPOConfig(AlgorithmConfig):
    """The block of TRPO (paper, Table 1)."""

    max_kl: Positive
    cg_steps: Count
    cg_damping: NonNegative
    fisher_fraction: Fraction
    backtracks: Count
    accept_ratio: Annotated[Real, Field(ge=0, lt=1)]


def surrogate(
    population: Population, policy: Float[Tensor, "P D"], batch: Batch, config: TRPOConfig
) -> Float[Tensor, " P"]:
    """What TRPO maximises in its trust region: the surrogate (paper, eq. 14)."""
    del config  # no parameter shapes it
    mean, log_std = distribution(population, policy, batch.obs)
    log_prob = gaussian.log_prob(mean, log_std, batch.action)
    return surrogate_objective(log_prob, batch.old_log_prob, batch.advantage)


def update_policy(population: Population, batch: Batch, config: TRPOConfig, step: Step) -> Population:
    """The population after one natural gradient step with a line search; advantages are normalised over the batch.

    x solves (F + damping I) x = g by conjugate gradient; the full step is sqrt(2 delta / x^T (F + damping I) x) x, and
    is halved until it passes (`line_search`). There is no learning rate: the trust region sets the length.
    """
    batch = batch.normalized()
    theta = torch.from_numpy(population.policy)
    value, gradient = ascent(surrogate, population, theta, batch, config)
    states = fisher_states(batch, config, step.seeds)

    def damped_fisher(vector: Float[Tensor, "P D"]) -> Float[Tensor, "P D"]:
        return fisher_product(population, theta, states, vector) + config.cg_damping * vector

    x = conjugate_gradient(damped_fisher, gradient, config.cg_steps)
    curvature = dot(x, damped_fisher(x))
    length = torch.where(curvature > 0, (2 * config.max_kl / curvature.clamp_min(1e-30)).sqrt(), 0.0)
    new = line_search(population, theta, length[:, None] * x, gradient, value, batch, config)
    return replace(population, policy=new.numpy())


def fisher_states(batch: Batch, config: TRPOConfig, seeds: list[Seed]) -> Batch:
    """The share of an agent's states on which the Fisher matrix is estimated, drawn without replacement."""
    pairs = batch.obs.shape[1]
    count = max(1, round(config.fisher_fraction * pairs))
    rows = [(seed / "fisher").generator().permutation(pairs)[:count] for seed in seeds]
    return batch.subset(np.stack(rows))


def fisher_product(
    population: Population, theta: Float[Tensor, "P D"], states: Batch, vector: Float[Tensor, "P D"]
) -> Float[Tensor, "P D"]:
    """F v, where F is the Hessian at theta of the mean KL from the policy at theta: its Fisher matrix."""
    at = theta.detach().requires_grad_()
    mean, log_std = distribution(population, at, states.obs)
    divergence = gaussian.kl(mean.detach(), log_std.detach(), mean, log_std).mean(-1)
    (slope,) = torch.autograd.grad(divergence.sum(), at, create_graph=True)
    (product,) = torch.autograd.grad(dot(slope, vector).sum(), at)
    return product


def line_search(
    population: Population,
    theta: Float[Tensor, "P D"],
    full_step: Float[Tensor, "P D"],
    gradient: Float[Tensor, "P D"],
    value: Float[Tensor, " P"],
    batch: Batch,
    config: TRPOConfig,
) -> Float[Tensor, "P D"]:
    """The first of theta + full_step / 2^j that passes, for each agent; theta itself, exactly, when none does.

    A step passes when the surrogate rises, by more than `accept_ratio` of what its slope promises, and the mean
    KL(old || new) over the whole batch is at most `max_kl`.
    """
    chosen = theta.clone()
    searching = torch.ones(len(theta), dtype=torch.bool)
    with torch.no_grad():
        for halvings in range(config.backtracks):
            step = full_step * 0.5**halvings
            candidate = theta + step
            mean, log_std = distribution(population, candidate, batch.obs)
            divergence = gaussian.kl(batch.old_mean, batch.old_log_std, mean, log_std).mean(-1)
            gain = surrogate(population, candidate, batch, config) - value
            expected = dot(gradient, step)
            passes = (gain > 0) & (divergence <= config.max_kl) & (gain > config.accept_ratio * expected)
            accepted = searching & passes
            chosen = torch.where(accepted[:, None], candidate, chosen)
            searching = searching & ~accepted
            if not searching.any():
                break
    return chosen


ALGORITHM = Algorithm(
    name="trpo",
    label="TRPO",
    color="#BB5566",
    marker="^",
    dashes=(5.0, 1.5),
    config_type=TRPOConfig,
    surrogate=surrogate,
    update_policy=update_policy,
)
