"""The gains of whole updates (`dpg.probes.update_gain`) against known answers."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from dpg.envs.linear_quadratic import EPISODE_STEPS, TASK
from dpg.probes import update_gain
from dpg.probes.known_answers import closed_forms
from dpg.probes.known_answers.agents import KnownAgent, known_agent, linear_policy
from dpg.probes.known_answers.closed_forms import ClosedLoop
from dpg.probes.known_answers.verdicts import scalar_check
from dpg.probes.update_gain import SnapshotUpdates
from dpg.runtime.budgets import UpdateGainBudget
from dpg.tables.calibrate import Check

TIMESTEPS = 50
# The surrogate is linear along short steps; long ones change the return by more than the noise of episodes.
SHORT_STEP, LONG_STEP = 1e-4, 0.05


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
    gains = {"held-out": found.heldout_gain, "own": found.own_gain}
    return [
        gain_check(f"surrogate gain of an update, {name} batch", step @ agent.gradient(), gain, broken=name == "own")
        for name, gain in gains.items()
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
    state = agent.snapshot.state
    loops = [ClosedLoop(TASK, linear_policy(state, theta)) for theta in (state.policy[0], *policy)]
    old, *new = (closed_forms.episode_return(loop, EPISODE_STEPS) for loop in loops)
    name = "reward gain of an update"
    return [
        gain_check(name, np.array(new) - old, after - before),
        gain_check(f"{name}, before and after exchanged", np.array(new) - old, before - after, broken=True),
    ]


def gain_check(
    name: str, truth: Float[np.ndarray, " K"], found: Float[np.ndarray, " K"], *, broken: bool = False
) -> Check:
    """The mean over updates; updates are random, so the truth is the mean of their true gains."""
    return scalar_check(name, float(truth.mean()), found - truth + truth.mean(), broken=broken)


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
