"""The numbers that experiments are compared by, against ones computed by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dpg.report import metrics
from dpg.tables.gradient import Noise
from dpg.tables.landscape import Alignment, Resolution
from dpg.tables.training import History, RegimeHistory
from dpg.tables.update_gain import AgentsGain

T = 200


def test_numbers_of_a_small_experiment(experiment, statistics):
    cell = metrics.summarize(experiment)["Hopper-v4"]["ppo"]
    # Agent k at iteration i returns 10 i + k: over iterations 3 to 7 it is 50 + k, over agents 0 to 2 it is 51.
    assert cell["final_return"] == 51.0
    assert cell["final_return_low"] < 51.0 < cell["final_return_high"]
    assert cell["final_return_interquartile"] == 51.0  # of three agents, none is left out
    assert cell["final_return_interquartile_low"] < 51.0 < cell["final_return_interquartile_high"]
    assert cell["agents"] == 3
    # Agent k at T: 200 / 2000 + k / 10 - i / 100, with the true gradient 0.1 more.
    assert cell["gradient"]["pairwise_cosine_at_T_first"] == pytest.approx(0.2)
    assert cell["gradient"]["pairwise_cosine_at_T_last"] == pytest.approx(0.16)
    assert cell["gradient"]["true_cosine_at_T_last"] == pytest.approx(0.26)
    # Agent k's updates at iteration i: 0.6 - i / 10 - k / 10.
    assert cell["update_step"] == {"cosine_first": pytest.approx(0.5), "cosine_last": pytest.approx(0.1)}
    # Held-out errors are 4 (1 + k) for the net's own target, twice that for returns; half as much again by the release.
    assert cell["value"] == {
        "heldout_gae_error_last": 8.0,
        "heldout_returns_error_last": 16.0,
        "heldout_release_gae_error_last": 12.0,
        "heldout_release_returns_error_last": 24.0,
        "heldout_hindsight_error_last": pytest.approx(0.3),
    }
    # V* explains 0.9 - k / 10; at states, squared errors are 25 (k + 1) of 100 for the value net, a hundredth for V*.
    assert cell["true_value"] == {
        "explained_variance_last": pytest.approx(0.8),
        "value_net_explained_variance_last": pytest.approx(0.4),
        "states_error_last": pytest.approx(0.5**0.5 / 10),
        "value_net_states_error_last": pytest.approx(0.5**0.5),
    }
    # At T = 200: 0.08, 0.06 and 0.02 and the mean of k / 10; half with returns.
    found = cell["baselines"]
    names = ("true_value", "value_net", "zero")
    assert [found[f"gae_{name}_cosine_at_T_last"] for name in names] == pytest.approx([0.18, 0.16, 0.12])
    assert [found[f"returns_{name}_cosine_at_T_last"] for name in names] == pytest.approx([0.09, 0.08, 0.06])
    assert found["value_net_over_zero_at_T_last"] == pytest.approx(0.04)
    assert found["true_value_over_value_net_at_T_last_low"] == pytest.approx(0.02 - 0.05)
    # Updates from 200 and from 1000 pairs, of which the test tables make no difference.
    assert set(cell["landscape"]) == {"N200", "N1000"}
    assert cell["landscape"]["N200"] == {
        "rank_correlation_first": 1.0,
        "rank_correlation_last": -1.0,
        "step_rank_correlation_first": 1.0,
        "step_rank_correlation_last": -1.0,
        "step_gain_first": 2.0,
        "step_gain_last": -2.0,
        "resolved_share_from_100_first": 0.1,
        "resolved_share_from_100_last": 0.1,
        "resolved_share_first": 0.2,
        "resolved_share_last": 0.2,
    }
    assert set(cell["update_gain"]) == {"N200", "N1000"}
    assert cell["update_gain"]["N200"] == {
        "reward_first": 2.0,
        "reward_last": -2.0,
        "relative_reward_first": 20.0,
        "relative_reward_last": -1.0,
        "own_surrogate_first": 0.02,
        "own_surrogate_last": 0.01,
        "heldout_surrogate_first": 0.015,
        "heldout_surrogate_last": -0.001,
        "confirmed_share_first": 0.75,
        "confirmed_share_last": -0.1,
        "lowering_share_first": 0.1,
        "lowering_share_last": 0.9,
    }
    # Without a baseline every return is a tenth.
    assert cell["ablation"]["final_return"] == pytest.approx(5.1)
    assert cell["ablation"]["ratio"] == pytest.approx(0.1)
    assert cell["ablation"]["ratio_low"] < 0.1 < cell["ablation"]["ratio_high"]


def test_regimes_stand_beside_the_algorithms_of_their_task(many, statistics):
    summary = metrics.summarize(many)
    assert set(summary["Walker2d-v4"]) == {"ppo", "ppo_m", "trpo", "regimes"}
    small, large = (summary["Walker2d-v4"]["regimes"][f"T{size}"] for size in (200, 1000))
    # The low rate ends 10 iterations at 85 + k and never falls; the high one ends 2 iterations at 20 (k + 1).
    assert (small["best_lr"], small["linear_scaling_lr"], small["final_return_at_best"]) == (1e-4, 1e-4, 86.0)
    assert large["best_lr"] == 4e-4
    assert large["linear_scaling_lr"] == pytest.approx(5e-4)
    assert large["final_return_at_best"] == 40.0
    assert [large[f"decline_at_best{end}"] for end in ("", "_low", "_high")] == [0.0, 0.0, 0.0]


def test_an_iteration_without_episodes_is_left_out_of_its_agent(experiment, statistics):
    history = experiment[History]
    history.loc[(history["agent"] == 0) & (history["iteration"] == 7), "mean_return"] = np.nan
    history.loc[history["agent"] == 2, "mean_return"] = np.nan
    cell = metrics.summarize(experiment.replace({History: history}))["Hopper-v4"]["ppo"]
    # Agent 0 over iterations 3 to 6: 45; agent 1 over 3 to 7: 51; agent 2 has nothing.
    assert cell["final_return"] == 48.0
    assert cell["agents"] == 2


def test_the_median_noise_scale_counts_gradients_that_cannot_be_told_from_zero(experiment):
    noise = experiment[Noise]
    first = noise["iteration"] == noise["iteration"].min()
    noise["noise_scale_pairs"] = 100.0 * (1 + noise["agent"])
    noise.loc[first & (noise["agent"] == 0), "noise_scale_pairs"] = np.nan
    noise.loc[~first & (noise["agent"] > 0), "noise_scale_pairs"] = np.nan
    gradient = metrics.summarize(experiment.replace({Noise: noise}))["Hopper-v4"]["ppo"]["gradient"]
    assert gradient["noise_scale_pairs_first"] == 300.0  # of 200, 300, unbounded
    assert gradient["noise_scale_pairs_last"] is None  # of 100 and two without bound


def test_what_was_not_measured_is_null(experiment, statistics):
    cell = metrics.summarize(replace(experiment, timesteps=123))["Hopper-v4"]["ppo"]
    assert {value for name, value in cell["gradient"].items() if "_at_T_" in name} == {None}
    columns = {
        History: ["mean_return"],
        Alignment: ["grid_correlation", "step_correlation", "gain"],
        Resolution: ["own_resolved_share"],
        AgentsGain: ["mean"],
        Noise: ["noise_scale_pairs"],
        RegimeHistory: ["mean_return"],
    }
    blank = {kind: experiment[kind].assign(**dict.fromkeys(names, np.nan)) for kind, names in columns.items()}
    text = metrics.to_json(metrics.summarize(experiment.replace(blank)))
    assert "NaN" not in text
    read = json.loads(text)["Hopper-v4"]["ppo"]
    assert read["final_return"] is read["gradient"]["noise_scale_pairs_last"] is None
    assert read["agents"] == 0
    assert {number for regime in read["landscape"].values() for number in regime.values()} == {None}
    assert {number for regime in read["update_gain"].values() for number in regime.values()} == {None}
    assert read["ablation"] | {"final_return": None} == dict.fromkeys(
        ("final_return", "ratio", "ratio_low", "ratio_high")
    )
    regimes = json.loads(text)["Hopper-v4"]["regimes"]
    assert set(regimes) == {"T200", "T1000"}
    assert {number for size in regimes.values() for number in size.values()} == {None}


def test_json_has_the_same_bytes_whatever_the_order(many, statistics):
    summary = metrics.summarize(many)
    assert set(summary) == {"Hopper-v4", "Walker2d-v4"}
    turned = {env: dict(reversed(cells.items())) for env, cells in reversed(summary.items())}
    assert metrics.to_json(turned) == metrics.to_json(summary)


def test_curves_hold_every_cell_with_its_agents(many, statistics):
    curves = metrics.curves(many)
    assert list(curves.columns) == ["env", "algorithm", "pairs", "mean_return", "low", "high", "agents"]
    cell = curves[(curves["env"] == "Walker2d-v4") & (curves["algorithm"] == "trpo")]
    assert cell["pairs"].tolist() == [T * (i + 1) for i in range(8)]
    assert cell["mean_return"].tolist() == [10.0 * i + 1 for i in range(8)]
    assert set(cell["agents"]) == {3}


def test_flat_names_are_dotted_and_skip_what_is_missing():
    assert metrics.flat({"a": {"b": 1, "c": None, "d": {"e": 0.5}}}) == {"a.b": 1.0, "a.d.e": 0.5}
