"""Whether a value net predicts raw or scaled rewards is measured, and a wrong flag is found out."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dpg.agent.normalization import Moments
from dpg.agent.snapshot import Snapshot
from dpg.agent.source import Source
from dpg.importing.value_unit import Ratio, decide, measure, ratio, settle
from dpg.probes.known_answers.agents import known_agent

SIGMA = 20.0
SOURCE = Source(files={"a.zip": "0" * 64}, library="a", version="", algorithm="PPO")


@pytest.fixture(scope="module")
def right() -> Snapshot:
    """An agent whose value net is about right, in raw units, with statistics of returns that say 20."""
    agent = known_agent("value net", 200).snapshot
    moments = Moments(np.ones(1), np.zeros((1, 1)), np.full((1, 1), SIGMA**2), 0.0)
    return replace(agent, state=replace(agent.state, return_moments=moments), source=SOURCE)


def scaled_by(agent: Snapshot, factor: float) -> Snapshot:
    """The same with all values multiplied: its value net is linear."""
    return replace(agent, state=replace(agent.state, value=(factor * agent.state.value).astype(np.float32)))


def decision(agent: Snapshot, flag: bool | None) -> tuple[bool, str]:
    found = settle(agent, flag, 10.0, has_statistics=True)
    assert found.source is not None
    return found.recipe.config.reward_scaling, found.source.assumed[-1]


@pytest.mark.parametrize("flag", [True, False, None])
@pytest.mark.parametrize("off", [1.0, 2.0, 0.5], ids=["right", "doubled", "halved"])
def test_the_unit_is_that_of_the_net_whatever_the_file_says(right, flag, off):
    """Also where the net is wrong by a factor of two, which must not pass for another unit."""
    scaled, line = decision(scaled_by(right, off), flag)
    assert not scaled and line.startswith("value net in raw units, by measurement")
    scaled, line = decision(scaled_by(right, off / SIGMA), flag)
    assert scaled and line.startswith("value net in scaled units, by measurement")


def test_the_ratio_is_that_of_the_sums_and_its_error_that_of_leaving_streams_out(right):
    """Means of ratios would be dominated by streams with little reward."""
    reward = np.array([1.0, 2.0, 3.0, 4.0])
    exact = ratio(0.05 * reward, reward)
    assert exact.value == pytest.approx(0.05) and exact.log_error == pytest.approx(0.0, abs=1e-12)
    rng = np.random.default_rng(0)
    noise = [ratio(1 + 0.1 * rng.standard_normal(50), np.ones(50)) for _ in range(200)]
    assert np.std([each.log for each in noise]) == pytest.approx(np.mean([each.log_error for each in noise]), rel=0.2)
    assert abs(measure(right).log) < math.log(1.3)


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("value", [0.0, -1.0, 1 / math.sqrt(SIGMA)], ids=["frozen", "opposite", "between"])
def test_where_it_is_not_decided_the_flag_is_taken_and_that_is_said(right, flag, value):
    scaled, line = decision(scaled_by(right, value), flag)
    assert scaled is flag and "undecided" in line and "the file says" in line


def test_units_that_hardly_differ_are_not_told_apart():
    assert "undecided" in decide(Ratio(1.0, 0.0), 1.5, None)[1]
    assert "undecided" in decide(Ratio(1.0, 1.0), 20.0, None)[1]
    assert "by measurement" in decide(Ratio(1.0, 0.1), 20.0, None)[1]


def test_without_statistics_a_scale_is_estimated_only_where_the_file_says_that_there_was_one(right):
    """Else a value net that is wrong by a factor would be put right unseen."""
    small = scaled_by(right, 1 / SIGMA)
    found = settle(small, True, 10.0, has_statistics=False)
    assert found.recipe.config.reward_scaling and found.lacks == ()
    np.testing.assert_allclose(found.state.return_moments.std, [[SIGMA]], rtol=0.2)
    raw = settle(small, False, 10.0, has_statistics=False)
    assert not raw.recipe.config.reward_scaling
    assert settle(scaled_by(right, 0.0), True, 10.0, has_statistics=False).lacks == ("return_normalizer",)
