"""The true value function: on a task where it is known, and what must not go into it."""

from dataclasses import replace

import numpy as np
import pytest

from dpg.agent.population import AdamState, initialize
from dpg.agent.snapshot import Snapshot
from dpg.numerics.statistics import explained_variance
from dpg.probes import true_value
from dpg.probes.known_answers import closed_forms, forms
from dpg.probes.known_answers.agents import GAMMA, closed_loop, known_agent
from dpg.runtime.schema import TrueValue
from dpg.runtime.seeding import Seed

FIT = TrueValue(lr=3e-3, minibatch=512, max_epochs=30, patience=6)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """The known linear policy on LinearQuadratic-v0, with a value net that can bend."""
    known = known_agent("value net", 400).snapshot
    state = known.state
    architecture = replace(state.architecture, value_hidden=(32,))
    value = initialize(architecture, "orthogonal", [Seed(0) / "test"]).value
    adam = AdamState.zeros(1, value.shape[1])
    return Snapshot(0, known.recipe, replace(state, architecture=architecture, value=value, value_adam=adam))


@pytest.fixture(scope="module")
def fitted(snapshot) -> true_value.Fitted:
    return true_value.measure(true_value.FitShard(snapshot, 40_000, FIT, seed=0))


@pytest.fixture(scope="module")
def heldout(snapshot) -> tuple[true_value.Data, np.ndarray]:
    """Fresh pairs, and the closed-form value of their states."""
    data = true_value.collect(snapshot, [Seed(1) / f"stream={index}" for index in range(10)])
    moments = snapshot.state.obs_moments
    raw = data.obs * np.sqrt(moments.variance + 1e-8) + moments.mean
    return data, forms.evaluate(closed_forms.value_function(closed_loop(snapshot.state), GAMMA), raw)


def test_it_finds_the_closed_form(snapshot, fitted, heldout):
    """Nine tenths of the variance of V over states, and its mean to a tenth of its deviation.

    Returns vary by twice as much as V does: of theirs no more than a quarter can be explained. Seeds are fixed.
    """
    data, truth = heldout
    predicted = true_value.predict(snapshot.state.architecture, fitted.value, data.obs)
    assert explained_variance(predicted, truth) > 0.9
    assert abs(np.mean(predicted - truth)) < 0.1 * truth.std()
    # What it states of itself, from some twenty held-out episodes, is what fresh ones say.
    assert explained_variance(predicted, data.returns) == pytest.approx(fitted.quality.explained_variance, abs=0.1)
    own = true_value.predict(snapshot.state.architecture, snapshot.state.value[0], data.obs)
    assert explained_variance(own, truth) < 0.5


def test_its_quality_is_that_of_held_out_streams(fitted):
    quality = fitted.quality
    # Returns near a cut are not known.
    assert quality.pairs + quality.stopping_pairs + quality.heldout_pairs < 40_000
    assert 0.05 < quality.stopping_pairs / quality.pairs < 0.2
    assert 0.05 < quality.heldout_pairs / quality.pairs < 0.2
    assert 0.1 < quality.explained_variance < 0.4
    assert quality.explained_variance > quality.value_net_explained_variance + 0.1
    assert quality.median_relative_error < quality.value_net_median_relative_error


@pytest.mark.slow
def test_what_is_stated_of_it_comes_from_streams_that_decided_nothing(snapshot, fitted):
    """The tenth that stops the fit is another than the tenth that its error is stated on."""
    shard = true_value.FitShard(snapshot, 40_000, FIT, seed=0)
    architecture, node = snapshot.state.architecture, true_value.probe_seed(0, "true_value", snapshot)
    assert shard.num_heldout == shard.num_streams // 10
    seeds = [node / f"stream={index}" for index in range(shard.num_streams)]
    heldout, stopping, data = (true_value.collect(snapshot, part) for part in (seeds[:10], seeds[10:20], seeds[20:]))
    quality = fitted.quality
    counts = (quality.pairs, quality.stopping_pairs, quality.heldout_pairs)
    assert counts == tuple(len(part.returns) for part in (data, stopping, heldout))
    predicted = true_value.predict(architecture, fitted.value, heldout.obs)
    assert quality.explained_variance == explained_variance(predicted, heldout.returns)
    gap = (true_value.predict(architecture, fitted.value, stopping.obs) - stopping.returns) / data.returns.std()
    kept = fitted.epochs[quality.best_epoch - 1]
    assert kept.stopping_loss == pytest.approx(np.mean(gap**2), rel=1e-4)
    other = true_value.fit(shard, data, stopping, stopping, node)
    np.testing.assert_array_equal(other.value, fitted.value)
    assert other.quality.explained_variance != quality.explained_variance


def test_fewer_streams_than_sets_are_refused(snapshot):
    with pytest.raises(ValueError, match="2 streams, a fit takes at least 3"):
        true_value.FitShard(snapshot, 2 * snapshot.recipe.common.timesteps, FIT, seed=0)


def test_the_epoch_that_did_best_on_the_stopping_streams_is_kept(fitted):
    losses = [epoch.stopping_loss for epoch in fitted.epochs]
    assert fitted.quality.best_epoch == 1 + int(np.argmin(losses))
    assert fitted.quality.epochs == len(losses) <= FIT.max_epochs
    assert fitted.epochs[-1].train_loss < fitted.epochs[0].train_loss


def test_returns_that_are_not_known_would_spoil_it(snapshot, heldout):
    """Counting every pair, as if nothing followed the cut, shrinks returns: the check above would fail."""
    _, truth = heldout
    streams = true_value.long_streams(snapshot, [Seed(2) / f"stream={index}" for index in range(20)])
    returns, known = true_value.known_returns(snapshot, streams)
    # Some sixty episodes: the mean has a standard error of a seventh of that deviation.
    assert abs(returns[known].mean() - truth.mean()) < 0.4 * truth.std()
    assert abs(returns[~known].mean() - truth.mean()) > 0.5 * truth.std()


def test_scale_and_shift_are_folded_into_the_last_layer(snapshot, heldout):
    data, _ = heldout
    layout, value = snapshot.state.architecture.value_layout, snapshot.state.value[0]
    folded = true_value.unstandardized(layout, value, mean=-20.0, std=7.0)
    expected = -20.0 + 7.0 * true_value.predict(snapshot.state.architecture, value, data.obs)
    np.testing.assert_allclose(
        true_value.predict(snapshot.state.architecture, folded, data.obs), expected, rtol=1e-5, atol=1e-4
    )


@pytest.mark.slow
def test_the_same_shard_gives_the_same_bytes(snapshot, fitted):
    again = true_value.measure(true_value.FitShard(snapshot, 40_000, FIT, seed=0))
    np.testing.assert_array_equal(again.value, fitted.value)
    assert again.quality == fitted.quality


def test_too_few_known_returns_give_no_fit_but_the_reason(snapshot):
    """Three streams shorter than an episode, of which nearly all is nearer to the cut than the horizon."""
    short = snapshot.with_common(timesteps=10, gamma=0.977)
    reason = true_value.measure(true_value.FitShard(short, 30, FIT, seed=0))
    assert "of 2 held-out pairs the return is known (H = 198 further pairs), and 20 are needed" in reason
    assert reason.startswith("needs more than true_value.pairs = 30")
