"""Returns and advantages on streams whose answers are known."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dpg.streams import advantages

GAMMA, LAMBDA = 0.9, 0.8


def random_stream(seed: int, length: int = 30) -> dict[str, np.ndarray]:
    """Two streams with values, some terminations and some truncations."""
    rng = np.random.default_rng(seed)
    terminated = rng.random((2, length)) < 0.1
    truncated = ~terminated & (rng.random((2, length)) < 0.1)
    value = rng.standard_normal((2, length))
    next_value = np.concatenate([value[:, 1:], rng.standard_normal((2, 1))], axis=1)
    next_value = np.where(truncated, rng.standard_normal((2, length)), next_value)  # the value at the lost observation
    return {
        "reward": rng.standard_normal((2, length)),
        "value": value,
        "next_value": np.where(terminated, 0.0, next_value),
        "done": terminated | truncated,
    }


def td_error(stream: dict[str, np.ndarray]) -> np.ndarray:
    return stream["reward"] + GAMMA * stream["next_value"] - stream["value"]


def test_gae_at_lambda_zero_is_the_td_error():
    stream = random_stream(0)
    np.testing.assert_allclose(advantages.gae(**stream, gamma=GAMMA, gae_lambda=0.0), td_error(stream))


def test_gae_at_lambda_one_is_the_discounted_return_minus_the_value():
    stream = random_stream(1)
    return_ = advantages.discounted_return(stream["reward"], stream["done"], stream["next_value"], GAMMA)
    found = advantages.gae(**stream, gamma=GAMMA, gae_lambda=1.0)
    np.testing.assert_allclose(found, return_ - stream["value"], atol=1e-12)


def test_gae_is_the_discounted_sum_of_td_errors_to_the_end_of_the_episode():
    stream = random_stream(2)
    delta = td_error(stream)
    expected = np.zeros_like(delta)
    for row in range(2):
        for t in range(delta.shape[1]):
            for step in range(t, delta.shape[1]):
                expected[row, t] += (GAMMA * LAMBDA) ** (step - t) * delta[row, step]
                if stream["done"][row, step]:
                    break
    np.testing.assert_allclose(advantages.gae(**stream, gamma=GAMMA, gae_lambda=LAMBDA), expected, atol=1e-12)


# Worked by hand, gamma = lambda = 1/2. Pair 1 terminates, pair 3 is truncated where the value is 8, pair 4 is cut where
# it is 2.
# delta = [2 + 3/2 - 1, 1 - 3, 0 + 4/2 - 2, 3 + 8/2 - 4, 1 + 2/2 - 6] = [2.5, -2, 0, 3, -4]
# A_4 = -4; A_3 = 3; A_2 = 0 + 3/4; A_1 = -2; A_0 = 2.5 - 2/4.
GOLDEN = {
    "reward": np.array([2.0, 1.0, 0.0, 3.0, 1.0]),
    "value": np.array([1.0, 3.0, 2.0, 4.0, 6.0]),
    "next_value": np.array([3.0, 0.0, 4.0, 8.0, 2.0]),
    "done": np.array([False, True, False, True, False]),
}
GOLDEN_ADVANTAGE = [2.0, -2.0, 0.75, 3.0, -4.0]


def gae_that_runs_on(reward, value, next_value, done, gamma, gae_lambda):
    """A common fault: what follows an episode's end leaks into the episode."""
    return advantages.gae(reward, value, next_value, np.zeros_like(done), gamma, gae_lambda)


def test_gae_of_a_stream_worked_by_hand():
    np.testing.assert_allclose(advantages.gae(**GOLDEN, gamma=0.5, gae_lambda=0.5), GOLDEN_ADVANTAGE)
    wrong = gae_that_runs_on(**GOLDEN, gamma=0.5, gae_lambda=0.5)
    assert wrong[3] == 3 - 1  # the next episode's -4 came in with weight 1/4
    assert not np.allclose(wrong[:4], GOLDEN_ADVANTAGE[:4])


def test_discounted_return_of_the_same_stream_worked_by_hand():
    # R_4 = 1 + 2/2; R_3 = 3 + 8/2; R_2 = 7/2; R_1 = 1; R_0 = 2 + 1/2
    found = advantages.discounted_return(GOLDEN["reward"], GOLDEN["done"], GOLDEN["next_value"], 0.5)
    np.testing.assert_allclose(found, [2.5, 1.0, 3.5, 7.0, 2.0])


def test_a_constant_reward_is_worth_one_over_one_minus_gamma():
    """With that value the recursion is at its fixed point: every return is 1 / (1 - gamma), every advantage 0."""
    worth = 1 / (1 - GAMMA)
    reward, done, value = np.ones(50), np.zeros(50, bool), np.full(50, worth)
    np.testing.assert_allclose(advantages.discounted_return(reward, done, value, GAMMA), value)
    np.testing.assert_allclose(advantages.gae(reward, value, value, done, GAMMA, LAMBDA), np.zeros(50), atol=1e-12)
    # Against a value of zero every TD error is 1, and the advantage rises to 1 / (1 - gamma lambda) away from the cut.
    zero = np.zeros(50)
    found = advantages.gae(reward, zero, zero, done, GAMMA, LAMBDA)
    left = np.arange(50, 0, -1)
    np.testing.assert_allclose(found, (1 - (GAMMA * LAMBDA) ** left) / (1 - GAMMA * LAMBDA))


def test_return_so_far_restarts_after_an_episode():
    reward = np.array([[1.0, 2.0, 4.0, 8.0]])
    done = np.array([[False, True, False, False]])
    # 1; 1/2 + 2; restart: 4; 4/2 + 8
    np.testing.assert_allclose(advantages.return_so_far(reward, done, 0.5), [[1.0, 2.5, 4.0, 10.0]])


@given(
    arrays.arrays(np.int8, st.tuples(st.integers(1, 2), st.integers(1, 15)), elements=st.integers(0, 4)),
    st.integers(0, 5),
)
def test_a_return_is_known_after_a_termination_or_enough_further_pairs(codes, steps):
    """Codes 3 and 4 are a termination and a truncation. Against a walk forward from every pair."""
    terminated, done = codes == 3, codes >= 3
    found = advantages.return_is_known(terminated, done, steps)
    for row, t in np.ndindex(codes.shape):
        end = t
        while end < codes.shape[1] - 1 and not done[row, end]:
            end += 1
        assert found[row, t] == (terminated[row, end] or end - t >= steps)


def test_the_horizon_leaves_under_one_percent():
    assert advantages.horizon(0.99) == 459  # 0.99^458 = 0.01002, 0.99^459 = 0.00992
    assert advantages.horizon(0.0) == 1
    for gamma in (0.5, 0.9, 0.995):
        assert gamma ** advantages.horizon(gamma) <= 0.01 < gamma ** (advantages.horizon(gamma) - 1)
