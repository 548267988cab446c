"""How often `dpg diagnose` finds what is not there, and what is: `python -m benchmarks.false_findings`.

Agents on the linear-quadratic task that are healthy by construction: their value net is a V* fitted to many returns,
their normaliser has seen a warm-up, and their noise is small. Each comes from a seed of its own, and is diagnosed as it
is and with every fault planted.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from dpg.agent.normalization import Moments
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.diagnose.catalog import CHECKS, chosen
from dpg.diagnose.findings import Check, Status
from dpg.diagnose.plan import DiagnosisPlan, named
from dpg.diagnose.run import conclude, measure
from dpg.envs.make import make_vector
from dpg.learning.training import begin
from dpg.probes import true_value
from dpg.runtime.config import load
from dpg.runtime.schema import TrueValue
from dpg.runtime.shards import ExecutionContext

ENV_ID, EPISODE = "LinearQuadratic-v0", 200
REWARD_SCALE = 5.0
FIT = TrueValue(lr=3e-3, minibatch=256, max_epochs=40, patience=5)
FIT_PAIRS = 50_000


def healthy(seed: int) -> Snapshot:
    """An agent that knows its values, in scaled rewards, and explores a little."""
    params = load()
    common = {"timesteps": 1000, "gamma": 0.9, "policy_hidden": (), "value_hidden": (32,)}
    recipe = Recipe.of(params.model_copy(update={"seed": seed}), ENV_ID, "ppo", 10, **common)
    config = recipe.config.model_copy(update={"reward_clip": None, "obs_clip": None, "anneal": False})
    recipe = recipe.model_copy(update={"config": config})
    envs = make_vector(ENV_ID, 1)
    state = begin(recipe, envs, [0])
    layout = state.architecture.policy_layout
    arrays = dict(layout.unflatten(state.policy))
    arrays["log_std"] = arrays["log_std"] - np.float32(1)
    moments = Moments(np.array([1e6]), np.zeros((1, 1)), np.full((1, 1), REWARD_SCALE**2))
    agent = Snapshot(0, recipe, replace(state.with_policy(layout.flatten(arrays)), return_moments=moments))
    fitted = true_value.measure(true_value.FitShard(agent, FIT_PAIRS, FIT, seed + 1000))
    assert not isinstance(fitted, str), fitted
    return with_value(agent, fitted.value)


def with_value(agent: Snapshot, value: np.ndarray) -> Snapshot:
    """The agent with another value vector."""
    return replace(agent, state=replace(agent.state, value=value[None].astype(np.float32)))


def scaled(agent: Snapshot, factor: float, shift: float = 0.0) -> Snapshot:
    """The agent whose values are `factor` times its own, plus `shift`."""
    layout = agent.state.architecture.value_layout
    arrays = {name: array.copy() for name, array in layout.unflatten(agent.state.value[0]).items()}
    arrays["w1"], arrays["b1"] = factor * arrays["w1"], factor * arrays["b1"] + shift
    return with_value(agent, layout.flatten(arrays))


def other_unit(agent: Snapshot) -> Snapshot:
    """The agent whose recipe has the wrong reward unit."""
    config = agent.recipe.config.model_copy(update={"reward_scaling": False})
    return replace(agent, recipe=agent.recipe.model_copy(update={"config": config}))


def small_batch(agent: Snapshot) -> Snapshot:
    """The agent that learns from ten pairs at a time."""
    return agent.with_common(timesteps=10)


# Each with the check that is to find it.
FAULTS: dict[str, tuple[Callable[[Snapshot], Snapshot], str]] = {
    "value net doubled": (lambda agent: scaled(agent, 2.0), "value error"),
    "value net biased by 1": (lambda agent: scaled(agent, 1.0, 1.0), "value bias"),
    "value net constant": (lambda agent: scaled(agent, 0.0), "explained variance"),
    "reward unit flipped": (other_unit, "reward unit"),
    "batches of ten pairs": (small_batch, "gradient agreement"),
}


def statuses(agent: Snapshot, tier: str, seed: int, checks: tuple[Check, ...]) -> dict[str, Status]:
    """The status of every check."""
    evidence = measure(DiagnosisPlan(agent, named(tier), EPISODE, seed), checks, ExecutionContext(), None)
    return {check.name: conclude(check, evidence).status for check in checks}


def main() -> None:
    """Print the counts as JSON: of healthy agents by check, and of each fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--tier", default="s")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    unharmed = {check.name: Counter[str]() for check in CHECKS}
    planted = {name: Counter[str]() for name in FAULTS}
    for seed in range(arguments.agents):
        agent = healthy(seed)
        for name, status in statuses(agent, arguments.tier, seed, CHECKS).items():
            unharmed[name][status.value] += 1
        for name, (plant, check) in FAULTS.items():
            [status] = statuses(plant(agent), arguments.tier, seed, chosen([check])).values()
            planted[name][status.value] += 1
    print(json.dumps({"agents": arguments.agents, "tier": arguments.tier, "healthy": unharmed, "planted": planted}))


if __name__ == "__main__":
    main()
