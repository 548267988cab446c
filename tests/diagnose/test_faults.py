"""Every planted fault is found by the check that is made for it; the unharmed twin raises nothing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dpg.agent import normalization
from dpg.agent.snapshot import Snapshot
from dpg.diagnose.catalog import CHECKS
from dpg.diagnose.findings import Status
from dpg.diagnose.plan import Tier
from dpg.envs.make import make_vector
from dpg.learning.training import begin

from .conftest import with_log_std, with_recipe, with_value


def scaled(snapshot: Snapshot, factor: float, shift: float = 0.0) -> Snapshot:
    """The value net's outputs times a factor, plus a number."""
    layout = snapshot.state.architecture.value_layout
    arrays = {name: array.copy() for name, array in layout.unflatten(snapshot.state.value[0]).items()}
    arrays["w1"] *= factor
    arrays["b1"] = factor * arrays["b1"] + shift
    return with_value(snapshot, layout.flatten(arrays))


def frozen(snapshot: Snapshot) -> Snapshot:
    """The value net that training began with."""
    envs = make_vector(snapshot.recipe.env_id, 1)
    return with_value(snapshot, begin(snapshot.recipe, envs, [0]).value[0])


FAULTS: dict[str, tuple[Callable[[Snapshot], Snapshot], tuple[str, ...]]] = {
    "value net doubled": (lambda agent: scaled(agent, 2.0), ("value error", "value bias")),
    "value biased": (lambda agent: scaled(agent, 1.0, shift=1.0), ("value bias",)),
    "reward unit flipped": (lambda agent: with_recipe(agent, config={"reward_scaling": False}), ("reward unit",)),
    "value net frozen": (frozen, ("value error",)),
    "value net constant": (lambda agent: scaled(agent, 0.0), ("value error", "explained variance")),
    "batch too small": (lambda agent: with_recipe(agent, common={"timesteps": 10}), ("gradient agreement",)),
}


@pytest.mark.slow
def test_the_unharmed_agent_raises_nothing(healthy, diagnosed):
    findings = diagnosed(healthy)
    statuses = {name: finding.status for name, finding in findings.items()}
    assert [name for name, status in statuses.items() if status is Status.FOUND] == []
    for _, names in FAULTS.values():
        assert {statuses[name] for name in names} == {Status.NOT_FOUND}, statuses


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(healthy, diagnosed, fault):
    plant, names = FAULTS[fault]
    findings = diagnosed(plant(healthy), *names)
    assert {name: finding.status for name, finding in findings.items()} == dict.fromkeys(names, Status.FOUND)


STREAMS_ALONE = Tier("test", 2, 4_000, 8, 4, 30_000, 4_000, 2, 2)


@pytest.fixture(scope="module")
def hopper(make_recipe) -> Snapshot:
    recipe = make_recipe(env_id="Hopper-v4", common={"timesteps": 500}, config={"obs_clip": 10.0})
    return Snapshot(0, recipe, begin(recipe, make_vector(recipe.env_id, 1), [0]))


def without_normalizer(snapshot: Snapshot) -> Snapshot:
    obs_dim = snapshot.state.architecture.obs_dim
    return replace(snapshot, state=replace(snapshot.state, obs_moments=normalization.identity(1, obs_dim)))


def noisier(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, state=with_log_std(snapshot.state, 2.0))


HOPPER_FAULTS = {
    "none": (lambda agent: agent, ()),
    "normaliser removed": (without_normalizer, ("normaliser",)),
    "log-std + 2": (noisier, ("clipped actions", "exploration noise")),
}


@pytest.mark.parametrize("fault", HOPPER_FAULTS)
def test_faults_of_acting_are_found_on_hopper(hopper, diagnosed, fault):
    plant, expected = HOPPER_FAULTS[fault]
    names = ("normaliser", "clipped actions", "exploration noise")
    findings = diagnosed(plant(hopper), *names, tier=STREAMS_ALONE)
    assert {name for name in names if findings[name].status is Status.FOUND} == set(expected)


def test_every_check_says_what_it_asks_rules_and_advises():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.question.endswith("?"), check.name
        assert check.rule.startswith("found if "), check.name
        assert check.why and all(line.endswith(".") for line in check.remedies) and check.remedies, check.name


def test_a_normaliser_of_another_task_is_found(hopper, diagnosed):
    """Statistics that the agent's observations have left: a drift of many stored deviations."""
    moments = hopper.state.obs_moments
    away = replace(moments, mean=moments.mean + 5 * np.sqrt(moments.variance) * (np.arange(11) == 3))
    moved = replace(hopper, state=replace(hopper.state, obs_moments=away))
    finding = diagnosed(moved, "normaliser", tier=STREAMS_ALONE)["normaliser"]
    assert finding.status is Status.FOUND
    assert finding.effects[0].quantity == "mean of observation 3 of 11"
