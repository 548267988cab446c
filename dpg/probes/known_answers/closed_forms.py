"""Closed forms of LinearQuadratic-v0 under a linear Gaussian policy a ~ N(K s + k, diag(exp(2 log_std))).

With linear dynamics, quadratic rewards, and any quadratic function of the state as the value function (the true one,
zero, or a linear net), temporal differences, generalised advantages and returns are quadratic functions of Gaussian
variables. Forms over states act on (s, 1), forms over pairs on (s, a, 1).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.linalg import block_diag, solve_discrete_lyapunov

from dpg.envs.linear_quadratic import LinearQuadratic
from dpg.numerics.vectors import Layout
from dpg.probes.known_answers import forms
from dpg.probes.known_answers.forms import Affine, Gaussian

StateForm = Float[np.ndarray, "O1 O1"]
PairForm = Float[np.ndarray, "OA1 OA1"]


@dataclass(frozen=True)
class LinearPolicy:
    """K and k as one map (A, O + 1) of raw observations (s, 1), and the log standard deviations (A,)."""

    mean: Float[np.ndarray, "A O1"]
    log_std: Float[np.ndarray, " A"]

    @property
    def layout(self) -> Layout:
        """The layout of a gradient with respect to the policy in a vector of D numbers."""
        return Layout((("mean", self.mean.shape), ("log_std", self.log_std.shape)))

    @property
    def covariance(self) -> Float[np.ndarray, "A A"]:
        """Of the action, given the state."""
        return np.diag(np.exp(2 * self.log_std))


@dataclass(frozen=True)
class ClosedLoop:
    """A task under a policy: the maps from which everything else is computed."""

    task: LinearQuadratic
    policy: LinearPolicy

    @cached_property
    def mean_pair(self) -> Affine:
        """s -> (s, mean action)."""
        size = self.obs_dim
        return np.vstack([np.eye(size, size + 1), self.policy.mean, np.eye(1, size + 1, size)])

    @cached_property
    def mean_step(self) -> Affine:
        """(s, a) -> mean next state."""
        return forms.affine(np.hstack([self.task.dynamics, self.task.control]), np.zeros(self.obs_dim))

    @cached_property
    def noise(self) -> Float[np.ndarray, "O O"]:
        """Covariance of the next state, given the pair."""
        return np.diag(self.task.noise_std**2)

    @cached_property
    def loop_noise(self) -> Float[np.ndarray, "O O"]:
        """Covariance of the next state, given the state: action noise included."""
        return self.noise + self.task.control @ self.policy.covariance @ self.task.control.T

    @cached_property
    def reward(self) -> PairForm:
        """Over pairs."""
        return -block_diag(self.task.state_cost, self.task.action_cost, np.zeros((1, 1)))

    @property
    def obs_dim(self) -> int:
        """O."""
        return len(self.task.dynamics)

    @property
    def action_dim(self) -> int:
        """A."""
        return self.task.control.shape[1]

    @property
    def initial(self) -> Gaussian:
        """The distribution of s_0."""
        return Gaussian(self.task.initial_mean, np.diag(self.task.initial_std**2))

    def over_actions(self, pair_form: PairForm) -> StateForm:
        """The form over states s -> E_a q(s, a)."""
        covariance = block_diag(np.zeros((self.obs_dim, self.obs_dim)), self.policy.covariance)
        return forms.substitute(forms.smooth(pair_form, covariance), self.mean_pair)

    def over_next_states(self, state_form: StateForm) -> PairForm:
        """The form over pairs (s, a) -> E q(s')."""
        return forms.substitute(forms.smooth(state_form, self.noise), self.mean_step)

    def of_pairs(self, state_form: StateForm) -> PairForm:
        """The form over pairs (s, a) -> q(s)."""
        state = np.eye(self.obs_dim, self.obs_dim + self.action_dim)
        return forms.substitute(state_form, forms.affine(state, np.zeros(self.obs_dim)))

    def marginals(self, steps: int) -> list[Gaussian]:
        """The distributions of s_0, ..., s_{steps-1} in an episode."""
        transition = self.mean_step @ self.mean_pair
        result = [self.initial]
        for _ in range(steps - 1):
            mean = (transition @ np.append(result[-1].mean, 1.0))[:-1]
            matrix = transition[:-1, :-1]
            result.append(Gaussian(mean, matrix @ result[-1].covariance @ matrix.T + self.loop_noise))
        return result


def value_function(loop: ClosedLoop, gamma: float) -> StateForm:
    """V(s) = E sum_t gamma^t r_t from s, without end: V = E_a[r + gamma E V(s')], a discrete Lyapunov equation.

    Raises:
        ValueError: the discounted sum diverges.
    """
    transition = np.sqrt(gamma) * loop.mean_step @ loop.mean_pair
    if np.abs(np.linalg.eigvals(transition)).max() >= 1:
        raise ValueError("this policy's discounted return diverges")
    # Solve without transition noise, which then costs gamma tr(P W) at every step.
    quiet = np.asarray(solve_discrete_lyapunov(transition.T, loop.over_actions(loop.reward)))
    noise_reward = float(np.sum(quiet[:-1, :-1] * loop.loop_noise))
    return quiet + forms.constant(gamma * noise_reward / (1 - gamma), loop.obs_dim)


def temporal_difference(loop: ClosedLoop, value: StateForm, gamma: float) -> PairForm:
    """Over pairs: E[delta | s, a] = r + gamma E V(s') - V(s). With the true V it is the advantage A(s, a)."""
    return loop.reward + gamma * loop.over_next_states(value) - loop.of_pairs(value)


def advantages(loop: ClosedLoop, value: StateForm, gamma: float, gae_lambda: float, steps: int) -> list[PairForm]:
    """Over pairs: E[GAE | s, a] where 1, 2, ..., `steps` pairs remain before the cut, which `value` bootstraps.

    With the true value function it is A(s, a) for any number of remaining pairs: neither lambda nor the cut adds a
    bias. With value zero and lambda 1 it is the expected discounted return of the remaining pairs.
    """
    delta = temporal_difference(loop, value, gamma)
    result = [delta]
    for _ in range(steps - 1):
        result.append(delta + gamma * gae_lambda * loop.over_next_states(loop.over_actions(result[-1])))
    return result


def score_expectation(loop: ClosedLoop, pair_form: PairForm, state: Gaussian) -> Float[np.ndarray, " D"]:
    """E[grad log pi(a|s) q(s, a)] with s from `state`, in the policy's layout.

    Stein's lemma: E_a[(a - mean) / std^2 q] is E_a dq/da, an affine function of the state, and
    E_a[(((a - mean) / std)^2 - 1) q] is std^2 d^2q/da^2, a constant.
    """
    actions = slice(loop.obs_dim, loop.obs_dim + loop.action_dim)
    slope = 2 * pair_form[actions] @ loop.mean_pair
    curvature = 2 * np.diagonal(pair_form[actions, actions])
    arrays = {
        "mean": slope @ state.second_moment,
        "log_std": np.diagonal(loop.policy.covariance) * curvature,
    }
    return loop.policy.layout.flatten(arrays)


def blocks(pairs: int, limit: int) -> list[int]:
    """Lengths of the episodes in a stream of `pairs` pairs; the last may be cut."""
    return [limit] * (pairs // limit) + [pairs % limit] * (pairs % limit > 0)


def stream_gradient(
    loop: ClosedLoop, value: StateForm, gamma: float, gae_lambda: float, episodes: list[int]
) -> Float[np.ndarray, " D"]:
    """E[mean over a stream's pairs of grad log pi(a|s) GAE], the stream's episodes having these lengths."""
    marginals = loop.marginals(max(episodes))
    by_remaining = advantages(loop, value, gamma, gae_lambda, max(episodes))
    terms = [
        score_expectation(loop, by_remaining[length - 1 - t], marginals[t])
        for length in episodes
        for t in range(length)
    ]
    return np.mean(terms, axis=0)


def episode_return(loop: ClosedLoop, steps: int) -> float:
    """The expected undiscounted return of an episode of `steps` steps."""
    reward = loop.over_actions(loop.reward)
    return sum(forms.expectation(reward, state) for state in loop.marginals(steps))


def advantage_moments(
    loop: ClosedLoop, value: StateForm, gamma: float, gae_lambda: float, length: int
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """E A_t and E A_t^2 of GAE at every pair of an episode cut after `length`, backwards: A_t = delta_t + c A_{t+1}.

    E A_t^2 = E delta_t^2 + 2 c E[delta_t E(A_{t+1} | s_{t+1})] + c^2 E A_{t+1}^2, with c = gamma lambda. The variables
    of one step are (s, action noise, state noise).
    """
    carry = gamma * gae_lambda
    o, n = loop.obs_dim, 2 * loop.obs_dim + loop.action_dim
    action_noise = np.zeros((o + loop.action_dim + 1, n + 1))
    action_noise[o : o + loop.action_dim, o : o + loop.action_dim] = np.eye(loop.action_dim)
    now = forms.affine(np.eye(o, n), np.zeros(o))
    pair = loop.mean_pair @ now + action_noise
    following = loop.mean_step @ pair
    following[:o, n - o : n] += np.eye(o)
    delta = (
        forms.substitute(loop.reward, pair) + gamma * forms.substitute(value, following) - forms.substitute(value, now)
    )
    remaining = [loop.over_actions(form) for form in advantages(loop, value, gamma, gae_lambda, length)]
    mean, square = np.empty(length), np.empty(length)
    marginals = loop.marginals(length)
    for t in range(length - 1, -1, -1):
        state = marginals[t]
        step = Gaussian(
            np.concatenate([state.mean, np.zeros(n - o)]),
            block_diag(state.covariance, loop.policy.covariance, loop.noise),
        )
        mean[t] = forms.expectation(remaining[length - 1 - t], state)
        square[t] = forms.product_expectation(delta, delta, step)
        if t < length - 1:
            later = forms.substitute(remaining[length - 2 - t], following)
            square[t] += 2 * carry * forms.product_expectation(delta, later, step) + carry**2 * square[t + 1]
    return mean, square


def explained_variance(loop: ClosedLoop, predicted: StateForm, gamma: float, scored: list[tuple[int, int]]) -> float:
    """1 - var(y - V) / var(y) of a state form V as the prediction of the discounted returns y that were recorded.

    The pairs are the first `count` of every episode of `scored`, (length recorded, count); a return stops where the
    recorded episode does.
    """
    zero = forms.constant(0.0, loop.obs_dim)
    sums = np.zeros(6)
    for length, count in scored:
        returns = advantage_moments(loop, zero, gamma, 1.0, length)
        expected = [loop.over_actions(form) for form in advantages(loop, zero, gamma, 1.0, length)]
        for t, state in enumerate(loop.marginals(count)):
            product = forms.product_expectation(expected[length - 1 - t], predicted, state)
            square = forms.product_expectation(predicted, predicted, state)
            mean = forms.expectation(predicted, state)
            sums += [1, returns[0][t], returns[1][t], mean, square, product]
    y, yy, v, vv, yv = sums[1:] / sums[0]
    return 1 - (yy - 2 * yv + vv - (y - v) ** 2) / (yy - y**2)
