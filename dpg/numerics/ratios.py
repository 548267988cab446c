"""Ratios whose denominators may be zero or, where they estimate a square without bias, negative.

Average such squares first and take the ratio last: a mean of roots, with negative values set to zero, is too large.
"""

import numpy as np
from jaxtyping import Float

# Sums over the last axis of a vector are scalars of NumPy.
Numbers = Float[np.ndarray, "*batch"] | np.floating


def ratio(part: Numbers, whole: Numbers) -> Float[np.ndarray, "*batch"]:
    """part / whole; NaN where the whole is not positive."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole > 0))


def root_ratio(part: Float[np.ndarray, "*batch"], whole: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """sqrt(part / whole), zero where the part is negative; NaN where the whole is not positive."""
    return np.sqrt(ratio(np.maximum(part, 0.0), whole))
