"""Running moments as explicit state: `update` apart from `apply`, so that a measurement can freeze them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# Added to variances before the root: the floor of a standard deviation is 1e-4. Modern MuJoCo leaves dimensions that
# vary by rounding noise alone; dividing by (std + 1e-8) would turn them into unit noise (docs/departures.md).
EPSILON = 1e-8


@dataclass(frozen=True)
class Moments:
    """Count, mean and population variance of the observed values, for each member P and feature F, in float64.

    `epsilon` is added to variances before the root.
    """

    count: Float[np.ndarray, " P"]
    mean: Float[np.ndarray, "P F"]
    variance: Float[np.ndarray, "P F"]
    epsilon: float = EPSILON

    @property
    def std(self) -> Float[np.ndarray, "P F"]:
        """sqrt(variance + epsilon)."""
        return np.sqrt(self.variance + self.epsilon)


def identity(members: int, features: int) -> Moments:
    """No values yet: mean 0, variance 1."""
    return Moments(np.zeros(members), np.zeros((members, features)), np.ones((members, features)))


def update(moments: Moments, values: Float[np.ndarray, "P B F"]) -> Moments:
    """Moments of the earlier values and `values` together (Chan, Golub and LeVeque 1979)."""
    added = values.shape[-2]
    values = values.astype(np.float64)
    mean = values.mean(axis=-2)
    variance = values.var(axis=-2)
    before = moments.count[:, None]
    total = before + added
    delta = mean - moments.mean
    merged_mean = moments.mean + delta * (added / total)
    # Without earlier values, the placeholder mean and variance have weight zero.
    merged_variance = (moments.variance * before + variance * added + delta**2 * (before * added / total)) / total
    return Moments(moments.count + added, merged_mean, merged_variance, moments.epsilon)


def normalize(moments: Moments, values: Float[np.ndarray, "P B F"], clip: float | None) -> Float[np.ndarray, "P B F"]:
    """(values - mean) / std, clipped to +-`clip`, in float32 as the networks take it."""
    return standardize(values, moments.mean, moments.std, clip)


def standardize(
    values: Float[np.ndarray, "P B F"],
    mean: Float[np.ndarray, "P F"],
    std: Float[np.ndarray, "P F"],
    clip: float | None,
) -> Float[np.ndarray, "P B F"]:
    """`normalize` by a mean and a standard deviation."""
    scaled = values - mean[:, None, :]
    scaled /= std[:, None, :]
    if clip is not None:
        scaled.clip(-clip, clip, out=scaled)
    return scaled.astype(np.float32)


def scale(moments: Moments, values: Float[np.ndarray, "P B"], clip: float | None) -> Float[np.ndarray, "P B"]:
    """values / std without centring, clipped to +-`clip`: how rewards are scaled. The moments have one feature."""
    scaled = values / moments.std
    return scaled if clip is None else np.clip(scaled, -clip, clip)
