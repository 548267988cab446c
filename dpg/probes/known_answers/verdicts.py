"""Checks of an estimator against a known answer: a truth, an estimate, its standard error, and a verdict."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy import special, stats

from dpg.tables.calibrate import Check

# A sound estimator exceeds this limit with probability 6.3e-5; one of fifty does with 0.3 %.
Z_LIMIT = 4.0


def scalar_check(name: str, truth: float, values: Float[np.ndarray, " G"]) -> Check:
    """The mean of G independent values against the truth: Student's t, as the normal score of equal probability.

    Values that do not vary, as from shared streams, or that are NaN are rejected whatever their mean.
    """
    estimate, error = float(values.mean()), float(stats.sem(values))
    if error > 1e-12 * abs(estimate):
        t = (estimate - truth) / error
        z = float(np.sign(t) * _normal_score(float(stats.t.logsf(abs(t), len(values) - 1))))
    else:
        z = float("inf")
    return Check(name, truth, estimate, error, z, abs(z) < Z_LIMIT, broken=False)


def broken(check: Check) -> Check:
    """The check of an estimator that is broken on purpose, which must be rejected."""
    return replace(check, broken=True)


def log_check(name: str, truth: float, logarithms: Float[np.ndarray, " G"]) -> Check:
    """`scalar_check` of a positive quantity by its logarithm, whose distribution is less skewed."""
    check = scalar_check(name, float(np.log(truth)), logarithms)
    estimate = float(np.exp(check.estimate))
    return replace(check, truth=truth, estimate=estimate, standard_error=estimate * check.standard_error)


def predicted_check(name: str, truth: float, std: float, estimate: float) -> Check:
    """An estimate whose standard deviation is predicted as well."""
    z = (estimate - truth) / std
    return Check(name, truth, estimate, std, z, abs(z) < Z_LIMIT, broken=False)


def vector_checks(name: str, truth: Float[np.ndarray, " D"], values: Float[np.ndarray, "G D"]) -> list[Check]:
    """The mean of G > D + 4 independent vectors against the truth: all components at once, and the length along it.

    All at once is Hotelling's T^2, whose expectation and deviation under the truth stand as `truth` and
    `standard_error`. It comes first: the error of a broken estimator may be orthogonal to the truth.
    """
    count, size = values.shape
    gap = values.mean(axis=0) - truth
    covariance = np.cov(values.T) / count
    # A floor, so that the gap of a component that never varies counts, too.
    covariance += np.eye(size) * 1e-6 * np.trace(covariance)
    squared = float(gap @ np.linalg.solve(covariance, gap))
    scale = size * (count - 1) / (count - size)
    null = stats.f(size, count - size)
    z = _normal_score(float(null.logsf(squared / scale)))
    error = scale * float(null.std())
    whole = Check(f"{name}: T^2", scale * float(null.mean()), squared, error, z, z < Z_LIMIT, broken=False)
    length = float(np.linalg.norm(truth))
    return [whole, scalar_check(f"{name}: along it", length, values @ truth / length)]


def _normal_score(log_tail: float) -> float:
    """z with log P(Z > z) = log_tail, for tails too small for a float."""
    return -float(special.ndtri_exp(log_tail))
