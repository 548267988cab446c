"""Checks of returns of whole episodes: landscapes along a line, evaluations, and the gains of whole updates."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from dpg.envs.linear_quadratic import EPISODE_STEPS, TASK
from dpg.probes import evaluation, landscape, update_gain
from dpg.probes.known_answers import closed_forms
from dpg.probes.known_answers.agents import LONG, KnownAgent, known_agent, linear_policy
from dpg.probes.known_answers.closed_forms import ClosedLoop
from dpg.probes.known_answers.verdicts import broken, scalar_check
from dpg.probes.update_gain import SnapshotUpdates
from dpg.runtime.budgets import UpdateGainBudget
from dpg.tables.calibrate import Check

TIMESTEPS = 50  # of the agents that are updated
# The surrogate is linear along short steps; long ones change the return by more than the noise of episodes.
SHORT_STEP, LONG_STEP = 1e-4, 0.05


def landscape_checks(seed: int, streams: int) -> list[Check]:
    """Mean returns of whole episodes along a line of policies, and the difference of its ends with common noise."""
    agent = known_agent("value net", LONG)
    state, episodes = agent.snapshot.state, streams // 128
    direction = np.resize([0.3, -0.2, 0.1, 0.15], state.policy.shape[1])
    line = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    plane = landscape.PlaneShard(agent.snapshot, line, agent.timesteps, random_norm=1.0, seed=seed)
    nothing = np.zeros_like(direction)
    shard = landscape.RewardShard(plane, direction, nothing, np.arange(3), 0, episodes, common_random_numbers=True)
    found = landscape.measure_rewards(shard).return_
    theta = landscape.policies(agent.snapshot, line, direction, nothing)
    truths = episode_returns(agent, theta)
    checks = [
        scalar_check(f"landscape, return at {a:+d}", truth, returns)
        for a, truth, returns in zip((-1, 0, 1), truths, found, strict=True)
    ]
    checks.append(scalar_check("landscape, rise from -1 to +1", truths[2] - truths[0], found[2] - found[0]))
    loop = agent.loop
    still = ClosedLoop(TASK, replace(loop.policy, log_std=np.full(2, -np.inf)))
    returns: dict[str, np.ndarray] = {}
    for mode, acting in (("sampled", loop), ("deterministic", still)):
        shard = evaluation.EvaluationShard(agent.snapshot, mode, episodes, seed)
        returns[mode] = evaluation.measure(shard).return_[0]
        truth = closed_forms.episode_return(acting, EPISODE_STEPS)
        checks.append(scalar_check(f"evaluation, {mode} actions", truth, returns[mode]))
    name = "evaluation, deterministic actions for sampled ones"
    return [*checks, broken(scalar_check(name, truths[1], returns["deterministic"]))]


def episode_returns(agent: KnownAgent, policies: Float[np.ndarray, "K D"]) -> list[float]:
    """The expected returns of whole episodes of policies."""
    loops = [ClosedLoop(TASK, linear_policy(agent.snapshot.state, vector)) for vector in policies]
    return [closed_forms.episode_return(loop, EPISODE_STEPS) for loop in loops]


def update_gain_checks(seed: int, streams: int) -> list[Check]:
    """Gains in the surrogate against the product of step and gradient, and in reward against returns in closed form.

    Broken are the gain on the update's own batch, which is fitted to its noise, instead of a held-out one; and a gain
    in reward with before and after exchanged.
    """
    return [*surrogate_checks(stepping(SHORT_STEP), seed, streams // 256), *reward_checks(seed, streams // 512)]


def surrogate_checks(agent: KnownAgent, seed: int, updates: int) -> list[Check]:
    """Updates from few pairs, whose direction is mostly noise."""
    budget = UpdateGainBudget(updates=(updates,), update_pairs=(4 * TIMESTEPS,), episodes=2)
    (found,) = made(agent, budget, seed).regimes.values()
    step = found.policy.astype(np.float64) - agent.snapshot.state.policy
    truth, name = step @ agent.gradient(), "surrogate gain of an update"
    return [
        gain_check(f"{name}, held-out batch", truth, found.heldout_gain),
        broken(gain_check(f"{name}, own batch", truth, found.own_gain)),
    ]


def reward_checks(seed: int, updates: int) -> list[Check]:
    """Gains of whole episodes before and after, from the same seeds."""
    agent = stepping(LONG_STEP)
    budget = UpdateGainBudget(updates=(updates,), update_pairs=(4 * TIMESTEPS,), episodes=8)
    found = made(agent, budget, seed)
    (policy,) = found.policies
    shards = update_gain.plan_episodes([found], budget, seed)
    returns = [update_gain.measure_episodes(shard).return_.reshape(2, -1, budget.episodes) for shard in shards]
    before, after = np.concatenate(returns, axis=1).mean(axis=-1)
    old, *new = episode_returns(agent, np.concatenate([agent.snapshot.state.policy, policy]))
    truth, name = np.array(new) - old, "reward gain of an update"
    return [
        gain_check(name, truth, after - before),
        broken(gain_check(f"{name}, before and after exchanged", truth, before - after)),
    ]


def gain_check(name: str, truth: Float[np.ndarray, " K"], found: Float[np.ndarray, " K"]) -> Check:
    """The mean over updates; updates are random, so the truth is the mean of their true gains."""
    return scalar_check(name, float(truth.mean()), found - truth + truth.mean())


def stepping(lr: float) -> KnownAgent:
    """The agent whose updates are one step of Adam, of this length in each parameter."""
    agent = known_agent("value net", TIMESTEPS)
    recipe = agent.snapshot.recipe
    longer = recipe.model_copy(update={"config": recipe.config.model_copy(update={"lr": lr})})
    return replace(agent, snapshot=replace(agent.snapshot, recipe=longer))


def made(agent: KnownAgent, budget: UpdateGainBudget, seed: int) -> SnapshotUpdates:
    """The updates that the probe makes."""
    shards = update_gain.plan_updates([agent.snapshot], budget, seed)
    (updates,) = update_gain.gather_updates(shards, map(update_gain.measure_updates, shards))
    return updates
