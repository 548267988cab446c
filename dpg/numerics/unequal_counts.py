"""Means of points with unequal numbers of trajectories: a point has the first n of N, and NaN for the rest."""

import numpy as np
from jaxtyping import Float, Int


def counts(returns: Float[np.ndarray, "M N"]) -> Int[np.ndarray, " M"]:
    """The number of trajectories of every point."""
    return np.count_nonzero(~np.isnan(returns), axis=1)


def completed(returns: Float[np.ndarray, "M N"], control: Float[np.ndarray, " N"] | None) -> Float[np.ndarray, "M N"]:
    """N values for every point, whose mean is the point's estimate and whose scatter is the estimate's error.

    With a control that shares the points' noise and has all N trajectories, the estimate is the control's mean over N
    plus the point's mean difference from it over n (a control variate with coefficient 1). So the difference of a point
    from the control is that of their common trajectories alone, however many each has. Without a control the estimate
    is the point's own mean.

    With x_e = r_e - c_e, and c = 0 without a control, the values are c_e + mean(x) + f (x_e - mean(x)) for e < n and
    c_e + mean(x) for the rest; f² = N (N - 1) / (n (n - 1)) gives them the standard error of n trajectories. They are
    the returns themselves, bit for bit, where n = N. Means, (co)variances, bootstrap and jackknife then serve points of
    any counts.
    """
    known, size = counts(returns), returns.shape[1]
    if (known == size).all():
        return returns
    shared = np.zeros(size) if control is None else control
    difference = returns - shared
    mean = np.nanmean(difference, axis=1, keepdims=True)
    factor = np.sqrt(size * (size - 1) / (known * (known - 1)))[:, None]
    deviation = np.where(np.isnan(difference), 0.0, difference - mean)
    return np.where((known == size)[:, None], returns, shared + mean + factor * deviation)


def difference_errors(returns: Float[np.ndarray, "M N"], origin: int, *, paired: bool) -> Float[np.ndarray, " M"]:
    """The standard error of every point's mean difference from the point `origin`, which has all trajectories.

    Paired differences are of trajectories that share their noise; else the errors of both points add up.
    """
    compared = returns - returns[origin] if paired else returns
    errors = np.nanstd(compared, axis=1, ddof=1) / np.sqrt(counts(returns))
    if not paired:
        errors = np.hypot(errors, errors[origin])
    errors[origin] = 0.0
    return errors
