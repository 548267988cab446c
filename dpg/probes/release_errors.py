"""Relative errors of value nets as the authors' release defines them.

Source: MadryLab/implementation-matters, `src/policy_gradients/steps.py` (`value_loss_returns` and `value_loss_gae` with
`re=True`), called by `logging.py: log_value_losses`. That the paper's figures 4, 13 and 14 come from that code is an
inference: it is of the same group and logs the same two quantities, and the axis of the paper's GAE errors, down to
2^-11, suits its square.

There, a return is the discounted sum of the recorded rewards. It stops where an episode ends, including at time limits,
and at the end of the batch, without a bootstrap value. Pairs after which an episode ended are dropped; the last pair of
a batch is dropped only if an episode ended there.

Departures. A target of zero makes the release's errors infinite or undefined: here such pairs are excluded from the
mean, and the number of included pairs is reported. With value clipping, the release squares the worse of the plain and
the clipped prediction; here it is the plain one. The GAE target is the one to which the net was fitted here. It
bootstraps at time limits unless they are terminal, and at the end of a batch with the value of the next state (the
release: of the last state).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from dpg.streams import advantages


class Error(NamedTuple):
    """A mean over `pairs` pairs; NaN over none."""

    mean: float
    pairs: int


def recorded_return(
    reward: Float[np.ndarray, "N T"], done: Bool[np.ndarray, "N T"], gamma: float
) -> Float[np.ndarray, "N T"]:
    """R_t = r_t + gamma R_{t+1}, with R = 0 after the end of an episode (`done`) and after the batch."""
    return advantages.discounted_return(reward, done, np.zeros_like(reward), gamma)


def returns_error(
    predicted: Float[np.ndarray, "N T"], returns: Float[np.ndarray, "N T"], kept: Bool[np.ndarray, "N T"]
) -> Error:
    """Mean |V - R| / |R| over the pairs that are kept and whose R is not zero (`value_loss_returns`)."""
    return _mean_over_size(np.abs(predicted - returns), returns, kept)


def gae_error(
    predicted: Float[np.ndarray, "N T"], target: Float[np.ndarray, "N T"], kept: Bool[np.ndarray, "N T"]
) -> Error:
    """Mean (V - y)^2 / |y| over the pairs that are kept and whose y is not zero (`value_loss_gae`).

    A square over an absolute value has the unit of y: it is not a relative error.
    """
    return _mean_over_size((predicted - target) ** 2, target, kept)


def _mean_over_size(
    error: Float[np.ndarray, "N T"], target: Float[np.ndarray, "N T"], kept: Bool[np.ndarray, "N T"]
) -> Error:
    counted = kept & (target != 0)
    pairs = int(counted.sum())
    return Error(float(np.mean(error[counted] / np.abs(target[counted]))) if pairs else float("nan"), pairs)
