"""Agents whose faults are planted, and their unharmed twins.

The linear-quadratic one has a fitted V* for its value net, so that it is healthy by construction; the Hopper one is
untrained, with the normaliser of its warm-up.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dpg.agent.normalization import Moments
from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.diagnose.catalog import chosen
from dpg.diagnose.findings import Finding
from dpg.diagnose.plan import DiagnosisPlan, Tier
from dpg.diagnose.run import conclude, measure
from dpg.envs.make import make_vector
from dpg.learning.training import begin
from dpg.probes import true_value
from dpg.runtime.schema import TrueValue
from dpg.runtime.shards import ExecutionContext

TIER = Tier("test", 6, 8_000, 24, 6, 30_000, 4_000, 4, 4)
REWARD_SCALE = 5.0


@pytest.fixture(scope="session")
def diagnosed() -> Callable[..., dict[str, Finding]]:
    """The findings of an agent by their checks, at sizes that take a second or two."""

    def run(snapshot: Snapshot, *names: str, tier: Tier = TIER, seed: int = 0) -> dict[str, Finding]:
        checks = chosen(names)
        evidence = measure(DiagnosisPlan(snapshot, tier, 200, seed), checks, ExecutionContext(), None)
        return {check.name: conclude(check, evidence) for check in checks}

    return run


@pytest.fixture(scope="session")
def healthy(make_recipe: Callable[..., Recipe]) -> Snapshot:
    """An agent on the linear-quadratic task that knows its values, in scaled rewards, and explores a little."""
    common = {"timesteps": 250, "gamma": 0.9, "policy_hidden": (), "value_hidden": (32,)}
    config = {"reward_scaling": True, "reward_clip": None, "obs_clip": None, "lr": 1e-3, "anneal": False}
    recipe = make_recipe(env_id="LinearQuadratic-v0", common=common, config=config)
    envs = make_vector(recipe.env_id, 1)
    state = with_log_std(begin(recipe, envs, [0]), -1.0)
    moments = Moments(np.array([1e6]), np.zeros((1, 1)), np.full((1, 1), REWARD_SCALE**2))
    snapshot = Snapshot(0, recipe, replace(state, return_moments=moments))
    fit = TrueValue(lr=3e-3, minibatch=256, max_epochs=30, patience=5)
    fitted = true_value.measure(true_value.FitShard(snapshot, 12_000, fit, 1))
    assert not isinstance(fitted, str)
    return with_value(snapshot, fitted.value)


def with_log_std(state: Population, change: float) -> Population:
    """The policy with other log standard deviations."""
    layout = state.architecture.policy_layout
    arrays = dict(layout.unflatten(state.policy))
    arrays["log_std"] = arrays["log_std"] + np.float32(change)
    return state.with_policy(layout.flatten(arrays))


def with_value(snapshot: Snapshot, value: np.ndarray) -> Snapshot:
    """The agent with another value vector."""
    return replace(snapshot, state=replace(snapshot.state, value=value[None].astype(np.float32)))


def with_recipe(snapshot: Snapshot, *, common: dict | None = None, config: dict | None = None) -> Snapshot:
    """The agent with other parameters."""
    recipe = snapshot.recipe
    changes = {
        "common": recipe.common.model_copy(update=common or {}),
        "config": recipe.config.model_copy(update=config or {}),
    }
    return replace(snapshot, recipe=recipe.model_copy(update=changes))
