"""Where trainings peak and end, against numbers computed by hand."""

import numpy as np
import pandas as pd
import pytest

from dpg.report.regimes import best_rate_ratio, best_rates, decline, late_rise, optimum, returns_of_agents, summarize
from dpg.tables.training import RegimeHistory

T = 200


def one_training(returns: list[float], lr: float = 1e-4, agent: int = 0, timesteps: int = T) -> pd.DataFrame:
    where = {"env": "Hopper-v4", "timesteps": timesteps, "lr": lr, "agent": agent}
    return pd.DataFrame([where | {"iteration": i, "mean_return": value} for i, value in enumerate(returns)])


def test_ends_and_peaks_of_a_small_experiment(experiment, statistics):
    table = summarize(experiment[RegimeHistory], statistics).set_index(["timesteps", "lr"])
    # Ten iterations: means over two. Low rate 10 i + k ends at 85 + k; high rate 20 (k + 1) min(i, 10 - i) peaks over
    # iterations 4 and 5 at 90 (k + 1) and ends over 8 and 9 at 30 (k + 1). Agents k = 0, 1, 2.
    assert table.loc[(T, 1e-4), ["final_return", "peak_return", "decline", "agents"]].tolist() == [86, 86, 0, 3]
    assert table.loc[(T, 4e-4), ["final_return", "peak_return", "decline", "agents"]].tolist() == [60, 180, -120, 3]
    # Two iterations: the last one alone.
    assert table.loc[(5 * T, 4e-4), ["final_return", "peak_return", "decline"]].tolist() == [40, 40, 0]
    # Declines of 60, 120 and 180: Student's t with two degrees of freedom, 4.3027 * 60 / sqrt(3).
    assert table.loc[(T, 4e-4), ["decline_low", "decline_high"]].tolist() == pytest.approx([-269.05, 29.05], abs=0.01)
    assert table.loc[(T, 1e-4), "final_low"] < 86 < table.loc[(T, 1e-4), "final_high"]


def test_a_peak_is_of_the_smoothed_curve():
    # A spike of 100 among zeros, in ten iterations, counts half.
    table = pd.concat([one_training([0.0] * 4 + [100.0] + [0.0] * 5, agent=k) for k in range(2)])
    for row in returns_of_agents(table).to_dict("records"):
        assert (row["final_return"], row["peak_return"], row["decline"]) == (0.0, 50.0, -50.0)


def test_a_peak_lies_where_the_other_agents_have_theirs():
    table = pd.concat([one_training([1.0, 5.0, 2.0, 3.0]), one_training([10.0, 20.0, 60.0, 50.0], agent=1)])
    ends = returns_of_agents(table).set_index("agent")
    assert ends["peak_return"].tolist() == [2.0, 20.0]
    assert ends["decline"].tolist() == [1.0, 30.0]


def test_a_single_agent_has_an_end_and_no_peak(statistics):
    (row,) = summarize(one_training([1.0, 3.0, 2.0]), statistics).to_dict("records")
    assert (row["agents"], row["final_return"]) == (1, 2.0)
    assert np.isnan([row["peak_return"], row["decline"]]).all()


def test_the_order_of_rows_does_not_matter(experiment):
    shuffled = experiment[RegimeHistory].sample(frac=1, random_state=0)
    keys = ["env", "timesteps", "lr", "agent"]
    sorted_ = [
        returns_of_agents(table).sort_values(keys, ignore_index=True) for table in (experiment[RegimeHistory], shuffled)
    ]
    pd.testing.assert_frame_equal(*sorted_)


def test_iterations_without_episodes_do_not_count_and_agents_without_an_end_are_left_out(statistics):
    table = pd.concat(
        [
            one_training([1.0] * 8 + [np.nan, 5.0]),
            one_training([9.0] * 8 + [np.nan, np.nan], agent=1),
            one_training([np.nan] * 8 + [4.0, 3.0], agent=2),
        ]
    )
    ends = returns_of_agents(table).set_index("agent")
    assert ends["final_return"].tolist()[::2] == [5.0, 3.5]
    assert np.isnan(ends.loc[1, "decline"])
    (row,) = summarize(table, statistics).to_dict("records")
    # Agent 0 has 1 where agent 2 peaks, over iterations 7 and 8; agent 2 has 3.5 where agent 0 does, at the end.
    assert (row["agents"], row["final_return"], row["peak_return"], row["decline"]) == (2, 4.25, 2.25, 2.0)


def test_declines_of_noise_alone_are_around_zero(statistics):
    """Training that stands still: with an agent's own maximum for its peak every interval would lie below zero.

    40 trainings of eight agents: more than 7 intervals of 95 % without the zero come by chance in 1 of 500 suites.
    """
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(40):
        noise = 100 + rng.normal(size=(8, 50))
        table = pd.concat([one_training(list(returns), agent=k) for k, returns in enumerate(noise)])
        (row,) = summarize(table, statistics).to_dict("records")
        missed += not row["decline_low"] <= 0 <= row["decline_high"]
    assert missed <= 7


def test_a_relative_decline_is_of_the_peak(statistics):
    table = pd.concat([one_training([0.0, 10.0 * (k + 1), 8.0 * (k + 1)], agent=k) for k in range(3)])
    found = decline(table, statistics, relative=True)
    assert found.mean == pytest.approx(-0.2)
    assert found.low == pytest.approx(found.high) == pytest.approx(-0.2)


def test_a_decline_from_a_peak_that_is_not_positive_is_nothing(statistics):
    table = pd.concat([one_training([-5.0, -3.0, -4.0], agent=k) for k in range(3)])
    assert np.isnan(decline(table, statistics, relative=True)).all()


def test_the_ratio_of_best_rates_resamples_agents(statistics):
    """At the smaller size the agents differ over which rate is best, at the larger one they agree."""
    small = [
        one_training([value], lr, agent) for agent in range(4) for lr, value in ((1e-4, 3.0), (4e-4, 6.0 * (agent > 1)))
    ]
    large = [one_training([lr], lr, agent, 2 * T) for agent in range(4) for lr in (1e-4, 4e-4)]
    found = best_rate_ratio(returns_of_agents(pd.concat(small + large)), (T, 2 * T), statistics)
    assert found.mean == pytest.approx(4)  # equal means: the lower rate
    assert found.low < 1 < 4 <= found.high


def test_the_best_rate_is_found_between_the_rates_tried():
    rates = np.array([1e-4, 3e-4, 6e-4, 1e-3])
    heights = -(np.log(rates / np.array([[2.5e-4], [7e-4]])) ** 2)
    np.testing.assert_allclose(optimum(rates, heights), [2.5e-4, 7e-4])
    ends = np.array([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 2.0, 2.0], [1.0, np.nan, 3.0, 2.0]])
    np.testing.assert_allclose(optimum(rates, ends), [1e-4, 1e-3, 1e-4, 6e-4])
    np.testing.assert_allclose(optimum(rates[:2], np.array([[1.0, 2.0]])), [3e-4])


def test_what_the_last_fifth_of_a_training_adds():
    rising = pd.concat([one_training([10.0 * i + k for i in range(10)], agent=k) for k in range(2)])
    # Windows of two: 85 and 86 at the end, 65 and 66 before.
    assert late_rise(returns_of_agents(rising)).tolist() == pytest.approx([20 / 85.5] * 2)
    assert late_rise(returns_of_agents(one_training([3.0]))).empty
    assert late_rise(returns_of_agents(one_training([-3.0, -2.0]))).empty


def test_the_best_rate_and_the_one_that_linear_scaling_predicts(many, statistics):
    best = best_rates(summarize(many[RegimeHistory], statistics))
    assert best["env"].tolist() == ["Hopper-v4", "Hopper-v4", "Walker2d-v4", "Walker2d-v4"]
    assert best["timesteps"].tolist() == [T, 5 * T] * 2
    assert best["lr"].tolist() == [1e-4, 4e-4] * 2
    assert best["linear_scaling_lr"].tolist() == pytest.approx([1e-4, 5e-4] * 2)
    assert best["final_return"].tolist() == [86, 40] * 2


def test_of_equal_rates_the_lower_is_best(statistics):
    table = pd.concat([one_training([2.0], lr=lr) for lr in (3e-4, 1e-4, 2e-4)])
    assert best_rates(summarize(table, statistics))["lr"].tolist() == [1e-4]


def test_a_size_without_final_returns_has_no_best_rate(statistics):
    table = pd.concat([one_training([np.nan]), one_training([1.0], timesteps=2 * T, lr=3e-4)])
    best = best_rates(summarize(table, statistics))
    assert best["timesteps"].tolist() == [T, 2 * T]
    assert np.isnan(best["lr"][0])
    assert best["lr"][1] == 3e-4
    assert best["linear_scaling_lr"].isna().all()  # there is nothing to scale from
