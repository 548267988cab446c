"""The release's formulas, by hand and where a constant reward gives them in closed form."""

import numpy as np
import pytest

from dpg.probes import release_errors
from dpg.streams import advantages

GAMMA, PAIRS = 0.99, 2000


def hindsight(returns: np.ndarray, done: np.ndarray, kept: np.ndarray) -> float:
    """The error of the long return of a reward of one, which is the same at every pair."""
    long = np.full(returns.shape, 1 / (1 - GAMMA))
    error, pairs = release_errors.returns_error(long, returns, kept)
    assert pairs == kept.sum()
    return error


def ends(*steps: int) -> np.ndarray:
    """A stream of as many pairs as the paper's batch, with episodes that end after these."""
    done = np.zeros((1, PAIRS), bool)
    done[0, list(steps)] = True
    return done


def closed_form(*lengths: int, dropped: int) -> float:
    """Means of g^k / (1 - g^k) over the pairs, k before each cut; of so many cuts the pair next to it is dropped."""
    terms = [GAMMA**k / (1 - GAMMA**k) for length in lengths for k in range(1, length + 1)]
    return (sum(terms) - dropped * GAMMA / (1 - GAMMA)) / (sum(lengths) - dropped)


@pytest.mark.parametrize(
    ("done", "lengths", "rounded"),
    [
        (ends(), (2000,), 0.26),  # the batch's end alone
        (ends(999), (1000, 1000), 0.47),  # and a time limit
        (ends(999, 1999), (1000, 1000), 0.42),  # both are ends of episodes
        (np.zeros((2, 1000), bool), (1000, 1000), 0.52),  # two batches, cut where no episode ends: nothing is dropped
    ],
)
def test_a_constant_reward_gives_hindsight_in_closed_form(done, lengths, rounded):
    returns = release_errors.recorded_return(np.ones(done.shape), done, GAMMA)
    found, expected = hindsight(returns, done, ~done), closed_form(*lengths, dropped=int(done.sum()))
    assert found == pytest.approx(expected, rel=1e-9)
    assert found == pytest.approx(rounded, abs=0.005)


def test_other_definitions_miss_the_closed_form():
    """A return that goes on after the batch, one that goes on after the time limit, and pairs that are not dropped."""
    done, expected = ends(999), closed_form(1000, 1000, dropped=1)
    reward, after = np.ones(done.shape), np.zeros(done.shape)
    after[0, -1] = 1 / (1 - GAMMA)
    through_batch = advantages.discounted_return(reward, done, after, GAMMA)
    through_limit = release_errors.recorded_return(reward, ends(), GAMMA)
    stopped = release_errors.recorded_return(reward, done, GAMMA)
    for returns, kept in ((through_batch, ~done), (through_limit, ~done), (stopped, done | ~done)):
        assert abs(hindsight(returns, done, kept) - expected) > 0.04


def test_errors_by_hand():
    predicted = np.array([[3.0, 1.0, 5.0, 7.0]])
    target = np.array([[2.0, -4.0, 0.0, 1.0]])
    kept = np.array([[True, True, True, False]])
    # A target of zero is left out, as a pair after which an episode ended is.
    assert release_errors.returns_error(predicted, target, kept) == ((1 / 2 + 5 / 4) / 2, 2)
    assert release_errors.gae_error(predicted, target, kept) == ((1 / 2 + 25 / 4) / 2, 2)
    error, pairs = release_errors.returns_error(predicted, 0 * target, kept)
    assert np.isnan(error)
    assert pairs == 0
