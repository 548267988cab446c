"""The verdicts of a calibration: scores, jackknives and false alarms on known distributions."""

import numpy as np
import pytest
from scipy import stats

from dpg.probes import gradient_sums
from dpg.probes.known_answers import gradients, verdicts
from dpg.probes.known_answers.agents import known_agent


def test_z_is_the_normal_score_of_students_t():
    values_ = np.array([1.0, 2.0, 3.0, 4.0])
    check = verdicts.scalar_check("four values", 1.0, values_)
    t = 1.5 / np.sqrt(np.var(values_, ddof=1) / 4)
    assert (check.estimate, check.passed) == (2.5, True)
    assert check.z == pytest.approx(stats.norm.isf(stats.t.sf(t, 3)))
    assert verdicts.scalar_check("far", 10.0, values_).z < -2
    assert not verdicts.scalar_check("values that do not vary", 1.0, np.ones(4)).passed


def test_a_logarithm_is_checked_but_the_quantity_is_told():
    values_ = np.log([1.0, 2.0, 4.0])
    check = verdicts.log_check("powers of two", 2.0, values_)
    assert (check.truth, check.estimate, check.z) == (2.0, pytest.approx(2.0), pytest.approx(0, abs=1e-12))
    assert check.standard_error == pytest.approx(2 * np.log(2) / np.sqrt(3))
    assert not verdicts.log_check("not a number", 2.0, np.array([np.nan, 0.0])).passed


def test_verdicts_keep_their_false_alarm_rate():
    """1,500 trials of 20 Gaussian vectors: P(z > 1.645) is 5 % within 4 binomial deviations, false-alarm rate 6e-5."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((4, 4))
    found = [verdicts.vector_checks("", np.ones(4), 1 + rng.standard_normal((20, 4)) @ root) for _ in range(1500)]
    for z in ([whole.z for whole, _ in found], [along.z for _, along in found]):
        assert np.mean(np.array(z) > 1.645) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 1500))


def test_an_error_at_a_right_angle_to_the_truth_is_seen():
    rng = np.random.default_rng(0)
    found = 0.1 * rng.standard_normal((50, 3)) + [1.0, 0.5, 0.0]
    whole, along = verdicts.vector_checks("", np.array([1.0, 0.0, 0.0]), found)
    assert along.passed
    assert not whole.passed


def test_pseudo_values_of_a_mean_are_the_values():
    agent = known_agent("value net", 10)
    parts = [gradients.sound(agent, streams) for streams in gradients.collect_sets(agent, 3, 2, seed=0)]
    found = gradient_sums.pseudo_values(parts, lambda part: part[0].mean)
    np.testing.assert_allclose(found[:, 0], [part[0].mean[0] for part in parts])
