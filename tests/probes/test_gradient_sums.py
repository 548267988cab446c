"""Pooled sufficient statistics give the estimates that training would compute, to the rounding of float32 values."""

import numpy as np
import pytest
import torch

from dpg.agent import gaussian, networks
from dpg.agent.snapshot import Snapshot
from dpg.learning.batch import estimate_values
from dpg.probes.gradient_sums import (
    GradientMoments,
    GradientSums,
    GramSums,
    gradient_noise,
    moments,
    noise_scale,
    pool,
)
from dpg.probes.stream_scores import StreamScores, prefixes
from dpg.streams.rollout import Streams


@pytest.fixture
def snapshot(make_population, make_recipe):
    recipe = make_recipe("ppo_m", common={"timesteps": 12})
    return Snapshot(0, recipe, make_population(1))


@pytest.fixture
def streams(make_streams):
    return make_streams(3, 12, terminated=((0, 4), (2, 9)), truncated=((1, 6),))


def reduce_streams(snapshot: Snapshot, streams: Streams, sizes: tuple[int, ...], first_stream: int = 0):
    """What estimates of each size make of these streams, which begin with `first_stream` of their set."""
    num_streams, timesteps = streams.reward.shape
    scores = StreamScores.of(snapshot, streams)
    each = scores.per_stream()
    return scores.pooled(prefixes(sizes, timesteps, first_stream, num_streams), each), GramSums.of(each)


def surrogate_gradient(snapshot: Snapshot, parts: list[Streams]) -> np.ndarray:
    """What training computes, the slow way: autograd of mean(rho A_hat) at rho = 1, in float64."""
    state, recipe = snapshot.state, snapshot.recipe
    obs, action, advantage = [], [], []
    for part in parts:
        estimates = estimate_values(state, part, recipe.common, recipe.config)
        advantage.append(estimates.advantage(recipe.common).ravel())
        obs.append(state.normalize_obs(part.obs.reshape(1, -1, part.obs.shape[-1]))[0])
        action.append(part.action.reshape(-1, part.action.shape[-1]))
    pooled = np.concatenate(advantage)
    normalized = torch.from_numpy((pooled - pooled.mean()) / pooled.std())
    theta = torch.from_numpy(state.policy[0].astype(np.float64)).requires_grad_()
    arrays = state.architecture.policy_layout.unflatten(theta)
    mean = networks.mlp(arrays, torch.from_numpy(np.concatenate(obs).astype(np.float64)), "tanh")
    log_prob = gaussian.log_prob(mean, arrays["log_std"], torch.from_numpy(np.concatenate(action)).double())
    ratio = torch.exp(log_prob - log_prob.detach())
    (gradient,) = torch.autograd.grad((ratio * normalized).mean(), theta)
    return gradient.numpy()


def test_whole_streams_pool_to_the_surrogates_gradient(snapshot, streams):
    sums, _ = reduce_streams(snapshot, streams, (12, 24, 36))
    for row, count in enumerate((1, 2, 3)):
        parts = [stream(streams, index) for index in range(count)]
        np.testing.assert_allclose(sums.gradient()[row], surrogate_gradient(snapshot, parts), rtol=1e-5, atol=1e-7)


def test_a_head_is_the_estimate_of_the_stream_cut_there(snapshot, streams):
    """GAE is computed again at the cut: not the whole stream's advantages with the rest left out."""
    for size in (3, 5, 9):
        sums, _ = reduce_streams(snapshot, streams, (size,))
        cut = stream(streams, 0).head(size)
        np.testing.assert_allclose(sums.gradient()[0], surrogate_gradient(snapshot, [cut]), rtol=1e-5, atol=1e-7)


def test_shards_of_the_streams_add_up(snapshot, streams):
    whole, whole_products = reduce_streams(snapshot, streams, (5, 12, 36))
    parts = [reduce_streams(snapshot, stream(streams, index), (5, 12, 36), first_stream=index) for index in range(3)]
    total = parts[0][0] + parts[1][0] + parts[2][0]
    for name, ours, theirs in zip(GradientSums._fields, total, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5, err_msg=name)
    products = parts[0][1] + parts[1][1] + parts[2][1]
    for name, ours, theirs in zip(GramSums._fields, products, whole_products, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5, err_msg=name)
    without = total - parts[0][0], products - parts[0][1]
    for ours, theirs in zip((*without[0], *without[1]), (*pool(parts[1:])[0], *pool(parts[1:])[1]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_episodes_are_counted_where_they_end(snapshot, streams):
    sums, _ = reduce_streams(snapshot, streams, (4, 5, 12, 36))
    np.testing.assert_array_equal(sums.episodes, [0, 1, 1, 3])
    np.testing.assert_array_equal(sums.pairs, [4, 5, 12, 36])


def test_advantages_that_do_not_vary_give_a_zero_gradient():
    flat = GradientSums(*(np.array([value]) for value in (4.0, 1.0, 8.0, 16.0)), np.ones((1, 3)), 2 * np.ones((1, 3)))
    np.testing.assert_array_equal(flat.gradient(), np.zeros((1, 3)))
    assert np.isnan(gradient_noise(flat, GramSums(2, np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2, 3))))).all()


def test_spread_is_unbiased_on_gradients_with_known_moments():
    """|g|^2 = 4 and trace = 30 by construction; over 400 trials of 8 streams both means lie within 4 standard errors.

    Two-sided false-alarm rate 6e-5 each; seeds are fixed.
    """
    rng = np.random.default_rng(0)
    dimensions, streams, pairs = 30, 8, 10
    truth = np.zeros(dimensions)
    truth[0] = 2.0
    found = [gradient_noise(*part_of(truth + rng.standard_normal((streams, dimensions)), pairs)) for _ in range(400)]
    squared, trace, _ = np.array(found).T
    for values, expected in ((squared, 4.0), (trace, 30.0)):
        assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(len(values))
    # Without the correction the squared norm would be too large by trace / streams = 3.75.
    biased = squared + trace / streams
    assert biased.mean() - 4.0 > 10 * biased.std() / np.sqrt(len(biased))


def part_of(gradients: np.ndarray, pairs: int = 10) -> GradientMoments:
    """Streams of these gradients, with mu = 0 and sigma = 1 in each, so that a stream's gradient is G / n."""
    count = len(gradients)
    zeros, own = np.zeros(count), np.full(count, float(pairs))
    return moments(GradientSums(own, zeros, zeros, own, np.zeros_like(gradients), pairs * gradients))


def test_the_trace_is_that_of_each_streams_influence(snapshot, streams):
    """psi_k written out from the advantages and scores of three streams; without q_k it is another number."""
    (sums, products), each = reduce_streams(snapshot, streams, (36,)), StreamScores.of(snapshot, streams).per_stream()
    mu, sigma, g = sums.mean[0], sums.std[0], sums.gradient()[0]
    own = (each.weighted_score - mu * each.score) / (12 * sigma)
    q = (each.advantage_squared - 2 * mu * each.advantage + 12 * mu**2) / (12 * sigma**2)
    psi = own - g - g * (q[:, None] - 1) / 2
    assert gradient_noise(sums, products).trace == pytest.approx((psi**2).sum() / 2)
    assert ((own - g) ** 2).sum() / 2 != pytest.approx((psi**2).sum() / 2, rel=0.01)


@pytest.mark.parametrize("signal", [0.0, 1.0, 16.0])
def test_the_noise_scale_lies_in_its_interval(signal):
    """trace / |g|^2 of 50 streams in 10 groups, N |g|^2 / trace = 0, 1 and 16; nominal 95 %, 100 trials.

    Coverage is 94 to 99.7 %; fewer than 86 of 100 has a chance of one in 1,000. Without signal the interval has no
    upper end but by chance; with much it has one.
    """
    rng = np.random.default_rng(0)
    mean = rng.standard_normal(60)
    mean *= np.sqrt(signal * 60 / 50) / np.linalg.norm(mean)
    truth = 50 / signal if signal else np.inf
    covered = bounded = 0
    for _ in range(100):
        gradients = mean + rng.standard_normal((50, 60))
        found = noise_scale([part_of(group) for group in np.array_split(gradients, 10)], 0.95)
        covered += found.low <= truth <= (np.inf if np.isnan(found.high) else found.high)
        bounded += np.isfinite(found.high)
        assert np.isnan(found.mean) or found.low <= found.mean
    assert covered >= 86
    assert bounded <= 6 if signal == 0 else bounded >= 60


def test_fewer_than_three_groups_have_no_interval_of_the_noise_scale():
    found = noise_scale([part_of(np.array([[1.0, 0.1], [1.0, -0.1]])) for _ in range(2)], 0.95)
    assert found.mean > 0
    assert np.isnan([found.low, found.high]).all()


def stream(streams: Streams, index: int) -> Streams:
    own = streams.end_at[:, 0] == index
    fields = ("obs", "action", "reward", "terminated", "truncated")
    return Streams(
        *(getattr(streams, name)[index : index + 1] for name in fields),
        end_obs=streams.end_obs[own],
        end_at=streams.end_at[own] * [0, 1],
    )
