"""The ratio of two groups of agents, and an interval that knows them to be independent."""

import numpy as np
import pytest

from dpg.report.summaries import ratio_of_means, without_baseline


def test_final_returns_with_and_without(experiment, statistics):
    found = without_baseline(experiment)
    # Agent k at iteration i returns 10 i + k: 50 + k over the last five of eight iterations; without, a tenth.
    assert found.with_value.mean == pytest.approx(51)
    assert found.without.mean == pytest.approx(5.1)
    assert found.ratio.mean == pytest.approx(0.1)


def test_agents_of_both_sides_are_resampled_independently(statistics):
    """Resampled as pairs, a side that is a tenth of the other would have an interval without width."""
    returns = np.array([50.0, 100.0, 150.0, 200.0])
    found = ratio_of_means(returns / 10, returns, statistics)
    assert found.mean == pytest.approx(0.1)
    assert found.low < 0.08
    assert found.high > 0.12


def test_sides_without_spread_give_an_interval_without_width(statistics):
    assert ratio_of_means(np.full(3, 2.0), np.full(5, 8.0), statistics) == (0.25, 0.25, 0.25)


def test_the_interval_covers_the_true_ratio_as_often_as_it_says(statistics):
    """95 % of 500 experiments with five agents a side: fewer than 92 % would come by chance in 1 of 500 suites."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(500):
        found = ratio_of_means(rng.normal(100, 20, size=5), rng.normal(400, 60, size=5), statistics)
        covered += found.low <= 0.25 <= found.high
    assert 0.92 * 500 <= covered < 500


@pytest.mark.parametrize(("numerator", "denominator"), [([], [1.0]), ([1.0], []), ([1.0, 2.0], [-3.0, 1.0])])
def test_a_ratio_that_has_no_meaning_is_nan(numerator, denominator, statistics):
    assert np.isnan(ratio_of_means(np.array(numerator), np.array(denominator), statistics)).all()


@pytest.mark.parametrize("denominator", [[-1.0, 3.0, 4.0], [2.0]])
def test_a_ratio_without_an_interval(denominator, statistics):
    """One agent, or one whose return is not positive: resamples would divide by it alone."""
    found = ratio_of_means(np.full(3, 1.0), np.array(denominator), statistics)
    assert found.mean == pytest.approx(0.5)
    assert np.isnan([found.low, found.high]).all()
