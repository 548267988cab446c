"""Returns and advantages of a stream, step by step. The last axis is time; leading axes are streams."""

import math

import numpy as np
from jaxtyping import Bool, Float

Real = Float[np.ndarray, "*batch T"]
Mask = Bool[np.ndarray, "*batch T"]


def horizon(gamma: float) -> int:
    """H = ceil(ln 0.01 / ln gamma): steps after which the rest of a discounted return has a weight below 1 %."""
    return math.ceil(math.log(0.01) / math.log(gamma)) if gamma > 0 else 1


def discounted_return(reward: Real, done: Mask, after_end: Real, gamma: float) -> Real:
    """R_t = r_t + gamma R_{t+1}, restarting where an episode is done.

    `after_end[t]` is used where the recursion restarts and at the last pair: the value of the state after pair t, zero
    after a termination, a bootstrap value or zero after a cut.
    """
    result = np.empty_like(reward)
    following = after_end[..., -1]
    for t in range(reward.shape[-1] - 1, -1, -1):
        following = np.where(done[..., t], after_end[..., t], following)
        following = reward[..., t] + gamma * following
        result[..., t] = following
    return result


def return_so_far(reward: Real, done: Mask, gamma: float) -> Real:
    """R_t = gamma R_{t-1} + r_t, restarting after an episode is done; reward scaling divides by its deviation."""
    result = np.empty_like(reward)
    so_far = np.zeros_like(reward[..., 0])
    for t in range(reward.shape[-1]):
        so_far = gamma * so_far + reward[..., t]
        result[..., t] = so_far
        so_far = np.where(done[..., t], 0.0, so_far)
    return result


def return_is_known(terminated: Mask, done: Mask, steps: int) -> Mask:
    """Pairs whose discounted return is known: the episode terminated, or `steps` further pairs of it were recorded."""
    known = np.empty_like(terminated)
    length = terminated.shape[-1]
    ends_known = np.zeros(terminated.shape[:-1], bool)
    remaining = np.zeros(terminated.shape[:-1], np.int64)
    for t in range(length - 1, -1, -1):
        ends_known = np.where(done[..., t], terminated[..., t], ends_known)
        remaining = np.where(done[..., t], 0, remaining)
        known[..., t] = ends_known | (remaining >= steps)
        remaining = remaining + 1
    return known


def gae(reward: Real, value: Real, next_value: Real, done: Mask, gamma: float, gae_lambda: float) -> Real:
    """Generalised advantage estimates (arXiv:1506.02438, eq. 16): A_t = delta_t + gamma lambda A_{t+1}.

    delta_t = r_t + gamma V(s_{t+1}) - V(s_t). `next_value` is V(s_{t+1}), zero where the episode terminated there;
    the sum stops where an episode is done and at the end of the stream.
    """
    delta = reward + gamma * next_value - value
    carry = gamma * gae_lambda * ~done
    result = np.empty_like(delta)
    following = np.zeros_like(delta[..., 0])
    for t in range(delta.shape[-1] - 1, -1, -1):
        following = delta[..., t] + carry[..., t] * following
        result[..., t] = following
    return result
