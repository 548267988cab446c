"""One table of how surrogate and reward agree: by algorithm, checkpoint and regime."""

import numpy as np
import pandas as pd
import pytest

from dpg.report.summaries import alignment_table
from dpg.tables.landscape import Alignment


def test_one_agent_keeps_its_own_interval(many, statistics):
    rows = alignment_table(many[Alignment], statistics)
    assert len(rows) == 2 * 3 * 2 * 2  # tasks, algorithms, checkpoints, regimes
    row = rows[(rows["algorithm"] == "trpo") & (rows["iteration"] == 4) & (rows["update_pairs"] == 1000)].iloc[0]
    assert (row["agents"], row["grid_correlation"]) == (1, -1)
    assert (row["gain"], row["gain_low"], row["gain_high"]) == (-2, -3, -1)
    assert row["relative_gain"] == -200  # percent of a reward of 1


def test_several_agents_are_resampled(experiment, statistics):
    several = pd.concat([experiment[Alignment].assign(agent=k, gain=float(k)) for k in range(3)], ignore_index=True)
    row = alignment_table(several, statistics).iloc[0]
    assert (row["agents"], row["gain"]) == (3, 1.0)
    assert row["gain_low"] < 1.0 < row["gain_high"]


def test_a_loss_of_negative_rewards_is_a_loss(experiment, statistics):
    """Of a cost of -10, a change by -1 is one of -10 %."""
    costs = experiment[Alignment].assign(snapshot_reward=-10.0, gain=-1.0)
    assert alignment_table(costs, statistics)["relative_gain"].tolist() == pytest.approx([-10.0] * len(costs))


def test_what_has_no_number_stays_blank(experiment, statistics):
    blank = experiment[Alignment].assign(step_correlation=np.nan)
    assert alignment_table(blank, statistics)["step_correlation"].isna().all()
