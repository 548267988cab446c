"""Errors at states over agents."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dpg.numerics.ratios import root_ratio
from dpg.report.summaries import state_errors


def opinions(error: list[float], value: list[float]) -> pd.DataFrame:
    agents = range(len(error))
    return pd.DataFrame({"iteration": 0, "agent": agents, "squared_error": error, "squared_value": value})


def test_squares_are_averaged_and_the_root_is_taken_last(statistics):
    """Noise makes one agent's square negative: set to zero before the mean, it would leave an error of 0.1."""
    (row,) = state_errors(opinions([4.0, -4.0], [100.0, 300.0]), ["iteration"], statistics).itertuples()
    assert (row.mean, row.agents) == (0, 2)
    assert row.low == 0
    # Student's t of two agents, by the jackknife of the squares: 0.04 without the second, -4/300 without the first.
    margin = stats.t.ppf(0.975, 1) * (0.04 + 4 / 300) / 2
    assert row.high == pytest.approx(np.sqrt(margin), rel=1e-6)
    (row,) = state_errors(opinions([4.0, 12.0], [100.0, 300.0]), ["iteration"], statistics).itertuples()
    assert row.mean == pytest.approx(np.sqrt(8 / 200))


def test_a_net_that_is_right_has_no_error_on_average(statistics):
    """2,000 agents whose squares are noise around zero, one deviation 1 % of v^2: roots that are averaged say 4 %.

    The mean square has a deviation of 0.022 % of v^2, of which 2 % squared are nearly two. The seed is fixed.
    """
    noise = np.random.default_rng(0).normal(0, 1, 2000)
    table = opinions(list(noise), [100.0] * 2000)
    (row,) = state_errors(table, ["iteration"], statistics).itertuples()
    assert row.mean < 0.02
    assert root_ratio(noise, np.full(2000, 100.0)).mean() > 0.035


def test_agents_without_rollouts_are_left_out(statistics):
    (row,) = state_errors(opinions([np.nan, 9.0], [np.nan, 100.0]), ["iteration"], statistics).itertuples()
    assert (row.mean, row.agents) == (pytest.approx(0.3), 1)
    (row,) = state_errors(opinions([np.nan], [np.nan]), ["iteration"], statistics).itertuples()
    assert np.isnan(row.mean)
    assert row.agents == 0
