"""The covariance of one stream's gradient in closed form, and the cosines that it predicts.

A stream's states, actions, temporal differences, advantages and scores are polynomials of degree two at most in its
standard normal noise z. A stream's gradient is a sum of products of two of them, so that its covariance is a sum of
joint moments of four quadratic functions of z, which follow exactly from cumulants.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dpg.numerics.vectors import cosine
from dpg.probes.known_answers import forms
from dpg.probes.known_answers.closed_forms import ClosedLoop, StateForm
from dpg.probes.known_answers.forms import Form, Gaussian

DRAWS = 50_000


def stack(
    loop: ClosedLoop,
    value: StateForm,
    gamma: float,
    gae_lambda: float,
    pairs: int,
    baseline: StateForm | None = None,
) -> tuple[Float[np.ndarray, "T D n1 n1"], Float[np.ndarray, "T n1 n1"]]:
    """Every score and advantage of a stream of `pairs` pairs in one episode, cut there and bootstrapped by `value`.

    They are functions of z = (initial noise, then action and state noise by step); entry (t, d) of the scores is
    component d of grad log pi at pair t, in the order of the policy's layout.

    With lambda 1 the advantage is Q(s, a) - V(s), or Q(s, a) minus the `baseline`, if there is one.
    """
    o, a = loop.obs_dim, loop.action_dim
    size = o + pairs * (a + o)
    std = np.exp(loop.policy.log_std)
    state = forms.affine(np.diag(loop.task.initial_std) @ np.eye(o, size), loop.task.initial_mean)
    deltas: list[Form] = []
    scores: list[np.ndarray] = []
    shifts: list[Form] = []
    for t in range(pairs):
        start = o + t * (a + o)
        unit_noise = np.eye(a, size + 1, start)
        pair = loop.mean_pair @ state
        pair[o : o + a] += std[:, None] * unit_noise
        following = loop.mean_step @ pair
        following[:o] += np.diag(loop.task.noise_std) @ np.eye(o, size + 1, start + a)
        scores.append(_score(state, unit_noise, std))
        reward = forms.substitute(loop.reward, pair)
        shifts.append(forms.substitute(value - (value if baseline is None else baseline), state))
        deltas.append(reward + gamma * forms.substitute(value, following) - forms.substitute(value, state))
        state = following
    advantage = deltas[::-1]
    for index in range(1, pairs):
        advantage[index] = advantage[index] + gamma * gae_lambda * advantage[index - 1]
    return np.stack(scores), np.stack(advantage[::-1]) + np.stack(shifts)


def _score(
    state: Float[np.ndarray, "O1 n1"], unit_noise: Float[np.ndarray, "A n1"], std: Float[np.ndarray, " A"]
) -> Float[np.ndarray, "D n1 n1"]:
    """eps_i / std_i times each of (s, 1), and eps_i^2 - 1, as symmetric forms."""
    product = np.einsum("im,jn->ijmn", unit_noise / std[:, None], state)
    mean = (product + np.swapaxes(product, -1, -2)) / 2
    log_std = np.einsum("im,in->imn", unit_noise, unit_noise)
    log_std[:, -1, -1] -= 1
    return np.concatenate([mean.reshape(-1, *mean.shape[2:]), log_std])


@dataclass(frozen=True)
class StreamNoise:
    """For each stream of a pooled gradient: expectation and covariance, and the advantages' mean and deviation.

    The gradient from N streams has the covariance of one divided by N, as N grows. `mean_std` is the deviation of a
    stream's mean advantage.
    """

    gradient: Float[np.ndarray, " D"]
    covariance: Float[np.ndarray, "D D"]
    mean: float
    std: float
    mean_std: float


def stream_noise(score: Float[np.ndarray, "T D n1 n1"], advantage: Float[np.ndarray, "T n1 n1"]) -> StreamNoise:
    """The covariance of g = (G - mu S) / (n sigma) by the delta method; mu and sigma are from the same streams.

    A stream adds x = mean_t score_t (A_t - mu) / sigma, and changes sigma by its q = mean_t (A_t - mu)^2 / sigma^2: to
    first order the covariance is that of x - g (q - 1) / 2. The change of mu has a second-order effect, as scores have
    mean zero. Both are means of products p_t (A_t - mu): p_t is the score or, for q, A_t - E A_t, the rest of A_t - mu
    being a number.
    """
    pairs, size = len(advantage), advantage.shape[-1] - 1
    z = Gaussian(np.zeros(size), np.eye(size))
    means = np.array([forms.expectation(form, z) for form in advantage])
    mean = float(means.mean())
    square = float(np.mean([forms.product_expectation(form, form, z) for form in advantage]))
    std = np.sqrt(square - mean**2)
    centred = advantage - forms.constant(mean, size)
    deviations = advantage - np.stack([forms.constant(float(each), size) for each in means])
    factors = np.concatenate([score, deviations[:, None]], axis=1)
    expected = np.mean([_covariances(p, a) for p, a in zip(factors, centred, strict=True)], axis=0)
    gradient = expected[:-1] / std
    # Of mean_t p_t (A_t - mu), the last but for what is linear in A_t.
    moments = np.zeros((len(expected), len(expected)))
    rest = np.zeros(len(expected))
    linear = 0.0
    for t in range(pairs):
        for u in range(pairs):
            p, a, q, b = factors[t], centred[t], factors[u], centred[u]
            shift = means[u] - mean
            moments += fourth_moments(p, a, q, b)
            rest += shift * (_third(p, a, q[-1:])[:, 0] + (means[t] - mean) * _covariances(p, b))
            linear += (means[t] - mean) * shift * float(_covariances(q[-1:], a)[0])
    covariance = moments / pairs**2 - np.outer(expected, expected)
    covariance[-1] += rest / pairs**2
    covariance[:, -1] += rest / pairs**2
    covariance[-1, -1] += linear / pairs**2
    chain = np.column_stack([np.eye(len(gradient)) / std, -gradient / (2 * std**2)])
    whole = advantage.mean(axis=0)
    mean_std = np.sqrt(forms.product_expectation(whole, whole, z) - mean**2)
    return StreamNoise(gradient, chain @ covariance @ chain.T, mean, float(std), float(mean_std))


def _covariances(p: Float[np.ndarray, "D n1 n1"], a: Form) -> Float[np.ndarray, " D"]:
    """Cov(p_d(z), a(z)) for standard normal z."""
    return 2 * np.einsum("dij,ij->d", p[:, :-1, :-1], a[:-1, :-1]) + 4 * p[:, :-1, -1] @ a[:-1, -1]


def fourth_moments(
    p: Float[np.ndarray, "D n1 n1"], a: Form, q: Float[np.ndarray, "D n1 n1"], b: Form
) -> Float[np.ndarray, "D D"]:
    """E[p_d a q_e b] of standard normal z, for quadratic functions p_d and q_e of expectation zero.

    The sum over partitions of the four of products of joint cumulants; those with p or q alone vanish. The cumulants
    are derivatives at zero of log E exp(sum t_k Q_k) = tr-log and inverse of 1 - 2 sum t_k M_k (Magnus 1978).
    """
    mean_a, mean_b = (float(np.trace(form)) for form in (a, b))
    pq = 2 * np.einsum("dij,eij->de", p[:, :-1, :-1], q[:, :-1, :-1]) + 4 * p[:, :-1, -1] @ q[:, :-1, -1].T
    pairs = np.outer(_covariances(p, a), _covariances(q, b)) + np.outer(_covariances(p, b), _covariances(q, a))
    ab = float(_covariances(a[None], b)[0])
    singles = mean_a * _third(p, b, q) + mean_b * _third(p, a, q) + mean_a * mean_b * pq
    return _fourth(p, a, q, b) + pairs + ab * pq + singles


def _third(p: Float[np.ndarray, "D n1 n1"], a: Form, q: Float[np.ndarray, "E n1 n1"]) -> Float[np.ndarray, "D E"]:
    """Third joint cumulants of p_d, a, q_e: 8 tr(PAQ), and 2 u'Mv over the ways to choose the middle."""
    (pm, am, qm), (pv, av, qv) = _parts(p, a, q)
    curved = 8 * np.einsum("dij,eij->de", pm @ am, qm)
    return curved + 2 * (pv @ am @ qv.T + (pm @ av) @ qv.T + pv @ (qm @ av).T)


def _fourth(
    p: Float[np.ndarray, "D n1 n1"], a: Form, q: Float[np.ndarray, "D n1 n1"], b: Form
) -> Float[np.ndarray, "D D"]:
    """Fourth joint cumulants of p_d, a, q_e, b: 16 times the traces of the three cyclic orders, and 4 u'MNv."""
    (pm, am, qm, bm), (pv, av, qv, bv) = _parts(p, a, q, b)
    curved = 16 * np.einsum("dij,eij->de", bm @ pm @ am + pm @ am @ bm + am @ bm @ pm, qm)
    ends_pq = pv @ (am @ bm + bm @ am) @ qv.T
    ends_pa = pv @ (qm @ (bm @ av)).T + np.einsum("di,eij,j->de", pv @ bm, qm, av)
    ends_pb = pv @ (qm @ (am @ bv)).T + np.einsum("di,eij,j->de", pv @ am, qm, bv)
    ends_aq = (pm @ (bm @ av)) @ qv.T + (pm @ av) @ (qv @ bm).T
    ends_qb = (pm @ (am @ bv)) @ qv.T + (pm @ bv) @ (qv @ am).T
    ends_ab = (pm @ av) @ (qm @ bv).T + (pm @ bv) @ (qm @ av).T
    return curved + 4 * (ends_pq + ends_pa + ends_pb + ends_aq + ends_qb + ends_ab)


def _parts(*quadratics: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """M and b of each x'M x + b'x + c."""
    return [form[..., :-1, :-1] for form in quadratics], [2 * form[..., :-1, -1] for form in quadratics]


@dataclass(frozen=True)
class Cosines:
    """Mean cosines of R estimates with the true gradient and with each other: expectations and standard deviations."""

    to_true: float
    to_true_std: float
    among: float
    among_std: float


def expected_cosines(noise: StreamNoise, streams: int, repeats: int) -> Cosines:
    """Of `repeats` Gaussian estimates from `streams` streams each, with the exact expectation and covariance.

    Pooled estimates are Gaussian by the central limit theorem. The integrals over them use `DRAWS` fixed random nodes,
    with an error below one percent of the deviation of one estimate's cosine.
    """
    root = np.linalg.cholesky(noise.covariance / streams)
    nodes = np.random.default_rng(0).standard_normal((max(2, DRAWS // repeats), repeats, len(root)))
    estimates = noise.gradient + nodes @ root.T
    to_true = cosine(estimates, noise.gradient).mean(axis=1)
    unit = estimates / np.linalg.norm(estimates, axis=-1, keepdims=True)
    # The sum over all pairs is the squared length of the sum of unit vectors.
    among = (np.sum(unit.sum(axis=1) ** 2, axis=-1) - repeats) / (repeats * (repeats - 1))
    return Cosines(float(to_true.mean()), float(to_true.std()), float(among.mean()), float(among.std()))
