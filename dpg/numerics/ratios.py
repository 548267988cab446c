"""Ratios of unbiased squares, which noise may make negative.

Average the squares first and take the ratio last: a mean of roots, with negative values set to zero, is biased upwards.
"""

import numpy as np
from jaxtyping import Float


def ratio(part: Float[np.ndarray, "*batch"], whole: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """part / whole; NaN where the whole is not positive."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def root_ratio(part: Float[np.ndarray, "*batch"], whole: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """sqrt(part / whole), zero where the part is negative; NaN where the whole is not positive."""
    return np.sqrt(ratio(np.maximum(part, 0.0), whole))
