"""Points with unequal numbers of trajectories: what their means, errors and covariances are."""

import numpy as np
import pytest
from scipy import stats

from dpg.numerics.unequal_counts import completed, counts, difference_errors


def ragged(returns: np.ndarray, *known: int) -> np.ndarray:
    return np.where(np.arange(returns.shape[1]) < np.array(known)[:, None], returns, np.nan)


@pytest.fixture
def returns() -> np.ndarray:
    """Three points of eight trajectories, the first one with all of them."""
    return ragged(np.random.default_rng(0).exponential(size=(3, 8)), 8, 5, 3)


def test_equal_counts_change_no_bit(returns):
    whole = returns[:, :3]
    assert completed(whole, whole[0]) is whole
    np.testing.assert_array_equal(completed(returns, returns[0])[0], returns[0])


def test_the_estimate_is_the_controls_mean_and_the_mean_difference_from_it(returns):
    assert counts(returns).tolist() == [8, 5, 3]
    means = completed(returns, returns[0]).mean(axis=1)
    expected = [returns[0].mean() + (returns[row, :n] - returns[0, :n]).mean() for row, n in ((1, 5), (2, 3))]
    np.testing.assert_allclose(means[1:], expected)
    alone = completed(returns, None).mean(axis=1)
    np.testing.assert_allclose(alone, np.nanmean(returns, axis=1))


def test_errors_are_those_of_the_trajectories_that_there_are(returns):
    apart = stats.sem(returns, axis=1, nan_policy="omit")
    np.testing.assert_allclose(stats.sem(completed(returns, None), axis=1), apart)
    np.testing.assert_allclose(difference_errors(returns, 0, paired=False)[1:], np.hypot(apart[0], apart[1:]))
    paired = difference_errors(returns, 0, paired=True)
    assert paired[0] == 0
    assert paired[1] == pytest.approx(stats.sem(returns[1, :5] - returns[0, :5]))


def test_variances_and_covariances_of_the_estimates_are_what_their_scatter_says():
    """Over 4,000 repeats, of points that share noise; a deviation of 10 % is 4 standard errors.

    Filling up with means instead would halve the error of a point that has half of the trajectories.
    """
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((4000, 3, 40)) + 2 * rng.standard_normal((4000, 1, 40))
    values = np.stack([completed(ragged(each, 40, 20, 10), each[0]) for each in noise])
    found = np.cov(values.mean(axis=2), rowvar=False)
    told = np.mean([np.cov(each) / 40 for each in values], axis=0)
    np.testing.assert_allclose(told, found, rtol=0.1)
