"""Surrogates and losses: one equation, one function, for a batch on the last axis; leading axes are a population.

An `*_objective` is maximised, a `*_loss` minimised. NumPy and PyTorch alike.
"""

from typing import Any

from dpg.numerics.arrays import namespace


def normalize(advantage: Any) -> Any:
    """(A - mean) / std over the batch (paper, eq. 15); zero where the advantages vary by rounding alone."""
    xp = namespace(advantage)
    mean = advantage.mean(-1)[..., None]
    centred = advantage - mean
    std = xp.sqrt((centred * centred).mean(-1))[..., None]
    return centred / (std + 1e-8) * (std > 1e-6 * xp.abs(mean))


def surrogate_objective(log_prob: Any, old_log_prob: Any, advantage: Any) -> Any:
    """Mean of rho A, with rho = pi(a|s) / pi_old(a|s) (paper, eq. 14 and 18)."""
    ratio = namespace(log_prob).exp(log_prob - old_log_prob)
    return (ratio * advantage).mean(-1)


def clipped_surrogate_objective(log_prob: Any, old_log_prob: Any, advantage: Any, clip_eps: float) -> Any:
    """Mean of min(clip(rho, 1 - eps, 1 + eps) A, rho A) (paper, eq. 17; arXiv:1707.06347, eq. 7)."""
    xp = namespace(log_prob)
    ratio = xp.exp(log_prob - old_log_prob)
    clipped = xp.clip(ratio, 1 - clip_eps, 1 + clip_eps)
    return xp.minimum(clipped * advantage, ratio * advantage).mean(-1)


def clipped_surrogate_slope(log_prob: Any, old_log_prob: Any, advantage: Any, clip_eps: float) -> Any:
    """The derivative of `clipped_surrogate_objective` with respect to each log_prob: rho A / B, or 0 where clipped."""
    xp = namespace(log_prob)
    ratio = xp.exp(log_prob - old_log_prob)
    gain = ratio * advantage
    unclipped = gain <= xp.clip(ratio, 1 - clip_eps, 1 + clip_eps) * advantage
    return gain * unclipped / log_prob.shape[-1]


def value_loss(value: Any, target: Any) -> Any:
    """Mean of (V - y)^2 (paper, eq. 4)."""
    error = value - target
    return (error * error).mean(-1)


def clipped_value_loss(value: Any, old_value: Any, target: Any, clip: float) -> Any:
    """Mean of max((V - y)^2, (V_clip - y)^2), V_clip = V_old + clip(V - V_old, -c, c) (arXiv:2005.12729, section 3)."""
    xp = namespace(value)
    clipped = xp.clip(value, old_value - clip, old_value + clip)
    error, clipped_error = value - target, clipped - target
    return xp.maximum(error * error, clipped_error * clipped_error).mean(-1)


def value_slope(value: Any, target: Any) -> Any:
    """The derivative of `value_loss` with respect to each value."""
    return (2 / value.shape[-1]) * (value - target)


def clipped_value_slope(value: Any, old_value: Any, target: Any, clip: float) -> Any:
    """The derivative of `clipped_value_loss` with respect to each value: 0 where the clipped error is the larger."""
    xp = namespace(value)
    clipped = xp.clip(value, old_value - clip, old_value + clip)
    error, clipped_error = value - target, clipped - target
    return (2 / value.shape[-1]) * error * (xp.abs(error) >= xp.abs(clipped_error))
