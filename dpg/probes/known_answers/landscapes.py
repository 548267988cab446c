"""Checks of returns: landscapes along a line, and evaluations."""

from dataclasses import replace

import numpy as np

from dpg.envs.linear_quadratic import EPISODE_STEPS, TASK
from dpg.probes import evaluation, landscape
from dpg.probes.known_answers import closed_forms
from dpg.probes.known_answers.agents import LONG, known_agent, linear_policy
from dpg.probes.known_answers.closed_forms import ClosedLoop
from dpg.probes.known_answers.verdicts import scalar_check
from dpg.tables.calibrate import Check


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
    loops = [ClosedLoop(TASK, linear_policy(state, vector)) for vector in theta]
    truths = [closed_forms.episode_return(loop, EPISODE_STEPS) for loop in loops]
    checks = [
        scalar_check(f"landscape, return at {a:+d}", truth, returns)
        for a, truth, returns in zip((-1, 0, 1), truths, found, strict=True)
    ]
    checks.append(scalar_check("landscape, rise from -1 to +1", truths[2] - truths[0], found[2] - found[0]))
    still = replace(loops[1].policy, log_std=np.full(2, -np.inf))
    modes = {"sampled": loops[1], "deterministic": ClosedLoop(TASK, still)}
    returns = {
        mode: evaluation.measure(evaluation.EvaluationShard(agent.snapshot, mode, episodes, seed)).return_[0]
        for mode in modes
    }
    for mode, loop in modes.items():
        truth = closed_forms.episode_return(loop, EPISODE_STEPS)
        checks.append(scalar_check(f"evaluation, {mode} actions", truth, returns[mode]))
    name = "evaluation, deterministic actions for sampled ones"
    checks.append(scalar_check(name, truths[1], returns["deterministic"], broken=True))
    return checks
