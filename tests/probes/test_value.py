"""The value probe: the update that it replays, and the errors that it reports."""

from dataclasses import replace

import numpy as np
import pytest

from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.learning.batch import prepare
from dpg.learning.value_fit import update_value
from dpg.probes import value
from dpg.streams import advantages


@pytest.fixture(scope="module")
def trained(make_recipe):
    """Snapshots 2 and 3 of one agent."""
    recipe = make_recipe("ppo", common={"gamma": 0.9})
    envs = make_vector(recipe.env_id, 1)
    populations = list(training.train(training.begin(recipe, envs, [0]), envs, recipe, [0], until=3))
    return [Snapshot(0, recipe, population) for population, _ in populations[1:]]


def test_the_replayed_value_update_is_the_one_that_training_made(trained):
    before, after = trained
    seed = before.recipe.iteration_seed(0, before.iteration)
    streams = value.long_streams(before, [seed / "batch"])
    common = before.recipe.common
    assert streams.reward.shape == (1, common.timesteps + advantages.horizon(0.9))
    batch = prepare(before.state, streams.head(common.timesteps), common, before.recipe.config)
    replayed = update_value(before.state, batch, before.recipe, [seed])
    np.testing.assert_array_equal(replayed.value, after.state.value)


def test_rows_for_both_splits_and_targets_with_their_sample_sizes(trained):
    rows = value.measure(value.ValueShard(trained[0], heldout_pairs=256, seed=0))
    assert [(row.split, row.target) for row in rows] == [
        ("train", "gae"), ("train", "returns"), ("heldout", "gae"), ("heldout", "returns"),
    ]  # fmt: skip
    assert [row.pairs for row in rows if row.target == "gae"] == [128, 256]
    assert all(0 < row.pairs <= 256 and row.trajectories > 0 for row in rows)
    assert all(np.isfinite(row.mean_relative_error) for row in rows)


def test_returns_are_scored_only_where_they_are_known(trained, make_streams):
    """A stream that is cut: the last H - 1 of T + H - 1 scored pairs would be guesses."""
    snapshot = trained[0]
    horizon, timesteps = advantages.horizon(0.9), snapshot.recipe.common.timesteps
    streams = make_streams(1, timesteps + horizon - 5, obs_dim=4, action_dim=1)
    rows = value._score(snapshot, snapshot.state, "heldout", streams)
    assert rows[1].target == "returns"
    assert rows[1].pairs == timesteps - 5 + 1 - 1


def test_a_perfect_prediction_has_no_error(trained, make_streams):
    """Rewards of zero after value nets of zero: every target is zero, and so is every error."""
    snapshot = trained[0]
    silent = replace(snapshot.state, value=np.zeros_like(snapshot.state.value))
    streams = make_streams(1, 200, obs_dim=4, action_dim=1)
    streams = replace(streams, reward=np.zeros_like(streams.reward))
    rows = value._score(Snapshot(0, snapshot.recipe, silent), silent, "train", streams)
    assert [row.mean_relative_error for row in rows] == [0, 0]
    assert np.isnan([row.explained_variance for row in rows]).all()


@pytest.mark.parametrize(("time_limit", "known"), [("bootstrap", 20 + 64), ("terminal", 127)])
def test_the_releases_errors_and_what_hindsight_makes_of_them(make_recipe, trained, make_streams, time_limit, known):
    """A reward of one, a time limit at the 64th of 128 pairs, a net that says zero, H = 44.

    Before a limit that bootstraps, returns are known where 44 pairs follow. Where it is an end, hindsight knows it.
    """
    recipe = make_recipe("ppo", common={"gamma": 0.9, "time_limit": time_limit})
    silent = replace(trained[0].state, value=np.zeros_like(trained[0].state.value))
    streams = make_streams(1, 128 + 44, obs_dim=4, action_dim=1, truncated=((0, 63),))
    streams = replace(streams, reward=np.ones_like(streams.reward))
    own, returns = value._score(Snapshot(0, recipe, silent), silent, "heldout", streams)
    assert (own.release_pairs, returns.release_pairs, returns.hindsight_pairs) == (127, 127, known)
    assert (returns.release_error, returns.release_error_known) == (1, 1)
    left = [0.9**k / (1 - 0.9**k) for k in range(1, 65)]  # of the pairs before the batch's end
    before = {"bootstrap": [0.9**k / (1 - 0.9**k) for k in range(45, 65)], "terminal": [0.0] * 63}[time_limit]
    # Long returns are known to 1 %, of which little is left here.
    assert returns.hindsight_error == pytest.approx(np.mean(before + left), abs=0.03)
    assert np.isnan([own.hindsight_error, own.release_error_known]).all()
    unit = trained[0].state.return_moments.std.item()  # rewards are scaled by it
    lam = 0.9 * recipe.common.gae_lambda
    targets = [(1 - lam**k) / (1 - lam) / unit for k in (*range(2, 65), *range(1, 65))]
    # The net says zero, so that its target is the advantage, and (V - y)^2 / |y| is |y|.
    assert own.release_error == pytest.approx(np.mean(targets))


def test_relative_errors_by_hand():
    predicted, target = np.array([1.0, 3.0, 0.0, 1.0]), np.array([2.0, -1.0, 0.0, 0.0])
    np.testing.assert_array_equal(value.relative_errors(predicted, target), [0.5, 4.0, 0.0, np.inf])


def test_what_keeps_values_from_being_measured_is_read_off_the_snapshot(make_recipe, trained):
    """From its own recipe, and the time limit of its own task."""

    def reason(env_id, **common):
        return value.unmeasurable(Snapshot(0, make_recipe("ppo", env_id=env_id, common=common), trained[0].state))

    assert "Pendulum-v1 truncates episodes after 200" in reason("Pendulum-v1")
    assert not reason("Hopper-v4")
    assert "without a value net" in reason("Hopper-v4", baseline="none")
