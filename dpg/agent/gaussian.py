"""The diagonal Gaussian head of a policy: pi(a|s) = N(a; mean(s), diag(exp(log_std))^2).

Means and actions are (..., B, A); `log_std` is (..., A), independent of the state; results are (..., B). NumPy and
PyTorch alike.
"""

import math
from typing import Any

from dpg.numerics.arrays import namespace

LOG_2PI = math.log(2 * math.pi)


def log_prob(mean: Any, log_std: Any, action: Any) -> Any:
    """log pi(a|s): -1/2 sum [((a - mean) / std)^2 + 2 log std + log 2 pi]."""
    scaled = (action - mean) * namespace(log_std).exp(-log_std)[..., None, :]
    return log_prob_of_squares(scaled * scaled, log_std)


def log_prob_of_squares(squared: Any, log_std: Any) -> Any:
    """log pi(a|s) from ((a - mean) / std)^2, for those who need the squares as well."""
    constant = log_std.sum(-1)[..., None] + 0.5 * LOG_2PI * squared.shape[-1]
    return -0.5 * squared.sum(-1) - constant


def entropy(log_std: Any) -> Any:
    """Entropy in nats (...): sum [log std + (1 + log 2 pi) / 2], the same in every state."""
    return log_std.sum(-1) + 0.5 * (1 + LOG_2PI) * log_std.shape[-1]


def kl(mean_p: Any, log_std_p: Any, mean_q: Any, log_std_q: Any) -> Any:
    """KL(p || q) in nats, state by state."""
    exp = namespace(log_std_p).exp
    variance_p = exp(2 * log_std_p)[..., None, :]
    precision_q = exp(-2 * log_std_q)[..., None, :]
    difference = mean_p - mean_q
    log_ratio = (log_std_q - log_std_p)[..., None, :]
    return (log_ratio + 0.5 * (variance_p + difference * difference) * precision_q - 0.5).sum(-1)
