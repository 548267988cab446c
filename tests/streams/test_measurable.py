"""What cannot be measured is known from the parameters, with a change that would help."""

import re

import pytest

from dpg.streams import measurable
from dpg.streams.advantages import horizon

TASK = "Task-v0"


def changed(params, **common):
    return params.model_copy(update={"common": params.common.model_copy(update=common)})


def test_nothing_stands_in_the_way_of_the_repositorys_own_parameters(params):
    assert measurable.ruled_out(params, TASK, 1000) == {}
    assert measurable.ruled_out(params, TASK, None) == {}


def test_agents_without_a_value_net_have_none_to_measure_or_to_do_without(params):
    found = measurable.ruled_out(changed(params, baseline="none"), TASK, 1000)
    assert set(found) == {"ablation", "value", "true_value", "baselines"}
    assert all("needs common.baseline = value" in reason for reason in found.values())


@pytest.mark.parametrize("limit", [2, 10, 200, 1000])
def test_a_limit_before_the_horizon_is_told_with_a_gamma_that_would_do(params, limit):
    found = measurable.ruled_out(changed(params, gamma=0.9999), TASK, limit)
    assert set(found) == {"value", "true_value", "baselines"}
    (reason,) = set(found.values())
    gamma = float(re.search(r"common.gamma of at most ([\d.]+) ", reason)[1])
    assert horizon(gamma) < limit
    assert measurable.ruled_out(changed(params, gamma=gamma), TASK, limit) == {}
    assert f"{TASK} truncates episodes after {limit:,}" in reason


def test_where_no_gamma_would_do_none_is_named(params):
    reason = measurable.returns(changed(params, gamma=0.0).common, TASK, 1)
    assert reason.startswith("needs common.time_limit = terminal: ")


def test_a_limit_that_ends_episodes_leaves_returns_known(params):
    assert measurable.ruled_out(changed(params, gamma=0.999, time_limit="terminal"), TASK, 200) == {}


def test_streams_are_not_recorded_without_end(params):
    for limit, time_limit in ((None, "bootstrap"), (1000, "terminal")):
        reason = measurable.returns(changed(params, gamma=1 - 1e-15, time_limit=time_limit).common, TASK, limit)
        assert "needs common.gamma of at most 0.9999" in reason
    assert horizon(0.9999) <= measurable.MAX_EXTRA_PAIRS


@pytest.mark.parametrize(
    ("timesteps", "pairs", "enough"), [(10, 20, False), (20, 40, False), (20, 60, True), (10, 150, True)]
)
def test_too_few_pairs_for_a_fit_are_known_beforehand(params, timesteps, pairs, enough):
    common = changed(params, timesteps=timesteps).common
    assert bool(measurable.true_values(common, TASK, None, pairs)) is not enough


def test_lines_name_task_stages_and_reason_once(params):
    with_regimes = of_scale(changed(params, gamma=0.99), "regimes", envs=("all",))
    lines = list(measurable.messages(with_regimes, {"Pendulum-v1": 200, "Hopper-v4": 1000}))
    (line,) = lines
    assert line.startswith("Pendulum-v1: value, true_value, baselines will not be measured: needs common.gamma of")


def of_scale(params, stage, **changes):
    section = getattr(params.budget, stage).model_copy(update=changes)
    budget = params.budget.model_copy(update={stage: section})
    return params.model_copy(update={"scales": {params.scale: budget}})


@pytest.mark.parametrize(("envs", "listed"), [((), "none so far"), (("Other-v0",), "Other-v0")])
def test_a_task_that_the_scale_leaves_out_of_the_regimes_is_told_by_the_parameter(params, envs, listed):
    some = of_scale(params, "regimes", envs=envs)
    reason = f"needs {TASK} among scales.{params.scale}.regimes.envs ({listed})"
    assert measurable.not_measured(some, TASK, 1000, "ppo") == {"regimes": reason}
    assert bool(measurable.not_measured(some, "Other-v0", 1000, "ppo")) is (envs == ())
    assert list(measurable.messages(some, {TASK: 1000})) == [f"{TASK}: regimes will not be measured: {reason}"]


def test_an_algorithm_whose_training_is_not_repeated_is_named(params):
    some = of_scale(of_scale(params, "regimes", envs=("all",)), "ablation", algorithms=("ppo",))
    some = some.model_copy(update={"algorithms": ("ppo", "ppo_m", "trpo")})
    assert measurable.not_measured(some, TASK, 1000, "ppo") == {}
    assert list(measurable.messages(some, {TASK: 1000})) == [
        f"{TASK}, {name}: ablation will not be measured: needs {name} among "
        f"scales.{params.scale}.ablation.algorithms (ppo)"
        for name in ("ppo_m", "trpo")
    ]
