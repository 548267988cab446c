"""Sufficient statistics of streams, which determine gradient estimates of every size (paper, eq. 1, 14, 15).

An estimate from N pairs is what training would compute from them: the gradient at theta_i of the surrogate,
g = mean of grad log pi(a|s) A_hat, where A_hat is the GAE advantage from the snapshot's value net, normalised by the
estimate's own mean and deviation.

Pooling is exact: with n, sum A, sum A^2, S = sum grad log pi and G = sum grad log pi A of a set of streams,
g = (G - mu S) / (n sigma). One pass over the streams serves every size, and memory does not grow with their number.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special

from dpg.numerics.statistics import Interval


class GradientSums(NamedTuple):
    """Sufficient statistics of K sets of pairs; adding two gives those of the unions."""

    pairs: Float[np.ndarray, " K"]
    episodes: Float[np.ndarray, " K"]
    advantage: Float[np.ndarray, " K"]
    advantage_squared: Float[np.ndarray, " K"]
    score: Float[np.ndarray, "K D"]
    weighted_score: Float[np.ndarray, "K D"]

    def __add__(self, other: "GradientSums") -> "GradientSums":  # type: ignore[override]
        return GradientSums(*(a + b for a, b in zip(self, other, strict=True)))

    def __sub__(self, other: "GradientSums") -> "GradientSums":
        return GradientSums(*(a - b for a, b in zip(self, other, strict=True)))

    def rows(self, indices: Sequence[int]) -> "GradientSums":
        """Selected entries, which may repeat."""
        return GradientSums(*(part[list(indices)] for part in self))

    @property
    def mean(self) -> Float[np.ndarray, " K"]:
        """mu(A)."""
        return self.advantage / self.pairs

    @property
    def std(self) -> Float[np.ndarray, " K"]:
        """sigma(A)."""
        return np.sqrt(np.maximum(self.advantage_squared / self.pairs - self.mean**2, 0.0))

    def gradient(self) -> Float[np.ndarray, "K D"]:
        """g = (G - mu S) / (n sigma); zero where the advantages do not vary."""
        numerator = self.weighted_score - self.mean[:, None] * self.score
        scale = (self.pairs * self.std)[:, None]
        return np.divide(numerator, scale, out=np.zeros_like(numerator), where=scale > 0)


class GramSums(NamedTuple):
    """Sums over streams of products of their statistics, which determine the covariance of their gradients.

    The products are of the vectors (G, S) with each other, of the numbers (sum A, sum A^2) with each other, and of the
    numbers with the vectors.
    """

    streams: int
    vectors: Float[np.ndarray, "2 2"]
    numbers: Float[np.ndarray, "2 2"]
    mixed: Float[np.ndarray, "2 2 D"]

    def __add__(self, other: "GramSums") -> "GramSums":  # type: ignore[override]
        sums = (a + b for a, b in zip(self[1:], other[1:], strict=True))
        return GramSums(self.streams + other.streams, *sums)

    def __sub__(self, other: "GramSums") -> "GramSums":
        differences = (a - b for a, b in zip(self[1:], other[1:], strict=True))
        return GramSums(self.streams - other.streams, *differences)

    @classmethod
    def of(cls, each: GradientSums) -> "GramSums":
        """The sums for statistics with one entry for each stream."""
        vectors = np.stack([each.weighted_score, each.score])
        numbers = np.stack([each.advantage, each.advantage_squared])
        gram = np.array([[float((x * y).sum()) for y in vectors] for x in vectors])
        return cls(len(each.pairs), gram, numbers @ numbers.T, np.stack([numbers @ x for x in vectors], axis=1))


# The statistics of a set of streams: its sums, and the products over its streams.
GradientMoments = tuple[GradientSums, GramSums]


def moments(each: GradientSums) -> GradientMoments:
    """The statistics of the union of disjoint sets, and the products over them."""
    return GradientSums(*(part.sum(axis=0, keepdims=True) for part in each)), GramSums.of(each)


def pool(parts: Sequence[GradientMoments]) -> GradientMoments:
    """The statistics of the union of disjoint sets of streams."""
    sums, products = parts[0]
    for more_sums, more_products in parts[1:]:
        sums, products = sums + more_sums, products + more_products
    return sums, products


class GradientNoise(NamedTuple):
    """Unbiased |g|^2, the trace of the covariance of one stream's gradient, and the reliability of the mean of N."""

    gradient_squared: float
    trace: float
    reliability: float


def gradient_noise(total: GradientSums, products: GramSums) -> GradientNoise:
    """The noise in the gradients of N >= 2 streams of equal length with the sums `total` (one entry).

    With g_k the gradient of stream k under the union's mu and sigma, and g their mean, the union's gradient varies by
    psi_k = g_k - g - g (q_k - 1) / 2 for each stream, to first order: sigma, too, is made from the streams, and q_k is
    the mean square of stream k's normalised advantages. (What mu does is of second order: scores have mean zero.)
    trace = sum |psi_k|^2 / (N - 1), |g|^2 - trace / N is unbiased for the squared norm of the expectation, and its
    ratio to |g|^2 is the reliability of g. NaN where the advantages do not vary, or with one stream.
    """
    n = products.streams
    if not (total.std[0] > 0 and n > 1):
        return GradientNoise(float("nan"), float("nan"), float("nan"))
    mu, sigma, length = float(total.mean[0]), float(total.std[0]), float(total.pairs[0]) / n
    g = total.gradient()[0]
    squared = float(g @ g)
    # length sigma g_k = G_k - mu S_k, and length sigma^2 q_k = sum A^2 - 2 mu sum A + length mu^2 over stream k.
    to_g = np.array([1.0, -mu]) / (length * sigma)
    to_q, constant = np.array([-2 * mu, 1.0]) / (length * sigma**2), (mu / sigma) ** 2
    norms = float(to_g @ products.vectors @ to_g)
    # The mean of q_k is 1.
    squares = float(to_q @ products.numbers @ to_q) + 2 * constant * n * (1 - constant) + n * constant**2
    weighted = to_g @ np.tensordot(to_q, products.mixed, 1) + constant * n * g
    # |psi_k|^2 = |g_k - g|^2 - g.(g_k - g) (q_k - 1) + |g|^2 (q_k - 1)^2 / 4; the sums of q_k and of g_k are n and n g.
    trace = (norms - float(g @ weighted) + squared * (squares - n) / 4) / (n - 1)
    unbiased = squared - trace / n
    return GradientNoise(unbiased, trace, unbiased / squared if squared > 0 else float("nan"))


def pseudo_values(
    parts: Sequence[GradientMoments], statistic: Callable[[GradientMoments], Float[np.ndarray, " K"]]
) -> Float[np.ndarray, "G K"]:
    """Jackknife pseudo-values over G independent sets of streams: h f(all) - (h - 1) f(all but the set), h = N / N_set.

    To first order they are independent, and their mean has no bias of order 1/N (delete-a-group jackknife, Busing,
    Meijer and van der Leeden 1999).
    """
    total = pool(parts)
    shares = np.array([total[1].streams / products.streams for _, products in parts])[:, None]
    others = np.stack([statistic((total[0] - sums, total[1] - products)) for sums, products in parts])
    return shares * statistic(total) - (shares - 1) * others


def noise_scale(groups: Sequence[GradientMoments], confidence: float) -> Interval:
    """trace / |g|^2, in streams, and its interval from independent groups of streams, by Fieller's method.

    The interval holds every B for which trace - B |g|^2 does not differ significantly from zero, by Student's t over
    jackknife pseudo-values of both. A NaN mean: |g|^2 is not positive. A NaN upper end: there is none, since |g|^2 does
    not differ from zero. A NaN lower end: there are too few groups.
    """

    def statistic(part: GradientMoments) -> Float[np.ndarray, " 2"]:
        found = gradient_noise(*part)
        return np.array([found.trace, found.gradient_squared])

    trace, squared = map(float, statistic(pool(groups)))
    mean = trace / squared if squared > 0 else float("nan")
    count = len(groups)
    if count < 3:
        return Interval(mean, float("nan"), float("nan"))
    values = pseudo_values(groups, statistic)
    t = float(special.stdtrit(count - 1, (1 + confidence) / 2))
    deviation = values - values.mean(axis=0)
    margins = t**2 * (deviation.T @ deviation) / (count * (count - 1))
    # (trace - B |g|^2)^2 = margin of trace - B |g|^2: a B^2 - 2 b B + c = 0.
    (c, b), (_, a) = np.outer([trace, squared], [trace, squared]) - margins
    root = b + np.sqrt(max(0.0, b * b - a * c))
    # Without a positive root every positive B is possible.
    low, high = (max(0.0, float(c / root)), float(root / a)) if root > 0 else (0.0, float("nan"))
    return Interval(mean, low, high if a > 0 else float("nan"))
