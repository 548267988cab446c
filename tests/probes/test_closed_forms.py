"""Closed forms against independent means: quadrature, finite differences, and a simulation in plain NumPy.

Where a test is statistical its docstring states the false-alarm rate; all seeds are fixed.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dpg.envs.linear_quadratic import TASK
from dpg.probes.gradient_sums import GradientSums, GramSums, gradient_noise
from dpg.probes.known_answers import closed_forms, forms, noise
from dpg.probes.known_answers.agents import GAE_LAMBDA, GAMMA, jacobian, known_agent
from dpg.probes.known_answers.closed_forms import ClosedLoop, LinearPolicy
from dpg.probes.known_answers.forms import Gaussian
from tests.probes import exact_objective

POLICY = LinearPolicy(np.array([[-0.3, -0.2, 0.1, 0.05], [0.1, -0.3, 0.2, -0.1]]), np.array([-0.7, -0.3]))
LOOP = ClosedLoop(TASK, POLICY)


def random_form(rng: np.random.Generator, *leading: int, size: int) -> np.ndarray:
    form = rng.standard_normal((*leading, size + 1, size + 1))
    return (form + np.swapaxes(form, -1, -2)) / 2


def quadrature(size: int, nodes: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights that integrate polynomials of degree 15 against a standard normal exactly."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    points = np.array(list(itertools.product(x, repeat=size)))
    weights = np.prod(list(itertools.product(w / w.sum(), repeat=size)), axis=1)
    return points, weights


def simulate(policy: LinearPolicy, state: np.ndarray, steps: int, seed: int = 0):
    """The task written out once more, in plain NumPy: states, actions, unit action noise and rewards by step."""
    rng = np.random.default_rng(seed)
    count, std = len(state), np.exp(policy.log_std)
    found: dict[str, list[np.ndarray]] = {"state": [], "eps": [], "reward": []}
    for _ in range(steps):
        eps = rng.standard_normal((count, 2))
        action = state @ policy.mean[:, :3].T + policy.mean[:, 3] + std * eps
        cost = np.einsum("ni,ij,nj->n", state, TASK.state_cost, state)
        cost += np.einsum("ni,ij,nj->n", action, TASK.action_cost, action)
        for name, value_ in (("state", state), ("eps", eps), ("reward", -cost)):
            found[name].append(value_)
        state = state @ TASK.dynamics.T + action @ TASK.control.T + TASK.noise_std * rng.standard_normal((count, 3))
    arrays = {name: np.stack(rows, axis=1) for name, rows in found.items()}
    return arrays["state"], arrays["eps"], arrays["reward"], state


def initial_states(count: int, seed: int = 1) -> np.ndarray:
    return TASK.initial_mean + TASK.initial_std * np.random.default_rng(seed).standard_normal((count, 3))


def test_moments_of_two_quadratic_functions_against_quadrature():
    rng = np.random.default_rng(0)
    p, q = random_form(rng, 2, size=3)
    root, mean = rng.standard_normal((3, 3)), rng.standard_normal(3)
    points, weights = quadrature(3)
    x = mean + points @ root.T
    gaussian = Gaussian(mean, root @ root.T)
    assert forms.expectation(p, gaussian) == pytest.approx(weights @ forms.evaluate(p, x))
    expected = weights @ (forms.evaluate(p, x) * forms.evaluate(q, x))
    assert forms.product_expectation(p, q, gaussian) == pytest.approx(expected)


def test_moments_of_four_quadratic_functions_against_quadrature():
    """All cumulants up to the fourth; without the linear parts they would be others."""
    rng = np.random.default_rng(1)
    p, q = random_form(rng, 2, 3, size=2)
    a, b = random_form(rng, 2, size=2)
    p[:, -1, -1] = -np.trace(p[:, :-1, :-1], axis1=1, axis2=2)
    q[:, -1, -1] = -np.trace(q[:, :-1, :-1], axis1=1, axis2=2)
    points, weights = quadrature(2)
    at = {name: np.stack([forms.evaluate(form, points) for form in both]) for name, both in (("p", p), ("q", q))}
    weighted = weights * forms.evaluate(a, points) * forms.evaluate(b, points)
    expected = np.einsum("dz,ez,z->de", at["p"], at["q"], weighted)
    np.testing.assert_allclose(noise.fourth_moments(p, a, q, b), expected, rtol=1e-10)
    flat = a.copy()
    flat[:-1, -1] = flat[-1, :-1] = 0
    assert not np.allclose(noise.fourth_moments(p, flat, q, b), expected, rtol=1e-2)


def test_the_value_function_is_its_own_bellman_backup():
    true = closed_forms.value_function(LOOP, GAMMA)
    backup = LOOP.over_actions(closed_forms.temporal_difference(LOOP, true, GAMMA))
    np.testing.assert_allclose(backup, 0, atol=1e-12)


@pytest.mark.parametrize("state", [(0.0, 0.0, 0.0), (2.0, -1.0, 1.0)])
def test_the_value_function_is_the_mean_discounted_return(state):
    """5,000 runs of 200 steps, 0.95^200 = 4e-5; 4 standard errors, false-alarm rate 6e-5 each."""
    _, _, reward, _ = simulate(POLICY, np.tile(state, (5000, 1)), 200)
    returns = reward @ GAMMA ** np.arange(200)
    error = returns.std() / np.sqrt(len(returns))
    true = forms.evaluate(closed_forms.value_function(LOOP, GAMMA), np.array([state]))[0]
    assert abs(returns.mean() - true) < 4 * error
    wrong = forms.evaluate(closed_forms.value_function(LOOP, 0.92), np.array([state]))[0]
    assert abs(returns.mean() - wrong) > 10 * error


def test_a_policy_whose_return_diverges_has_no_value_function():
    wild = replace(POLICY, mean=5 * np.eye(2, 4))
    with pytest.raises(ValueError, match="diverges"):
        closed_forms.value_function(ClosedLoop(TASK, wild), GAMMA)


def finite_differences(function, at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    units = step * np.eye(len(at))
    return np.array([(function(at + unit) - function(at - unit)) / (2 * step) for unit in units])


def test_the_gradient_of_the_objective_against_finite_differences():
    def objective(vector: np.ndarray) -> float:
        return exact_objective.objective(ClosedLoop(TASK, LinearPolicy(**POLICY.layout.unflatten(vector))), GAMMA)

    expected = finite_differences(objective, POLICY.layout.flatten({"mean": POLICY.mean, "log_std": POLICY.log_std}))
    np.testing.assert_allclose(exact_objective.objective_gradient(LOOP, GAMMA), expected, rtol=1e-6)
    # Without the weights gamma^t, as streams have it, it is another vector.
    true = closed_forms.value_function(LOOP, GAMMA)
    unweighted = closed_forms.stream_gradient(LOOP, true, GAMMA, 1.0, [200])
    cosine = unweighted @ expected / np.linalg.norm(unweighted) / np.linalg.norm(expected)
    assert cosine < 0.95


def test_the_undiscounted_return_of_an_episode_and_its_marginals():
    """20,000 episodes of 50 steps; 4 standard errors for return, means and variances: false-alarm rate 3e-4 in all."""
    states, _, reward, _ = simulate(POLICY, initial_states(20_000), 50)
    returns = reward.sum(axis=1)
    truth = closed_forms.episode_return(LOOP, 50)
    assert abs(returns.mean() - truth) < 4 * returns.std() / np.sqrt(len(returns))
    last = LOOP.marginals(50)[-1]
    deviation = states[:, -1] - last.mean
    assert np.all(np.abs(deviation.mean(axis=0)) < 4 * deviation.std(axis=0) / np.sqrt(len(deviation)))
    products = np.einsum("ni,nj->nij", deviation, deviation)
    error = products.std(axis=0) / np.sqrt(len(products))
    assert np.all(np.abs(products.mean(axis=0) - last.covariance) < 4 * error)


def some_values() -> dict[str, tuple[np.ndarray, float]]:
    """A value function and lambda for each baseline."""
    net = forms.constant(-15.0, 3)
    net[:3, 3] = net[3, :3] = (1.0, 0.3, -0.4)
    true = closed_forms.value_function(LOOP, GAMMA)
    return {"true": (true, GAE_LAMBDA), "net": (net, GAE_LAMBDA), "none": (forms.constant(0.0, 3), 1.0)}


def scored(
    policy: LinearPolicy, form: np.ndarray, gae_lambda: float, pairs: int, state: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and generalised advantages of simulated episodes that are cut after `pairs` pairs."""
    states, eps, reward, last = simulate(policy, state, pairs, seed)
    v = forms.evaluate(form, np.concatenate([states, last[:, None]], axis=1))
    advantage = np.zeros((len(state), pairs + 1))
    for t in range(pairs - 1, -1, -1):
        delta = reward[:, t] + GAMMA * v[:, t + 1] - v[:, t]
        advantage[:, t] = delta + GAMMA * gae_lambda * advantage[:, t + 1]
    extended = np.concatenate([states, np.ones((*states.shape[:2], 1))], axis=2)
    mean_score = (eps / np.exp(policy.log_std))[..., None] * extended[:, :, None]
    score = np.concatenate([mean_score.reshape(*states.shape[:2], -1), eps**2 - 1], axis=2)
    return score, advantage[:, :-1]


@pytest.mark.parametrize("baseline", ["true", "net", "none"])
def test_scores_and_advantages_of_streams_against_a_plain_simulation(baseline):
    """12 pairs with a truncation after 7, 40,000 streams: the gradient's 10 components by chi-squared, the advantages'
    first two moments by z. False-alarm rate 6e-5 each; without the discount the check fails."""
    form, gae_lambda = some_values()[baseline]
    count, lengths = 40_000, [7, 5]
    gradients, advantage = np.zeros((count, 10)), []
    for seed, length in enumerate(lengths):
        score, own = scored(POLICY, form, gae_lambda, length, initial_states(count, seed + 10), seed)
        gradients += np.einsum("ntd,nt->nd", score, own) / sum(lengths)
        advantage.append(own)

    def distance(truth: np.ndarray) -> float:
        gap = gradients.mean(axis=0) - truth
        return float(gap @ np.linalg.solve(np.cov(gradients.T) / count, gap))

    limit = stats.chi2.isf(6e-5, 10)
    assert distance(closed_forms.stream_gradient(LOOP, form, GAMMA, gae_lambda, lengths)) < limit
    assert distance(closed_forms.stream_gradient(LOOP, form, 1.0, gae_lambda, lengths)) > limit
    for own, length in zip(advantage, lengths, strict=True):
        moments = closed_forms.advantage_moments(LOOP, form, GAMMA, gae_lambda, length)
        for found, truth in zip((own, own**2), moments, strict=True):
            error = found.std(axis=0) / np.sqrt(count)
            assert np.all(np.abs(found.mean(axis=0) - truth) < 4 * error)


def simulated_sums(policy: LinearPolicy, form: np.ndarray, gae_lambda: float, pairs: int, count: int) -> GradientSums:
    """The sums of `count` streams of `pairs` pairs, an entry a stream, from the plain simulation."""
    score, advantage = scored(policy, form, gae_lambda, pairs, initial_states(count, 10))
    return GradientSums(
        np.full(count, float(pairs)),
        np.zeros(count),
        advantage.sum(axis=1),
        (advantage**2).sum(axis=1),
        score.sum(axis=1),
        np.einsum("ntd,nt->nd", score, advantage),
    )


def pooled(each: GradientSums, streams: int) -> GradientSums:
    """An entry for every `streams` streams."""
    return GradientSums(*(part.reshape(-1, streams, *part.shape[1:]).sum(axis=1) for part in each))


@pytest.mark.parametrize("baseline", ["true", "net", "none"])
def test_the_covariance_counts_that_mean_and_deviation_are_made_from_the_same_streams(baseline):
    """A stream's influence x - g (q - 1) / 2, simulated: 60,000 streams of 10 pairs, the trace and all of the matrix.

    4 standard errors for each of 55 elements and the trace, false-alarm rate 0.4 % in all for each baseline. With the
    deviation fixed the trace is 5 to 13 % larger: more than 4 standard errors away for the true value function.
    """
    form, gae_lambda = some_values()[baseline]
    found = noise.stream_noise(*noise.stack(LOOP, form, GAMMA, gae_lambda, 10))
    each = simulated_sums(POLICY, form, gae_lambda, 10, 60_000)
    x = (each.weighted_score - found.mean * each.score) / (10 * found.std)
    q = (each.advantage_squared - 2 * found.mean * each.advantage) / 10 / found.std**2 + (found.mean / found.std) ** 2
    psi = x - found.gradient * (1 + (q[:, None] - 1) / 2)
    products = np.einsum("ni,nj->nij", psi, psi)
    error = products.std(axis=0) / np.sqrt(len(psi))
    assert np.all(np.abs(products.mean(axis=0) - found.covariance) < 4 * error)

    def distance(influence: np.ndarray) -> float:
        squares = (influence**2).sum(axis=1)
        return float(squares.mean() - np.trace(found.covariance)) / (squares.std() / np.sqrt(len(squares)))

    assert abs(distance(psi)) < 4
    if baseline == "true":
        assert distance(x - found.gradient) > 4
    means = each.advantage / 10
    assert means.std() == pytest.approx(found.mean_std, rel=0.02)


def test_the_trace_of_long_streams_is_what_pooled_gradients_vary_by():
    """400 unions of 40 streams of 100 pairs: brute force against `spread`, within 15 %, 4 standard errors.

    With a deviation that is taken as fixed the trace is a third too large. False-alarm rate 1e-4.
    """
    agent = known_agent("true value function", 100)
    each = simulated_sums(agent.loop.policy, agent.value, agent.gae_lambda, 100, 16_000)
    chain = jacobian(agent.snapshot.state)
    each = each._replace(score=each.score @ chain, weighted_score=each.weighted_score @ chain)
    unions = pooled(each, 40)
    brute = 40 * float(np.trace(np.cov(unions.gradient().T)))
    found, fixed = [], []
    for index in range(100):
        own = each.rows(range(40 * index, 40 * (index + 1)))
        total = unions.rows([index])
        found.append(gradient_noise(total, GramSums.of(own)).trace)
        x = (own.weighted_score - total.mean[0] * own.score) / (100 * total.std[0])
        fixed.append(float(((x - x.mean(axis=0)) ** 2).sum()) / 39)
    assert np.mean(found) == pytest.approx(brute, rel=0.15)
    assert np.mean(fixed) > 1.15 * brute


@pytest.mark.parametrize("baseline", ["true", "net", "none"])
def test_moments_by_recursion_are_those_of_the_stacked_noise(baseline):
    """Two derivations that share no formula: Stein's lemma by marginals, and cumulants of quadratic forms."""
    form, gae_lambda = some_values()[baseline]
    found = noise.stream_noise(*noise.stack(LOOP, form, GAMMA, gae_lambda, 8))
    mean, square = closed_forms.advantage_moments(LOOP, form, GAMMA, gae_lambda, 8)
    assert found.mean == pytest.approx(mean.mean(), abs=1e-10)
    assert found.std == pytest.approx(np.sqrt(square.mean() - mean.mean() ** 2))
    expected = closed_forms.stream_gradient(LOOP, form, GAMMA, gae_lambda, [8])
    np.testing.assert_allclose(found.gradient * found.std, expected, atol=1e-12)


def test_neither_lambda_nor_a_cut_biases_advantages_from_the_true_value_function():
    true = closed_forms.value_function(LOOP, GAMMA)
    gradients = [closed_forms.stream_gradient(LOOP, true, GAMMA, gae_lambda, [20]) for gae_lambda in (0.0, 0.9, 1.0)]
    np.testing.assert_allclose(gradients[1:], [gradients[0]] * 2, atol=1e-12)
    net, _ = some_values()["net"]
    biased = [closed_forms.stream_gradient(LOOP, net, GAMMA, gae_lambda, [20]) for gae_lambda in (0.9, 1.0)]
    assert not np.allclose(biased[0], gradients[0], rtol=0.05)
    assert not np.allclose(biased[1], gradients[0], rtol=0.05)
