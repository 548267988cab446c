"""What the tables say of updates, against made-up ones whose gains are known."""

from dataclasses import replace

import numpy as np
import pytest

from dpg.agent.snapshot import Snapshot
from dpg.numerics.statistics import nested_interval, of_values
from dpg.probes import gain_tables
from dpg.probes.update_gain import Gains
from dpg.runtime.schema import Statistics
from dpg.tables.update_gain import AgentsGain, SnapshotGain, UpdateGain

STATISTICS = Statistics(confidence=0.95, resample="estimates", resamples=200)


@pytest.fixture(scope="module")
def snapshot(make_recipe, make_population):
    return Snapshot(0, make_recipe("ppo"), make_population(1))


@pytest.fixture
def make(snapshot):
    """Gains from the returns of episodes before and after, and surrogate gains."""

    def made(before, after, own=None, heldout=None, agent=0, update_pairs=2000) -> Gains:
        before, after = np.asarray(before, float), np.asarray(after, float)
        count = len(before)
        own, heldout = (np.ones(count) if each is None else np.asarray(each, float) for each in (own, heldout))
        return Gains(
            snapshot=replace(snapshot, agent=agent),
            update_pairs=update_pairs,
            own_gain=own,
            heldout_gain=heldout,
            trajectories=np.arange(count),
            step_norm=np.full(count, 0.5),
            before=before,
            after=after,
            pairs=np.full(count, 100),
        )

    return made


def means(rows) -> dict[str, float]:
    return {row.quantity: row.mean for row in rows}


def test_rows_by_hand(make):
    """Two updates of two episodes: one gains 2 and 4, one loses 1 and 1, of returns of -10."""
    gains = make([[-10, -10]] * 2, [[-8, -6], [-11, -11]], own=[0.3, 0.1], heldout=[0.2, -0.1])
    first, second = gain_tables.updates(gains)
    assert (first.reward_gain, first.reward_gain_se, first.snapshot_return) == (3, 1, -10)
    assert (second.update, second.reward_gain, second.reward_gain_se, second.trajectories) == (1, -1, 0, 1)
    assert (second.own_surrogate_gain, second.heldout_surrogate_gain) == (0.1, -0.1)
    assert (second.episodes, second.pairs, second.update_pairs, second.step_norm) == (2, 100, 2000, 0.5)
    rows = list(gain_tables.snapshot_means(gains, STATISTICS, 0))
    assert means(rows) == {
        "reward": 1.0,
        "relative reward": pytest.approx(10.0),  # a gain, though returns are negative
        "own surrogate": pytest.approx(0.2),
        "held-out surrogate": pytest.approx(0.05),
        "confirmed share": pytest.approx(0.25),
        "lowering share": 0.5,
    }
    assert {(row.updates, row.unmoved, row.episodes) for row in rows} == {(2, 0, 2)}


def test_means_over_agents_are_means_of_theirs(make):
    """Whatever the agents' returns: percents and shares are averaged, not their parts."""
    agents = [
        make([[10, 10]] * 2, [[11, 11]] * 2, own=[1, 1], heldout=[1, 0], agent=0),
        make([[1000, 1000]] * 2, [[990, 990], [1010, 1010]], own=[0.1, 0.1], heldout=[0, 0], agent=1),
    ]
    rows = gain_tables.tabulate(agents, STATISTICS, 0)[AgentsGain]
    assert means(rows)["relative reward"] == pytest.approx((10 + 0) / 2)
    assert means(rows)["confirmed share"] == pytest.approx((0.5 + 0) / 2)
    assert means(rows)["lowering share"] == 0.25
    assert {(row.agents, row.updates) for row in rows} == {(2, 4)}


def test_checkpoints_and_regimes_are_kept_apart(make, snapshot):
    late = replace(snapshot, state=replace(snapshot.state, iteration=7))
    one = make([[1, 1]] * 2, [[2, 2]] * 2)
    some = [one, replace(one, update_pairs=4000), replace(one, snapshot=late, after=one.after + 1)]
    tables = gain_tables.tabulate(some, STATISTICS, 0)
    assert {name: len(rows) for name, rows in tables.items()} == {
        UpdateGain: 6,
        SnapshotGain: 3 * 6,
        AgentsGain: 3 * 6,
    }
    found = {(row.iteration, row.update_pairs): row.mean for row in tables[AgentsGain] if row.quantity == "reward"}
    assert found == {(0, 2000): 1, (0, 4000): 1, (7, 2000): 2}


def test_an_update_that_gains_nothing_on_its_own_batch_has_no_share_to_confirm(make):
    gains = make([[1, 1]] * 2, [[1, 1]] * 2, own=[0, 0], heldout=[0, 0])
    row = {row.quantity: row for row in gain_tables.snapshot_means(gains, STATISTICS, 0)}["confirmed share"]
    assert np.isnan([row.mean, row.low, row.high]).all()
    # An agent without one does not silence the others, nor does it count as one that has it.
    other = make([[1, 1]] * 2, [[1, 1]] * 2, own=[1, 1], heldout=[0.5, 0.5], agent=1)
    rows = {row.quantity: row for row in gain_tables.agents_means([gains, other], STATISTICS, 0)}
    assert (rows["confirmed share"].mean, rows["confirmed share"].agents, rows["reward"].agents) == (0.5, 1, 2)


def test_intervals_hold_the_noise_of_agents_updates_and_episodes(make):
    """Around a truth of 0, nominally in 95 of 100; fewer than 88 of 100 has a chance of one in 300.

    Taken for independent of each other, episodes of one update or of one agent make intervals that do not cover.
    """
    covered = {"nested": 0, "updates alone": 0, "episodes alone": 0}
    for seed in range(100):
        rng = np.random.default_rng(seed)
        agents = [
            make(np.zeros((6, 4)), rng.normal() + 0.7 * rng.normal(size=(6, 1)) + rng.normal(size=(6, 4)), agent=k)
            for k in range(6)
        ]
        nested = gain_tables.interval(agents, "reward", STATISTICS, 0)
        updates = np.concatenate([each.difference.mean(axis=1) for each in agents])
        single = np.concatenate([each.difference.ravel() for each in agents])
        intervals = {"nested": nested} | {
            name: nested_interval([of_values(values)], 0.95, 200, rng)
            for name, values in (("updates alone", updates), ("episodes alone", single))
        }
        for name, (mean, low, high) in intervals.items():
            assert mean == pytest.approx(nested.mean)
            covered[name] += low <= 0 <= high
    assert covered["nested"] >= 88
    assert covered["updates alone"] < 75
    assert covered["episodes alone"] < 60


def test_one_agents_interval_holds_the_spread_of_updates_and_of_their_episodes(make):
    """Without spread between updates, what is left is their episodes' noise; without that, the updates' spread."""
    rng = np.random.default_rng(0)
    noise, spread = rng.normal(size=(40, 5)), rng.normal(size=(40, 1))
    for after, deviation in ((noise, noise.std() / np.sqrt(5)), (np.repeat(spread, 5, axis=1), spread.std())):
        row = next(gain_tables.snapshot_means(make(np.zeros((40, 5)), after), STATISTICS, 0))
        assert (row.high - row.low) / 2 == pytest.approx(1.96 * deviation / np.sqrt(40), rel=0.35)
