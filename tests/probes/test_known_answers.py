"""Every estimator against its closed form on LinearQuadratic-v0, and rejected when it is broken on purpose.

Seeds are fixed; the false-alarm rate is stated where a test is statistical.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dpg.agent.acting import Actor
from dpg.envs.linear_quadratic import TASK
from dpg.learning.batch import values
from dpg.probes import gradient, validation, value
from dpg.probes.known_answers import baselines, closed_forms, forms, gradients, noise
from dpg.probes.known_answers.agents import (
    GAMMA,
    SHORT,
    KnownAgent,
    closed_loop,
    jacobian,
    known_agent,
    linear_policy,
    tangent,
    value_net,
)
from dpg.probes.known_answers.closed_forms import ClosedLoop
from dpg.probes.stream_blocks import StreamBlock, StreamShard
from dpg.streams import advantages
from dpg.tables.calibrate import Check
from tests.probes import exact_objective

ROOT = Path(__file__).parents[2]


def test_the_linear_policy_is_what_the_agent_does():
    state = known_agent("value net", 10).snapshot.state
    obs = np.random.default_rng(0).standard_normal((5, 3))
    policy = linear_policy(state, state.policy[0])
    expected = obs @ policy.mean[:, :3].T + policy.mean[:, 3]
    np.testing.assert_allclose(Actor.of(state).act(obs, None), expected, rtol=1e-5)
    found = values(state, state.normalize_obs(obs[None]))[0]
    np.testing.assert_allclose(found, forms.evaluate(value_net(state), obs), rtol=1e-5)


def test_the_agents_gradient_is_the_chain_rules():
    state = known_agent("value net", 10).snapshot.state

    def objective(vector: np.ndarray) -> float:
        return exact_objective.objective(ClosedLoop(TASK, linear_policy(state, vector)), GAMMA)

    at, step = state.policy[0].astype(np.float64), 1e-5 * np.eye(10)
    expected = [(objective(at + unit) - objective(at - unit)) / 2e-5 for unit in step]
    raw = exact_objective.objective_gradient(closed_loop(state), GAMMA)
    np.testing.assert_allclose(jacobian(state).T @ raw, expected, rtol=1e-6)
    assert not np.allclose(raw, expected, rtol=0.1)


@pytest.fixture(scope="module")
def checks() -> list[Check]:
    """A whole calibration, by the command: checking every shape would take five times as long."""
    command = [sys.executable, "-W", "error", "-m", "dpg.cli", "calibrate", "--json"]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8", cwd=ROOT)
    return [Check(**row) for row in json.loads(done.stdout)]


@pytest.mark.slow
def test_every_estimator_agrees_with_its_closed_form(checks):
    """Some forty checks at 4 normal deviations: false-alarm rate 0.2 % at the most, all together."""
    sound = [check for check in checks if not check.broken]
    assert len(sound) > 25
    assert all(check.passed for check in sound), [check for check in sound if not check.passed]


def test_checks_of_small_sets_with_every_shape_checked():
    agents = gradients.known_agents(SHORT)
    sets = gradients.collect_sets(agents["none"], 20, 8, seed=0)
    by_kind = (
        gradients.gradient_checks(agents, sets),
        gradients.noise_checks(sets),
        gradients.unit_checks(sets),
        gradients.cosine_checks(sets),
    )
    assert [len({check.name for check in found}) for found in by_kind] == [len(found) for found in by_kind]
    assert [len(found) for found in by_kind] == [9, 6, 5, 4]


BROKEN = [
    "gradient, gamma dropped, streams of 10",
    "gradient, gamma dropped, streams of 250",
    "gradient, log_std left out of the score, streams of 250",
    "gradient, union not normalised as one",
    "gradient, time limits taken for ends",
    "trace, from pairs",
    "standard error of the mean advantage, from pairs",
    "variance of the mean cosine, from cosines",
    "discounted return from state 1, gamma dropped",
    "explained variance of returns, unknown ones counted",
    "mean value at states, by rollouts, time limits taken for ends",
    "cosine with each other, 1280 pairs, zero's weights in GAE",
    "cosine with each other, 1280 pairs, the net's off returns",
    "evaluation, deterministic actions for sampled ones",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_the_same_check_rejects_the_estimator_when_it_is_broken(checks, name):
    found = [check for check in checks if check.name.startswith(name)]
    assert found
    assert all(check.broken and not check.passed for check in found), found


def noise_scale(agent: KnownAgent) -> float:
    """Streams until signal equals noise."""
    found = agent.noise()
    return np.trace(found.covariance) / (found.gradient @ found.gradient)


def test_the_closed_forms_order_the_baselines_as_theory_does():
    """The better the baseline, the fewer pairs until signal equals noise."""
    scales = [noise_scale(known_agent(baseline, 10)) for baseline in gradients.BASELINES]
    assert scales == sorted(scales)


def test_the_closed_forms_order_the_baselines_of_the_probe_as_theory_does():
    """The plane that touches V beats the agent's net, by either way, as V* is to; the probe's cosines are held to it.

    What the net gains over zero depends on the net: this one is off by a constant, which returns less zero are not.
    """
    agent = known_agent("value net", 10)
    vector = tangent(agent.snapshot.state, closed_forms.value_function(agent.loop, GAMMA), agent.loop.initial.mean)
    scales = {variant: noise_scale(each) for variant, each in baselines.baseline_agents(agent, vector).items()}
    assert scales["true value", "gae"] < scales["value net", "gae"] < scales["zero", "gae"]
    assert scales["true value", "returns"] < min(scales["value net", "returns"], scales["zero", "returns"])


def test_a_plane_touches_the_form_that_it_is_made_for():
    agent = known_agent("value net", 10)
    state, form, at = agent.snapshot.state, closed_forms.value_function(agent.loop, GAMMA), np.array([0.4, -1.0, 2.0])
    plane = value_net(replace(state, value=tangent(state, form, at)[None]))
    around = at + 1e-3 * np.random.default_rng(0).standard_normal((5, 3))
    np.testing.assert_allclose(forms.evaluate(plane, around), forms.evaluate(form, around), atol=1e-4)


def test_cosines_are_predicted_to_rise_to_one():
    found = known_agent("value net", 10).noise()
    expected = [noise.expected_cosines(found, streams, 100) for streams in (10, 100, 1000, 100_000)]
    for values_ in ([e.to_true for e in expected], [e.among for e in expected]):
        assert values_ == sorted(values_)
        assert values_[0] < 0.5 < 0.99 < values_[-1]


def test_what_is_calibrated_is_the_probes_own_measurement():
    agent = known_agent("value net", 10)
    shard = StreamShard(agent.snapshot, (StreamBlock("estimate", 2, 0, 16, (160,)),), seed=3)
    ((expected, _),) = gradient.measure(shard)
    sets = gradients.collect_sets(agent, 3, 16, seed=3)
    found, products = gradients.sound(agent, sets[2])
    assert products.streams == 16
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_constant_lost_from_the_log_std_score_is_no_fault_of_a_normalised_estimate():
    """sum (A - mu) = 0: eps^2 in place of eps^2 - 1 gives the same g. So the calibration leaves out all of it."""
    agent = known_agent("value net", 10)
    sums, _ = gradients.sound(agent, gradients.collect_sets(agent, 1, 8, seed=0)[0])
    extra = np.array([[0.0] * 8 + [1.0] * 2])
    shifted = sums._replace(
        score=sums.score + extra * sums.pairs[:, None],
        weighted_score=sums.weighted_score + extra * sums.advantage[:, None],
    )
    np.testing.assert_allclose(shifted.gradient(), sums.gradient(), atol=1e-12)


def test_relative_value_errors_and_explained_variance_by_hand():
    """The value probe's row against loops over its own streams: scores, returns and net written out once more."""
    agent = known_agent("value net", 200)
    shard = value.ValueShard(agent.snapshot, 400, seed=5)
    (row,) = [r for r in value.measure(shard) if (r.split, r.target) == ("heldout", "returns")]
    node = value.probe_seed(5, "value", agent.snapshot)
    streams = value.long_streams(agent.snapshot, [node / "stream=0", node / "stream=1"])
    horizon = advantages.horizon(GAMMA)
    predicted, target = [], []
    for stream in range(2):
        for t in range(200 - horizon):
            target.append(sum(GAMMA**k * streams.reward[stream, t + k] for k in range(200 - t)))
            predicted.append(forms.evaluate(value_net(agent.snapshot.state), streams.obs[stream, t : t + 1])[0])
    v, y = np.array(predicted), np.array(target)
    relative = np.abs(v - y) / np.abs(y)
    assert row.pairs == len(y) == 2 * (200 - horizon)
    assert row.mean_relative_error == pytest.approx(relative.mean(), rel=1e-5)
    assert row.median_relative_error == pytest.approx(np.median(relative), rel=1e-5)
    assert row.explained_variance == pytest.approx(1 - np.var(y - v) / np.var(y), rel=1e-4)


def test_too_few_streams_are_refused():
    with pytest.raises(ValueError, match="at least 16384 streams"):
        validation.plan(0, streams=1000)
