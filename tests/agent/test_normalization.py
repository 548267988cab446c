"""Running moments: however the data comes in, they are the data's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dpg.agent import normalization
from dpg.agent.normalization import Moments, identity

MEMBERS, FEATURES = 2, 3
batches = st.lists(
    st.integers(1, 6).flatmap(
        lambda size: arrays.arrays(np.float64, (MEMBERS, size, FEATURES), elements=st.floats(-1000, 1000, width=32))
    ),
    min_size=1,
    max_size=5,
)


@given(batches)
def test_moments_of_pieces_are_the_moments_of_the_whole(pieces):
    moments = identity(MEMBERS, FEATURES)
    for piece in pieces:
        moments = normalization.update(moments, piece)
    whole = np.concatenate(pieces, axis=1)
    at_once = normalization.update(identity(MEMBERS, FEATURES), whole)
    for found in (moments, at_once):
        np.testing.assert_array_equal(found.count, np.full(MEMBERS, whole.shape[1]))
        np.testing.assert_allclose(found.mean, whole.mean(axis=1), atol=1e-9)
        np.testing.assert_allclose(found.variance, whole.var(axis=1), rtol=1e-9, atol=1e-8)


def test_moments_survive_a_large_offset():
    """Sums of squares in place of Chan's update would lose all digits of the variance here."""
    values = 1e8 + np.random.default_rng(0).standard_normal((1, 1000, 1))
    moments = identity(1, 1)
    for piece in np.split(values, 10, axis=1):
        moments = normalization.update(moments, piece)
    np.testing.assert_allclose(moments.variance, values.var(axis=1), rtol=1e-6)


def test_before_anything_is_seen_values_pass_unchanged():
    values = np.random.default_rng(0).standard_normal((MEMBERS, 4, FEATURES))
    np.testing.assert_allclose(normalization.normalize(identity(MEMBERS, FEATURES), values, None), values, rtol=1e-6)


def test_normalized_data_has_mean_zero_and_variance_one():
    values = np.random.default_rng(0).normal([5.0, -3.0, 0.1], [2.0, 0.5, 10.0], (MEMBERS, 500, FEATURES))
    moments = normalization.update(identity(MEMBERS, FEATURES), values)
    scaled = normalization.normalize(moments, values, None).astype(np.float64)
    np.testing.assert_allclose(scaled.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.var(axis=1), 1, rtol=1e-5)
    assert normalization.normalize(moments, values, None).dtype == np.float32


def test_normalized_values_are_clipped_on_both_sides_and_the_input_is_left_alone():
    values = np.array([[[-50.0], [0.5], [50.0]]])
    before = values.copy()
    found = normalization.normalize(identity(1, 1), values, 10.0)
    np.testing.assert_allclose(found[0, :, 0], [-10, 0.5, 10], rtol=1e-6)
    np.testing.assert_array_equal(values, before)


def test_features_that_vary_by_rounding_alone_are_not_blown_up_to_unit_noise():
    """The standard deviation has a floor of 1e-4: without it Humanoid does not learn."""
    noise = 1e-9 * np.random.default_rng(0).standard_normal((1, 100, 1))
    moments = normalization.update(identity(1, 1), noise)
    np.testing.assert_allclose(moments.std, [[1e-4]], rtol=1e-6)
    assert np.abs(normalization.normalize(moments, noise, None)).max() < 1e-4


def test_a_constant_feature_normalizes_to_zero():
    values = np.full((1, 10, 1), 3.25)
    moments = normalization.update(identity(1, 1), values)
    np.testing.assert_array_equal(normalization.normalize(moments, values, None), np.zeros((1, 10, 1), np.float32))


@pytest.mark.parametrize(("clip", "expected"), [(None, [4.0, -1.5, 100.0]), (10.0, [4.0, -1.5, 10.0])])
def test_scaling_divides_by_the_deviation_and_does_not_centre(clip, expected):
    moments = Moments(np.array([10.0]), np.array([[7.0]]), np.array([[4.0]]))
    found = normalization.scale(moments, np.array([[8.0, -3.0, 200.0]]), clip)
    np.testing.assert_allclose(found, [expected], rtol=1e-8)


def test_epsilon_is_the_normalisers_own_and_stays_its_own():
    """Other libraries add other amounts; without any, the identity leaves values exactly as they are."""
    moments = Moments(np.array([10.0]), np.array([[7.0]]), np.array([[4.0]]), epsilon=5.0)
    np.testing.assert_array_equal(moments.std, [[3.0]])
    assert normalization.update(moments, np.ones((1, 2, 1))).epsilon == 5.0
    values = np.random.default_rng(0).standard_normal((1, 20, 1))
    none = Moments(np.zeros(1), np.zeros((1, 1)), np.ones((1, 1)), epsilon=0.0)
    np.testing.assert_array_equal(normalization.normalize(none, values, None), values.astype(np.float32))
