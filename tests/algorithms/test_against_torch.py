"""Whole updates, from a snapshot's own moments, against `torch.optim`, `torch.distributions` and dense algebra."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from dpg.agent import snapshot
from dpg.agent.acting import Actor
from dpg.agent.population import AdamState, Population
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning.batch import Batch, prepare
from dpg.learning.campaign import Group, TrainingShard, run_shard
from dpg.learning.update import update_policy
from dpg.learning.value_fit import update_value
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import collect


def third_iteration(recipe: Recipe, folder) -> tuple[Population, Batch, Seed]:
    """An agent that has learned for two iterations, read back from its snapshot; its next batch and seed."""
    trained = run_shard(TrainingShard(Group(recipe, (0,)), None, 2)).population
    agent = snapshot.load(snapshot.save(Snapshot(0, recipe, trained), folder)).state
    seed = recipe.iteration_seed(0, agent.iteration)
    envs = make_vector(recipe.env_id, 1)
    streams = collect(Actor.of(agent), envs, [seed / "batch"], recipe.common.timesteps, clip_actions=True)
    envs.close()
    assert agent.value_adam.steps > 0 and np.abs(agent.value_adam.first).max() > 0
    return agent, prepare(agent, streams, recipe.common, recipe.config), seed


def optimizer(parameter: Tensor, state: AdamState, lr: float, eps: float) -> torch.optim.Adam:
    """PyTorch's own, with the moments of an agent."""
    adam = torch.optim.Adam([parameter], lr=lr, eps=eps)
    adam.state[parameter] = {
        "step": torch.tensor(float(state.steps)),
        "exp_avg": torch.from_numpy(state.first[0].copy()),
        "exp_avg_sq": torch.from_numpy(state.second[0].copy()),
    }
    return adam


def network(layout, vector: Tensor, obs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The output of a network of one tanh layer, by PyTorch's own functions."""
    arrays = layout.unflatten(vector)
    hidden = nn.functional.linear(obs, arrays["w0"].mT, arrays["b0"]).tanh()
    return nn.functional.linear(hidden, arrays["w1"].mT, arrays["b1"]), arrays


def policy(agent: Population, theta: Tensor, obs: Tensor) -> Normal:
    mean, arrays = network(agent.architecture.policy_layout, theta, obs)
    return Normal(mean, arrays["log_std"].exp().expand(mean.shape))


def epochs(batch: Batch, rng: np.random.Generator, count: int, parts: int):
    for _ in range(count):
        yield from torch.from_numpy(rng.permutation(batch.obs.shape[1])).tensor_split(parts)


def fitted_value(agent: Population, batch: Batch, recipe: Recipe, seed: Seed) -> tuple[np.ndarray, torch.optim.Adam]:
    config = recipe.config
    lr = config.value_lr * (1 - agent.iteration / recipe.iterations if config.anneal else 1)
    phi = torch.from_numpy(agent.value[0].copy()).requires_grad_()
    adam = optimizer(phi, agent.value_adam, lr, config.adam_eps)
    for rows in epochs(batch, (seed / "value").generator(), config.value_epochs, config.value_minibatches):
        value = network(agent.architecture.value_layout, phi, batch.obs[0, rows])[0][:, 0]
        old, target = batch.value[0, rows], batch.value_target[0, rows]
        loss = nn.functional.mse_loss(value, target, reduction="none")
        if config.value_clip is not None:
            near = old + (value - old).clamp(-config.value_clip, config.value_clip)
            loss = torch.max(loss, nn.functional.mse_loss(near, target, reduction="none"))
        adam.zero_grad()
        loss.mean().backward()
        adam.step()
    return phi.detach().numpy(), adam


def normalized(advantage: Tensor) -> Tensor:
    return (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)


@pytest.mark.parametrize("algorithm", ["ppo", "ppo_m"])
def test_an_iteration_of_ppo_is_torchs_adam_on_the_clipped_surrogate(make_recipe, tmp_path, algorithm):
    extra = {} if algorithm == "ppo_m" else {"entropy_coef": 0.01}
    recipe = make_recipe(algorithm, config={"lr": 3e-3, "value_lr": 3e-3, "clip_eps": 0.1} | extra)
    agent, batch, seed = third_iteration(recipe, tmp_path)
    found = update_policy(update_value(agent, batch, recipe, [seed]), batch, recipe, [seed])

    config = recipe.config
    theta = torch.from_numpy(agent.policy[0].copy()).requires_grad_()
    lr = config.lr * (1 - agent.iteration / recipe.iterations if config.anneal else 1)
    adam = optimizer(theta, agent.policy_adam, lr, config.adam_eps)
    clipped = 0
    for rows in epochs(batch, (seed / "policy").generator(), config.epochs, config.minibatches):
        now = policy(agent, theta, batch.obs[0, rows])
        ratio = (now.log_prob(batch.action[0, rows]).sum(-1) - batch.old_log_prob[0, rows]).exp()
        advantage = normalized(batch.advantage[0, rows])
        near = ratio.clamp(1 - config.clip_eps, 1 + config.clip_eps)
        objective = torch.min(ratio * advantage, near * advantage).mean()
        objective += config.entropy_coef * now.entropy().sum(-1).mean()
        clipped += int((near != ratio).sum())
        adam.zero_grad()
        (-objective).backward()
        adam.step()
    assert clipped > 0  # the clip takes part

    moved = np.abs(found.policy - agent.policy).max()
    np.testing.assert_allclose(found.policy[0], theta.detach().numpy(), atol=1e-3 * moved)
    assert found.policy_adam.steps == adam.state[theta]["step"]
    np.testing.assert_allclose(found.policy_adam.first[0], adam.state[theta]["exp_avg"], rtol=1e-2, atol=1e-5)
    np.testing.assert_allclose(found.policy_adam.second[0], adam.state[theta]["exp_avg_sq"], rtol=1e-2, atol=1e-8)

    value, adam = fitted_value(agent, batch, recipe, seed)
    np.testing.assert_allclose(found.value[0], value, atol=1e-3 * np.abs(found.value - agent.value).max())
    assert found.value_adam.steps == next(iter(adam.state.values()))["step"]


def test_a_step_of_trpo_is_conjugate_gradients_on_the_dense_fisher_matrix(make_recipe, tmp_path):
    recipe = make_recipe("trpo", config={"value_lr": 3e-3, "fisher_fraction": 0.25})
    agent, batch, seed = third_iteration(recipe, tmp_path)
    found = update_policy(update_value(agent, batch, recipe, [seed]), batch, recipe, [seed])
    value, _ = fitted_value(agent, batch, recipe, seed)
    np.testing.assert_allclose(found.value[0], value, atol=1e-3 * np.abs(found.value - agent.value).max())

    config = recipe.config
    theta = torch.from_numpy(agent.policy[0].astype(np.float64)).requires_grad_()
    obs, action, advantage = (x[0].double() for x in (batch.obs, batch.action, normalized(batch.advantage)))
    old = policy(agent, theta.detach(), obs)

    def surrogate(vector: Tensor) -> Tensor:
        return ((policy(agent, vector, obs).log_prob(action) - old.log_prob(action)).sum(-1).exp() * advantage).mean()

    (gradient,) = torch.autograd.grad(surrogate(theta), theta)
    count = round(config.fisher_fraction * len(obs))
    states = obs[torch.from_numpy((seed / "fisher").generator().permutation(len(obs))[:count])]
    still = policy(agent, theta.detach(), states)
    fisher = torch.autograd.functional.hessian(
        lambda vector: kl_divergence(still, policy(agent, vector, states)).sum(-1).mean(), theta.detach()
    )
    damped = fisher + config.cg_damping * torch.eye(len(theta))
    x, residual = torch.zeros_like(gradient), gradient.clone()
    direction = residual.clone()
    for _ in range(config.cg_steps):
        alpha = residual @ residual / (direction @ damped @ direction)
        x, following = x + alpha * direction, residual - alpha * damped @ direction
        direction = following + following @ following / (residual @ residual) * direction
        residual = following
    step = (2 * config.max_kl / (x @ damped @ x)).sqrt() * x
    for halvings in range(config.backtracks):
        tried = step / 2**halvings
        gain = surrogate(theta + tried) - surrogate(theta)
        divergence = kl_divergence(old, policy(agent, theta + tried, obs)).sum(-1).mean()
        if gain > config.accept_ratio * gradient @ tried and gain > 0 and divergence <= config.max_kl:
            break
    else:
        pytest.fail("no step passes")
    np.testing.assert_allclose(
        found.policy[0] - agent.policy[0], tried.detach().numpy(), atol=1e-2 * float(tried.abs().max())
    )
