"""Trust region policy optimisation (arXiv:1502.05477), as the paper trains it."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dpg.agent import gaussian
from dpg.agent.population import Population
from dpg.learning.batch import Batch, distribution
from dpg.learning.objectives import normalize, surrogate_objective
from dpg.numerics.vectors import conjugate_gradient, dot
from dpg.runtime.schema import TRPO
from dpg.runtime.seeding import Seed


def objective(population: Population, policy: Float[Tensor, "P D"], batch: Batch) -> Float[Tensor, " P"]:
    """What TRPO maximises in its trust region: the surrogate (paper, eq. 14), advantages normalised over the batch."""
    return surrogate(population, policy, replace(batch, advantage=normalize(batch.advantage)))


def surrogate(population: Population, policy: Float[Tensor, "P D"], batch: Batch) -> Float[Tensor, " P"]:
    """The objective of advantages as they stand: its mean over parts of a batch is that of the whole."""
    mean, log_std = distribution(population, policy, batch.obs)
    log_prob = gaussian.log_prob(mean, log_std, batch.action)
    return surrogate_objective(log_prob, batch.old_log_prob, batch.advantage)


def update_policy(population: Population, batch: Batch, config: TRPO, seeds: list[Seed]) -> Population:
    """The population after one natural gradient step with a line search: theta_i to theta_{i+1}.

    x solves (F + damping I) x = g by conjugate gradient; the full step is sqrt(2 delta / x^T (F + damping I) x) x, and
    is halved until it passes (`line_search`). `lr` is unused: the trust region sets the length.
    """
    theta = torch.from_numpy(population.policy).requires_grad_()
    value = objective(population, theta, batch)
    (gradient,) = torch.autograd.grad(value.sum(), theta)
    theta, value = theta.detach(), value.detach()
    states = fisher_states(batch, config, seeds)

    def damped_fisher(vector: Float[Tensor, "P D"]) -> Float[Tensor, "P D"]:
        return fisher_product(population, theta, states, vector) + config.cg_damping * vector

    x = conjugate_gradient(damped_fisher, gradient, config.cg_steps)
    curvature = dot(x, damped_fisher(x))
    length = torch.where(curvature > 0, (2 * config.max_kl / curvature.clamp_min(1e-30)).sqrt(), 0.0)
    new = line_search(population, theta, length[:, None] * x, gradient, value, batch, config)
    return replace(population, policy=new.numpy())


def fisher_states(batch: Batch, config: TRPO, seeds: list[Seed]) -> Batch:
    """The share of an agent's states on which the Fisher matrix is estimated, drawn without replacement."""
    pairs = batch.obs.shape[1]
    count = max(1, round(config.fisher_fraction * pairs))
    rows = [(seed / "fisher").generator().permutation(pairs)[:count] for seed in seeds]
    return batch.subset(torch.from_numpy(np.stack(rows)))


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
    config: TRPO,
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
            gain = objective(population, candidate, batch) - value
            expected = dot(gradient, step)
            passes = (gain > 0) & (divergence <= config.max_kl) & (gain > config.accept_ratio * expected)
            accepted = searching & passes
            chosen = torch.where(accepted[:, None], candidate, chosen)
            searching = searching & ~accepted
            if not searching.any():
                break
    return chosen
