"""Every claim on made-up tables whose truth is known: each rule supports, contradicts and leaves open."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dpg.numerics.statistics import Interval
from dpg.report.claims import decisions
from dpg.report.claims.catalog import claims
from dpg.report.claims.decisions import Decision
from dpg.report.claims.verdicts import Finding, Part, Verdict, agreed, inequality
from dpg.tables.baselines import BaselineDifference
from dpg.tables.checkpoint import Evaluation
from dpg.tables.gradient import Noise, Similarity
from dpg.tables.landscape import Resolution
from dpg.tables.training import AblationHistory, History, RegimeHistory
from dpg.tables.true_value import FitQuality
from dpg.tables.update_gain import SnapshotGain
from dpg.tables.update_step import UpdateAgreement
from dpg.tables.value import PredictionError
from tests.report.conftest import AGENTS, ENV, SIZES, T, make_experiment

SUPPORTED, CONTRADICTED, INCONCLUSIVE, NOT_MEASURED = Verdict


def decided(name: str, experiment, statistics):
    return claims()[name].findings(replace(experiment, statistics=statistics))


def verdict(name: str, experiment, statistics) -> Verdict:
    return agreed(finding.verdict for finding in decided(name, experiment, statistics))


def around(level: float, width: float, agent: pd.Series) -> pd.Series:
    """Three agents: one at the level, one on either side."""
    return level + (agent - 1) * width


def with_column(experiment, table: type, column: str, level: float, width: float, **where: object):
    """The tables with a column set, for each agent, in the rows that are named."""
    rows = experiment[table].copy()
    chosen = np.ones(len(rows), bool)
    for name, value in where.items():
        chosen &= (rows[name] == value).to_numpy()
    rows.loc[chosen, column] = around(level, width, rows.loc[chosen, "agent"])
    return experiment.replace({table: rows})


SINGLE = {
    "G1": [(Similarity, "cosine", {"against": "each other", "pairs": T}, 0.1, 0.9, 0.5)],
    "G2": [(Similarity, "cosine", {"against": "each other", "iteration": 4}, -0.5, 0.9, 0.2)],
    "G5": [(Similarity, "share_nonpositive", {"against": "each other"}, 0.3, 0.002, 0.01)],
    "G6": [(UpdateAgreement, "cosine", {}, 0.1, 0.9, 0.5)],
    "V1": [(PredictionError, "trimmed_relative_error", {}, 0.1, 0.9, 0.25)],
}


@pytest.mark.parametrize(("name", "cases"), SINGLE.items())
def test_one_number_an_agent_decides(name, cases, experiment, statistics):
    experiment = experiment.replace(
        {Similarity: experiment[Similarity].assign(repeats=1000)}
    )  # of ten, no small share is certain
    for table, column, where, for_it, against_it, at_the_edge in cases:
        expected = [(for_it, 0.0005, SUPPORTED), (against_it, 0.0005, CONTRADICTED), (at_the_edge, 0.1, INCONCLUSIVE)]
        for level, width, outcome in expected:
            changed = with_column(experiment, table, column, level, width, **where)
            assert verdict(name, changed, statistics) is outcome, (name, level)


def test_noisy_gradients_say_nothing_of_agents_that_do_not_improve(experiment, statistics):
    """G1 speaks of agents that improve although their gradients are noisy."""
    poor = with_column(experiment, Similarity, "cosine", 0.1, 0.01, against="each other")
    assert verdict("G1", poor, statistics) is SUPPORTED
    stuck = with_column(poor, Evaluation, "mean_return", 5.0, 0.0)
    assert verdict("G1", stuck, statistics) is INCONCLUSIVE


@pytest.mark.parametrize(
    ("at_t", "at_more", "expected"),
    [
        (0.5, 0.8, SUPPORTED),
        (0.5, 0.95, CONTRADICTED),  # good soon after T
        (0.8, 0.85, CONTRADICTED),  # good enough at T
        (np.sqrt(0.5), 0.8, INCONCLUSIVE),
    ],
)
def test_correlation_with_the_true_gradient(at_t, at_more, expected, experiment, statistics):
    at = {"against": "true", "iteration": 4}
    changed = with_column(experiment, Similarity, "corrected_cosine", at_t, 0.01, **at, pairs=T)
    changed = with_column(changed, Similarity, "corrected_cosine", at_more, 0.01, **at, pairs=SIZES[-1])
    assert verdict("G4", changed, statistics) is expected


def test_a_true_gradient_lost_in_noise_leaves_g4_open(experiment, statistics):
    changed = with_column(experiment, Similarity, "corrected_cosine", 0.3, 0.01, against="true")
    assert verdict("G4", changed, statistics) is SUPPORTED
    # More noise than signal, corrected or not.
    lost = changed[Noise].assign(reliability=changed[Noise]["reliability"].where(changed[Noise]["agent"] > 0, 0.4))
    (finding,) = decided("G4", changed.replace({Noise: lost}), statistics)
    assert finding.verdict is INCONCLUSIVE
    assert "1 of 3 snapshots" in finding.reason
    assert "gradient.true_pairs" in finding.reason


@pytest.mark.parametrize(
    ("name", "table", "column"),
    [
        ("G1", Similarity, "cosine"),
        ("G2", Similarity, "cosine"),
        ("G4", Similarity, "corrected_cosine"),
        ("G5", Similarity, "share_nonpositive"),
        ("G6", UpdateAgreement, "cosine"),
        ("V1", PredictionError, "trimmed_relative_error"),
        ("V4", BaselineDifference, "difference"),
    ],
)
def test_samples_that_do_not_enter_are_not_counted(name, table, column, experiment, statistics):
    counted = "estimates", "updates", "pairs"

    def sizes(one) -> dict[str, int]:
        (finding,) = decided(name, one, statistics)
        return {size: number for size, number in finding.parts[0].sizes.items() if size in counted}

    rows = experiment[table]
    blank = (rows["agent"] == 0) & (rows["iteration"] == rows["iteration"].max())
    without = experiment.replace({table: rows.assign(**{column: rows[column].mask(blank)})})
    (found, left) = sizes(experiment), sizes(without)
    assert left.keys() == found.keys() and left
    assert all(0 < left[size] < found[size] for size in left), (found, left)


def test_g4_counts_the_snapshots_whose_true_gradient_is_reliable(experiment, statistics):
    noise = experiment[Noise]
    reliability = np.where((noise["agent"] == 0) & (noise["iteration"] > 0), 0.1, 0.9)
    (finding,) = decided("G4", experiment.replace({Noise: noise.assign(reliability=reliability)}), statistics)
    (every,) = decided("G4", experiment.replace({Noise: noise.assign(reliability=0.9)}), statistics)
    for part, whole in zip(finding.parts, every.parts, strict=True):
        assert part.sizes["estimates"] == whole.sizes["estimates"] * (AGENTS - 1) / AGENTS


def test_no_nonpositive_cosine_among_few_leaves_g5_open(experiment, statistics):
    none = with_column(experiment, Similarity, "share_nonpositive", 0.0, 0.0)
    (finding,) = decided("G5", none, statistics)
    # Three agents with ten estimates each at the one later snapshot: 1 - 0.05^(1/30).
    assert finding.parts[0].effect == pytest.approx((0.0, 0.0, 0.095), abs=1e-3)
    assert finding.verdict is INCONCLUSIVE
    many = none.replace({Similarity: none[Similarity].assign(repeats=1000)})
    assert verdict("G5", many, statistics) is CONTRADICTED


@pytest.mark.parametrize(
    ("humanoid", "width", "expected"), [(0.1, 0.01, SUPPORTED), (0.7, 0.01, CONTRADICTED), (0.4, 0.2, INCONCLUSIVE)]
)
def test_harder_tasks(humanoid, width, expected, statistics):
    experiment = make_experiment((ENV, "Walker2d-v4", "Humanoid-v4"))
    experiment = with_column(experiment, Similarity, "cosine", 0.5, 0.01, against="each other")
    changed = with_column(experiment, Similarity, "cosine", humanoid, width, env="Humanoid-v4", against="each other")
    assert verdict("G3", changed, statistics) is expected


def test_harder_tasks_need_all_three(many, statistics):
    (finding,) = decided("G3", many, statistics)
    assert finding.verdict is NOT_MEASURED
    assert finding.reason == "needs envs Hopper, Walker2d and Humanoid; params has Hopper-v4, Walker2d-v4"


def trainings(curves: dict[tuple[int, float], list[float]], width: float = 0.01, agents: int = AGENTS) -> pd.DataFrame:
    """A curve for every sample size and rate, agents `width` of it apart."""
    return pd.DataFrame(
        [
            {"env": ENV, "algorithm": "ppo", "timesteps": size, "lr": lr, "agent": k, "iteration": i}
            | {"pairs": (i + 1) * size, "mean_return": value * (1 + width * (k - 1))}
            for (size, lr), curve in curves.items()
            for k in range(agents)
            for i, value in enumerate(curve)
        ]
    )


GRID = (1e-5, 5e-5, 1e-4, 2e-4, 4e-4, 8e-4)
LEVEL, RISING, FALLING = [1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 4.0, 3.0, 2.0, 1.0]


def best_at(small: float, large: float, curve: list[float] = LEVEL, width: float = 0.01) -> pd.DataFrame:
    """Sizes of T and 4 T; the logarithm of the rate counts as a parabola around the best."""
    sizes = {T: small, 4 * T: large}
    return trainings(
        {
            (size, lr): [value * (9 - np.log2(lr / best) ** 2 / 4) for value in curve]
            for size, best in sizes.items()
            for lr in GRID
        },
        width,
    )


@pytest.mark.parametrize(
    ("name", "small", "large", "expected"),
    [
        ("R1", 4e-4, 1e-4, SUPPORTED),
        ("R1", 1.2e-4, 1e-4, SUPPORTED),  # between the rates tried
        ("R1", 1e-4, 4e-4, CONTRADICTED),
        ("R1", 8e-4, 1e-4, INCONCLUSIVE),  # at the end of the range
        ("R2", 2e-4, 1e-4, SUPPORTED),
        ("R2", 1e-4, 1.9e-4, SUPPORTED),  # less than the square root
        ("R2", 1e-4, 2.1e-4, CONTRADICTED),  # more than the square root
        ("R2", 1e-4, 4e-4, CONTRADICTED),  # four times the rate at four times the sample
        ("R2", 1e-4, 1e-5, INCONCLUSIVE),  # at the end of the range
    ],
)
def test_best_rates(name, small, large, expected, experiment, statistics):
    changed = experiment.replace({RegimeHistory: best_at(small, large)})
    assert verdict(name, changed, statistics) is expected


def test_a_best_rate_at_the_end_of_the_range_is_named(experiment, statistics):
    (finding,) = decided("R1", experiment.replace({RegimeHistory: best_at(8e-4, 1e-4)}), statistics)
    assert "T = 200, 8e-4, is the highest tried" in finding.reason
    assert "regimes.rates" in finding.reason


@pytest.mark.parametrize("name", ["R1", "R2"])
def test_where_training_still_rises_the_best_rate_says_nothing(name, experiment, statistics):
    """It is the one that starts fastest."""
    (finding,) = decided(name, experiment.replace({RegimeHistory: best_at(4e-4, 1e-4, RISING)}), statistics)
    assert finding.verdict is INCONCLUSIVE
    assert "rise over the last fifth of the training at T = 800" in finding.reason
    peaked = experiment.replace({RegimeHistory: best_at(4e-4, 1e-4, FALLING)})
    assert verdict(name, peaked, statistics) is SUPPORTED


def test_agents_that_differ_over_the_best_rate_leave_it_open(experiment, statistics):
    rows = best_at(4e-4, 1e-4)
    other = (rows["agent"] == 0) & (rows["timesteps"] == T) & (rows["lr"] == 1e-4)
    rows.loc[other, "mean_return"] = 30.0
    assert verdict("R1", experiment.replace({RegimeHistory: rows}), statistics) is INCONCLUSIVE


@pytest.mark.parametrize(
    ("above", "rate", "expected", "words"),
    [
        (FALLING, 1.5e-4, SUPPORTED, "below -0.05"),
        (RISING, 1.5e-4, CONTRADICTED, "not below -0.05"),
        (FALLING, 2e-4, NOT_MEASURED, "needs rates at most 1.5 times apart around 1e-4"),
        (RISING, 2e-4, NOT_MEASURED, "needs rates at most 1.5 times apart around 1e-4"),
    ],
)
def test_peak_then_decline(above, rate, expected, words, experiment, statistics):
    best = [value * 2 for value in RISING]
    table = trainings({(size, lr): best if lr == 1e-4 else above for size in (T, 4 * T) for lr in (1e-4, rate)})
    (finding,) = decided("R3", experiment.replace({RegimeHistory: table}), statistics)
    assert finding.verdict is expected
    assert words in finding.reason


def test_the_rate_below_the_best_must_be_near_as_well(experiment, statistics):
    """Else the best of all may lie between the two, and what is called slightly above it is not."""
    heights = {5e-5: 1.0, 1e-4: 3.0, 1.5e-4: 2.0}
    curves = {(size, lr): [height * v for v in LEVEL] for size in (T, 4 * T) for lr, height in heights.items()}
    assert verdict("R3", experiment.replace({RegimeHistory: trainings(curves)}), statistics) is NOT_MEASURED


def test_without_a_rate_above_the_best_no_decline_is_measured(experiment, statistics):
    table = trainings({(size, lr): [lr] for size in (T, 4 * T) for lr in (1e-4, 2e-4)})
    (finding,) = decided("R3", experiment.replace({RegimeHistory: table}), statistics)
    assert finding.verdict is NOT_MEASURED
    assert finding.reason == "needs a rate above 2e-4, the best at T = 800: regimes.rates"


@pytest.mark.parametrize(
    ("returns", "own", "expected"),
    [(0.5, 0.1, SUPPORTED), (0.1, 0.05, CONTRADICTED), (0.5, 0.6, CONTRADICTED), (0.25, 0.05, INCONCLUSIVE)],
)
def test_errors_against_the_returns(returns, own, expected, experiment, statistics):
    changed = with_column(experiment, PredictionError, "trimmed_relative_error", returns, 0.01, target="returns")
    changed = with_column(changed, PredictionError, "trimmed_relative_error", own, 0.01, target="gae")
    assert verdict("V2", changed, statistics) is expected


def test_the_releases_formula_and_hindsight_stand_beside_the_verdict_on_the_returns(experiment, statistics):
    """Agent k: 12 (1 + k) by the release, 8 (1 + k) where returns are known, and hindsight is off by 0.2 + k / 10."""
    before = verdict("V2", experiment, statistics)
    (finding,) = decided("V2", experiment, statistics)
    assert "the nets' error is 24 [" in finding.note
    assert "a predictor that knows the returns 0.3 [" in finding.note
    assert "80.0% of the pairs whose return is known; the nets' error there is 16 [" in finding.note
    for errors, words in ((0.01, "is 0.01 ["), (9.0, "is 9 [")):
        changed = experiment.replace(
            {PredictionError: experiment[PredictionError].assign(release_error=errors, hindsight_error=errors)}
        )
        (finding,) = decided("V2", changed, statistics)
        assert words in finding.note
        assert finding.verdict is before  # neither decides
    whole = experiment[PredictionError].assign(hindsight_pairs=experiment[PredictionError]["release_pairs"])
    assert (
        "whose return is known" not in decided("V2", experiment.replace({PredictionError: whole}), statistics)[0].note
    )
    nothing = experiment[PredictionError].assign(
        release_error=np.nan, hindsight_error=np.nan, release_pairs=0, hindsight_pairs=0
    )
    assert decided("V2", experiment.replace({PredictionError: nothing}), statistics)[0].note == ""
    summary = decisions.summarize(Decision(claims()["V2"], (finding,)))
    assert summary["note"] == f"{finding.where}: {finding.note}"


def test_a_claim_over_cells_that_disagree_has_an_effect_that_is_known():
    def cell(*effect: float) -> Finding:
        return Finding((Part("ratio", Interval(*effect), "below", 0.5),), where="Hopper")

    unknown, low, high = cell(math.nan, math.nan, math.nan), cell(0.1, 0.0, 0.2), cell(0.9, 0.8, 1.0)
    summary = decisions.summarize(Decision(claims()["V2"], (unknown, low, high)))
    assert (summary["verdict"], summary["effect"]) == ("inconclusive", 0.1)


def with_gains(experiment, true_over_net: float, net_over_zero: float, width: float = 0.01):
    changed = with_column(
        experiment, BaselineDifference, "difference", true_over_net, width, baseline="true value", other="value net"
    )
    return with_column(
        changed, BaselineDifference, "difference", net_over_zero, width, baseline="value net", other="zero"
    )


@pytest.mark.parametrize(
    ("true_over_net", "net_over_zero", "expected"),
    [
        (0.3, 0.1, SUPPORTED),
        (0.1, 0.3, CONTRADICTED),  # it adds less than the value net does
        (-0.1, -0.3, CONTRADICTED),  # it adds nothing
        (0.2, 0.2, INCONCLUSIVE),
    ],
)
def test_what_the_true_value_function_adds(true_over_net, net_over_zero, expected, experiment, statistics):
    assert verdict("V3", with_gains(experiment, true_over_net, net_over_zero), statistics) is expected


@pytest.mark.parametrize(
    ("fitted", "net", "met"),
    [
        (0.95, 0.97, True),  # good in itself, though the net is better still
        (0.6, 0.3, True),  # better than the net, where chance keeps every function from 0.9
        (0.6, 0.6, True),  # no worse than the net
        (0.6, 0.65, False),
        (0.89, 0.95, False),  # not good enough beside such a net
    ],
)
def test_a_true_value_function_is_good_in_itself_or_no_worse_than_the_net(fitted, net, met, experiment, statistics):
    """Without it V3 says nothing; with it, it can be contradicted where the net is good."""
    agents = 0.0005 * (experiment[FitQuality]["agent"] - 1)
    fits = experiment[FitQuality].assign(explained_variance=fitted + agents, value_net_explained_variance=net)
    for gains, decision in (((0.3, 0.1), SUPPORTED), ((0.1, 0.3), CONTRADICTED)):
        (finding,) = decided("V3", with_gains(experiment, *gains).replace({FitQuality: fits}), statistics)
        assert finding.verdict is (decision if met else INCONCLUSIVE)
        premises = [part for part in finding.parts if part.premise]
        assert len(premises) == (1 if met else 2)


@pytest.mark.parametrize(("gain", "expected"), [(0.1, SUPPORTED), (-0.1, CONTRADICTED), (0.0, INCONCLUSIVE)])
def test_what_the_value_net_adds(gain, expected, experiment, statistics):
    assert verdict("V4", with_gains(experiment, 0.0, gain), statistics) is expected


def test_baselines_that_were_not_compared_at_t_are_asked_for(experiment, statistics):
    without = experiment[BaselineDifference][experiment[BaselineDifference]["pairs"] != T]
    (finding,) = decided("V3", experiment.replace({BaselineDifference: without}), statistics)
    assert finding.reason == "needs common.timesteps = 200 among baselines.sizes"


def with_resolution(experiment, agents=AGENTS, budgets=(T, 100 * T), **numbers: float):
    """Every agent's landscapes at iterations 0 and 4; the numbers are agents' around what is given."""
    told = {"own_resolved_share": 0.9, "own_noise_share": 0.1, "shared_resolved_share": 0.5, "shared_noise_share": 0.5}
    rows = [
        {"env": ENV, "algorithm": "ppo", "agent": k, "iteration": i, "update_pairs": pairs, "budget_pairs": budget}
        | {"trajectories": 20, "point_pairs": 36}
        | {name: level + 0.01 * (k - 1) for name, level in (told | numbers).items()}
        for k in range(agents)
        for i in (0, 4)
        for pairs in (T, 100 * T)
        for budget in budgets
    ]
    return experiment.replace({Resolution: pd.DataFrame(rows)})


@pytest.mark.parametrize(
    ("name", "numbers", "expected"),
    [
        ("L1", {"own_resolved_share": 0.1}, SUPPORTED),
        ("L1", {"own_resolved_share": 0.9}, CONTRADICTED),
        ("L1", {"own_resolved_share": 0.5}, INCONCLUSIVE),
        # Shared noise would tell points apart that no trainer could.
        ("L1", {"own_resolved_share": 0.1, "shared_resolved_share": 0.9}, SUPPORTED),
        ("L2", {}, SUPPORTED),
        ("L2", {"own_resolved_share": 0.1}, CONTRADICTED),
        ("L2", {"own_noise_share": 0.9}, CONTRADICTED),
        ("L2", {"own_noise_share": 0.5}, INCONCLUSIVE),
        ("L2", {"own_noise_share": 0.9, "shared_noise_share": 0.1}, CONTRADICTED),
    ],
)
def test_what_landscapes_tell_apart(name, numbers, expected, experiment, statistics):
    assert verdict(name, with_resolution(experiment, **numbers), statistics) is expected


@pytest.mark.parametrize("name", ["L1", "L2"])
def test_one_agents_landscapes_decide_nothing_and_say_what_would(name, experiment, statistics):
    (finding,) = decided(name, with_resolution(experiment, agents=1), statistics)
    assert finding.verdict is INCONCLUSIVE
    assert "raise landscape.agents to 2 or more" in finding.reason


def with_updates(experiment, algorithm="ppo", *, iteration=(0, 4), regimes=(T, 100 * T), width=0.1, **numbers: float):
    """What every agent's updates gain: agents' around what is given, the same at each iteration and in each regime."""
    told = {"reward": 10.0, "own surrogate": 1.0} | {name.replace("_", " "): value for name, value in numbers.items()}
    rows = [
        {"env": ENV, "algorithm": algorithm, "agent": k, "iteration": i, "update_pairs": pairs, "quantity": quantity}
        | {"updates": 8, "episodes": 12, "mean": level + width * (k - 1)}
        for k in range(AGENTS)
        for i in iteration
        for pairs in regimes
        for quantity, level in told.items()
    ]
    return experiment.replace(
        {History: experiment[History].assign(algorithm=algorithm), SnapshotGain: pd.DataFrame(rows)}
    )


FALLS, RISES, FLAT = {"reward": -10.0}, {"reward": 10.0}, {"reward": 0.0}
UNMET = {"own_surrogate": -1.0}


@pytest.mark.parametrize(
    ("name", "algorithm", "numbers", "expected"),
    [
        ("L3", "ppo", RISES, SUPPORTED),
        ("L3", "ppo", FALLS, CONTRADICTED),
        ("L3", "ppo", FLAT, INCONCLUSIVE),
        ("L3", "ppo", RISES | UNMET, INCONCLUSIVE),
        ("L4", "ppo", FALLS, SUPPORTED),
        ("L4", "ppo", RISES, CONTRADICTED),
        ("L4", "ppo", FLAT, INCONCLUSIVE),
        ("L4", "ppo", FALLS | UNMET, INCONCLUSIVE),
        ("L5", "trpo", RISES, SUPPORTED),
        ("L5", "trpo", FALLS, CONTRADICTED),
        ("L5", "trpo", FLAT, INCONCLUSIVE),
        ("L5", "trpo", RISES | UNMET, INCONCLUSIVE),
        ("L5", "ppo", {}, NOT_MEASURED),
        ("L6", "ppo", FALLS, SUPPORTED),
        ("L6", "ppo", RISES, CONTRADICTED),
        ("L6", "ppo", FLAT, INCONCLUSIVE),
        ("L6", "ppo", FALLS | UNMET, INCONCLUSIVE),
        ("L6", "trpo", {}, NOT_MEASURED),
    ],
)
def test_what_updates_do_to_the_reward(name, algorithm, numbers, expected, experiment, statistics):
    assert verdict(name, with_updates(experiment, algorithm, **numbers), statistics) is expected


OPPOSITE = {SUPPORTED: CONTRADICTED, CONTRADICTED: SUPPORTED, INCONCLUSIVE: INCONCLUSIVE}


@pytest.mark.parametrize("surrogate", [1.0, 0.0, -1.0])
@pytest.mark.parametrize("reward", [-10.0, -0.24, 0.0, 0.24, 0.26, 10.0])
def test_early_and_late_alignment_are_exact_opposites(reward, surrogate, experiment, statistics):
    """Of one table: what it says early of L3, it says late of L4 the other way round. The edge lies at 0.248."""
    numbers = {"reward": reward, "own_surrogate": surrogate}
    (early,) = decided("L3", with_updates(experiment, iteration=(4,), regimes=(T,), **numbers), statistics)
    (late,) = decided("L4", with_updates(experiment, iteration=(4,), regimes=(T,), **numbers), statistics)
    assert late.verdict is OPPOSITE[early.verdict]
    assert [part.effect for part in late.parts] == [part.effect for part in early.parts]


def test_early_and_late_are_the_first_and_the_last_studied_snapshot(experiment, statistics):
    """An experiment as the paper has it: the reward rises at first, and falls at last."""
    changing = with_updates(experiment)
    rows = changing[SnapshotGain]
    rows.loc[(rows["quantity"] == "reward") & (rows["iteration"] == 4), "mean"] -= 20.0
    changing = changing.replace({SnapshotGain: rows})
    assert verdict("L3", changing, statistics) is SUPPORTED
    assert verdict("L4", changing, statistics) is SUPPORTED
    assert verdict("L4", with_updates(experiment, iteration=(0,), **FALLS), statistics) is NOT_MEASURED


def test_early_alignment_is_asked_of_every_regime_and_the_late_claims_of_theirs(experiment, statistics):
    changed = with_updates(experiment)
    rows = changed[SnapshotGain]
    rows.loc[(rows["quantity"] == "reward") & (rows["update_pairs"] == 100 * T), "mean"] -= 20.0
    changed = changed.replace({SnapshotGain: rows})
    assert verdict("L3", changed, statistics) is CONTRADICTED
    assert verdict("L4", changed, statistics) is CONTRADICTED
    assert verdict("L6", changed, statistics) is SUPPORTED


def test_what_landscapes_and_updates_lack_is_named(experiment, statistics):
    few = with_updates(with_resolution(experiment, budgets=(T,)), regimes=(T,))
    asked = {
        "L2": "needs landscape.pairs_per_point of at least 10 T = 2,000",
        "L5": "needs trpo among algorithms",
        "L6": "needs update_gain.update_pairs of at least 100 T = 20,000; the most are 200",
    }
    for name, words in asked.items():
        (finding,) = decided(name, few, statistics)
        assert finding.verdict is NOT_MEASURED
        assert finding.reason == words
    (finding,) = decided("L4", with_updates(experiment, regimes=(2 * T,)), statistics)
    assert finding.reason == "needs common.timesteps = 200 among update_gain.update_pairs"


def test_a_good_fit_that_does_not_generalise_contradicts(experiment, statistics):
    fits = with_column(experiment, PredictionError, "trimmed_relative_error", 0.05, 0.01, split="train")
    assert verdict(
        "V1", with_column(fits, PredictionError, "trimmed_relative_error", 0.9, 0.01, split="heldout"), statistics
    ) is (CONTRADICTED)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.1, SUPPORTED), (0.9, CONTRADICTED), (1 / np.sqrt(10), INCONCLUSIVE)]
)
def test_training_without_a_baseline(share, expected, experiment, statistics):
    without = experiment[History].assign(mean_return=experiment[History]["mean_return"] * share)
    assert verdict("V5", experiment.replace({AblationHistory: without}), statistics) is expected


def test_agents_that_do_not_learn_say_nothing_of_baselines(experiment, statistics):
    still = experiment[History].assign(mean_return=30.0 + experiment[History]["agent"])
    changed = experiment.replace({History: still, AblationHistory: still.assign(mean_return=1.0)})
    assert verdict("V5", changed, statistics) is INCONCLUSIVE


@pytest.mark.parametrize("name", ["G1", "G4", "G5", "G6", "V1", "V2"])
def test_the_initial_policy_alone_measures_nothing(name, experiment, statistics):
    first = {
        kind: experiment[kind][lambda rows: rows["iteration"] == 0]
        for kind in (Similarity, UpdateAgreement, PredictionError)
    }
    (finding,) = decided(name, experiment.replace(first), statistics)
    assert finding.verdict is NOT_MEASURED
    assert "after iteration 0" in finding.reason


def test_two_agents_that_agree_decide_nothing_by_that(experiment, statistics):
    """A bootstrap's interval would end at the two of them, both above the edge: as in every other experiment at it."""
    changed = with_column(experiment, UpdateAgreement, "cosine", 0.7, 0.1)
    two = changed.replace({UpdateAgreement: changed[UpdateAgreement][changed[UpdateAgreement]["agent"] < 2]})
    (finding,) = decided("G6", two, statistics)
    assert finding.parts[0].effect.mean == pytest.approx(0.65)
    # Student's t with one degree of freedom: 12.7 standard errors of 0.05.
    assert finding.parts[0].effect.high == pytest.approx(0.65 + 12.706 * 0.05, abs=1e-3)
    assert finding.verdict is INCONCLUSIVE


def test_verdicts_on_an_effect_at_the_edge_are_as_rare_as_they_say(statistics):
    """Of 400 experiments with four agents: more than 36 beyond 95 % intervals come by chance in 1 of 1000 suites."""
    rng = np.random.default_rng(0)
    parts = [inequality("x", pd.Series(rng.normal(size=4)), "below", 0.0, statistics) for _ in range(400)]
    assert sum(part.verdict is not INCONCLUSIVE for part in parts) <= 36


@pytest.mark.parametrize("name", ["G2", "G5"])
def test_a_single_agent_decides_nothing(name, experiment, statistics):
    alone = experiment.replace({Similarity: experiment[Similarity][experiment[Similarity]["agent"] == 0]})
    (finding,) = decided(name, alone, statistics)
    assert finding.verdict is INCONCLUSIVE
    assert "without an interval" in finding.reason


@pytest.mark.parametrize("name", ["G1", "G2"])
def test_one_studied_snapshot_shows_no_change(name, experiment, statistics):
    late = {kind: experiment[kind][lambda rows: rows["iteration"] == 4] for kind in (Similarity, Evaluation)}
    (finding,) = decided(name, experiment.replace(late), statistics)
    assert finding.verdict is NOT_MEASURED
    assert "two studied snapshots" in finding.reason


def test_cells_that_differ_leave_a_claim_open(many, statistics):
    agree = with_column(many, UpdateAgreement, "cosine", 0.1, 0.01)
    assert verdict("G6", agree, statistics) is SUPPORTED
    assert (
        verdict("G6", with_column(agree, UpdateAgreement, "cosine", 0.9, 0.01, algorithm="trpo"), statistics)
        is INCONCLUSIVE
    )


def test_verdicts_that_measured_nothing_have_no_say():
    assert agreed([NOT_MEASURED, SUPPORTED]) is SUPPORTED
    assert agreed([NOT_MEASURED]) is NOT_MEASURED
    assert agreed([SUPPORTED, CONTRADICTED]) is INCONCLUSIVE


@pytest.mark.parametrize(
    ("interval", "side", "expected"),
    [
        ((1, 0.5, 1.5), "below", SUPPORTED),
        ((1, 0.5, 1.5), "above", CONTRADICTED),
        ((3, 2.5, 3.5), "above", SUPPORTED),
        ((2, 1.5, 2.5), "above", INCONCLUSIVE),
        ((2, math.nan, math.nan), "above", INCONCLUSIVE),
        ((math.nan, math.nan, math.nan), "above", NOT_MEASURED),
    ],
)
def test_a_part_is_decided_by_its_interval(interval, side, expected):
    assert Part("an effect", Interval(*interval), side, 2.0).verdict is expected


def test_one_wrong_part_contradicts_and_a_missing_one_measures_nothing():
    right, wrong, blank = (
        Part("an effect", Interval(value, value - 0.1, value + 0.1), "below", 2.0) for value in (1, 3, math.nan)
    )
    assert Finding((right, wrong)).verdict is CONTRADICTED
    assert Finding((right, blank)).verdict is NOT_MEASURED
    assert Finding((right, replace(wrong, premise=True))).verdict is INCONCLUSIVE
    assert Finding().verdict is NOT_MEASURED


def test_the_effect_that_stands_for_a_claim_is_the_one_that_decides_it(experiment, statistics):
    claim = Decision(claims()["V3"], tuple(decided("V3", with_gains(experiment, 0.1, 0.3), statistics)))
    summary = decisions.summarize(claim)
    assert summary["verdict"] == "contradicted"
    assert summary["effect"] == pytest.approx(-0.2)
    assert "minus what that adds to zero" in summary["quantity"]


def test_every_rule_decides_and_is_written_down(many, statistics):
    found = decisions.decide(many)
    assert list(claims()) == [each.claim.id for each in found]
    assert sum(decisions.count(found).values()) == len(found)
    text = decisions.to_json(found)
    table = json.loads(text)
    assert [claim["id"] for claim in table] == list(claims())
    for claim in table:
        assert (claim["effect"] is None) == (claim["verdict"] == NOT_MEASURED)
        assert claim["reason"] or claim["verdict"] == SUPPORTED
        assert claim["verdict"] in set(Verdict)
        assert all(finding["reason"] for finding in claim["findings"])
    assert text == decisions.to_json(decisions.decide(many))


@pytest.mark.parametrize("share", [0.004, 0.01])
def test_a_small_share_of_few_estimates_leaves_g5_open(share, experiment, statistics):
    """Its spread over agents alone would often decide: the exact bounds of 30 trials do not."""
    few = with_column(experiment, Similarity, "share_nonpositive", share, 0.001)
    assert verdict("G5", few, statistics) is INCONCLUSIVE
