"""Sufficient statistics of streams, from which gradient estimates of every size follow (paper, eq. 1, 14, 15).

An estimate from N pairs is what training would compute from N pairs: the gradient at theta_i of the surrogate,
g = mean of grad log pi(a|s) A_hat, with A_hat the GAE advantage from the snapshot's value net, normalised by the
estimate's own mean and deviation. Up to T pairs it is the head of one stream; beyond, whole streams pooled.

Pooling is exact: with n, sum A, sum A^2, S = sum grad log pi and G = sum grad log pi A of a set of streams,
g = (G - mu S) / (n sigma). So one pass over the streams serves every size, and memory does not grow with their number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special

from dpg.agent.score import Score
from dpg.agent.snapshot import Snapshot
from dpg.learning.batch import ValueEstimates, estimate_values
from dpg.numerics.statistics import Interval
from dpg.runtime.schema import Common
from dpg.streams.rollout import Streams


class Sums(NamedTuple):
    """Sufficient statistics of sets of pairs, one set an entry K; sums of the statistics are those of the union."""

    pairs: Float[np.ndarray, " K"]
    episodes: Float[np.ndarray, " K"]
    advantage: Float[np.ndarray, " K"]
    advantage_squared: Float[np.ndarray, " K"]
    score: Float[np.ndarray, "K D"]
    weighted_score: Float[np.ndarray, "K D"]

    def __add__(self, other: "Sums") -> "Sums":  # type: ignore[override]
        return Sums(*(a + b for a, b in zip(self, other, strict=True)))

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(*(a - b for a, b in zip(self, other, strict=True)))

    @classmethod
    def nothing(cls, entries: int, parameters: int) -> "Sums":
        """Of no pairs."""
        zeros, vectors = np.zeros(entries), np.zeros((entries, parameters))
        return cls(zeros, zeros, zeros, zeros, vectors, vectors)

    def rows(self, indices: Sequence[int]) -> "Sums":
        """Some of the entries, which may repeat."""
        return Sums(*(part[list(indices)] for part in self))

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


class Products(NamedTuple):
    """Sums over streams of products of what `Sums` has of each, from which the spread of their gradients follows.

    Of the vectors (G, S) with each other, of the numbers (sum A, sum A^2) with each other, and of numbers with vectors.
    """

    streams: int
    vectors: Float[np.ndarray, "2 2"]
    numbers: Float[np.ndarray, "2 2"]
    mixed: Float[np.ndarray, "2 2 D"]

    def __add__(self, other: "Products") -> "Products":  # type: ignore[override]
        sums = (a + b for a, b in zip(self[1:], other[1:], strict=True))
        return Products(self.streams + other.streams, *sums)

    def __sub__(self, other: "Products") -> "Products":
        differences = (a - b for a, b in zip(self[1:], other[1:], strict=True))
        return Products(self.streams - other.streams, *differences)

    @classmethod
    def of(cls, each: Sums) -> "Products":
        """Of streams, an entry a stream."""
        vectors = np.stack([each.weighted_score, each.score])
        numbers = np.stack([each.advantage, each.advantage_squared])
        gram = np.array([[float((x * y).sum()) for y in vectors] for x in vectors])
        return cls(len(each.pairs), gram, numbers @ numbers.T, np.stack([numbers @ x for x in vectors], axis=1))


Part = tuple[Sums, Products]


def union(parts: Sequence[Part]) -> Part:
    """The statistics of all the parts' streams together."""
    sums, products = parts[0]
    for more_sums, more_products in parts[1:]:
        sums, products = sums + more_sums, products + more_products
    return sums, products


def all_but_each(parts: Sequence[Part]) -> list[Part]:
    """The union of all parts but one, for each."""
    total = union(parts)
    return [(total[0] - sums, total[1] - products) for sums, products in parts]


class Spread(NamedTuple):
    """Unbiased |g|^2 and trace of the covariance of one stream's gradient, and the reliability of the mean of N."""

    gradient_squared: float
    trace: float
    reliability: float


def spread(total: Sums, products: Products) -> Spread:
    """The spread of the gradients of the N >= 2 streams of equal length whose union is `total` (one entry).

    With g_k the gradient of stream k under the union's mu and sigma, and g their mean, the union's gradient varies by
    psi_k = g_k - g - g (q_k - 1) / 2 for each stream, to first order: sigma, too, is made from the streams, and q_k is
    the mean square of stream k's normalised advantages. (What mu does is of second order: scores have mean zero.)
    trace = sum |psi_k|^2 / (N - 1), |g|^2 - trace / N is unbiased for the squared norm of the expectation, and its
    ratio to |g|^2 is the reliability of g. NaN where the advantages do not vary, or with one stream.
    """
    n = products.streams
    if not (total.std[0] > 0 and n > 1):
        return Spread(float("nan"), float("nan"), float("nan"))
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
    return Spread(unbiased, trace, unbiased / squared if squared > 0 else float("nan"))


def pseudo_values(
    parts: Sequence[Part], statistic: Callable[[Part], Float[np.ndarray, " K"]]
) -> Float[np.ndarray, "G K"]:
    """Of a statistic of G independent sets of streams: h f(all) - (h - 1) f(all but the set), h = N / N_set.

    To first order they are independent, and their mean is free of bias of order 1/N (delete-a-group jackknife, Busing,
    Meijer and van der Leeden 1999).
    """
    total = union(parts)
    shares = np.array([total[1].streams / products.streams for _, products in parts])[:, None]
    others = np.stack([statistic(other) for other in all_but_each(parts)])
    return shares * statistic(total) - (shares - 1) * others


def noise_scale(groups: Sequence[Part], confidence: float) -> Interval:
    """trace / |g|^2, in streams, and its interval from independent groups of streams, by Fieller's method.

    It holds every B for which trace - B |g|^2 cannot be told from zero, by Student's t over jackknife pseudo-values of
    both. NaN means: as a mean, that |g|^2 is not positive; as an upper end, that there is none, since |g|^2 cannot be
    told from zero; as a lower end, that there are too few groups.
    """

    def statistic(part: Part) -> Float[np.ndarray, " 2"]:
        found = spread(*part)
        return np.array([found.trace, found.gradient_squared])

    trace, squared = map(float, statistic(union(groups)))
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


class Share(NamedTuple):
    """Pairs of some streams: the first `pairs` of each of the first `streams`."""

    streams: int
    pairs: int


def shares(sizes: Sequence[int], timesteps: int, first_stream: int, num_streams: int) -> list[Share]:
    """What estimates of these sizes take of the streams first_stream .. first_stream + num_streams - 1 of their set.

    Up to T pairs it is the head of stream 0; beyond, streams 0 .. size/T - 1. No streams: nothing.
    """
    wanted = [max(1, size // timesteps) - first_stream for size in sizes]
    return [Share(min(max(0, n), num_streams), min(size, timesteps)) for n, size in zip(wanted, sizes, strict=True)]


@dataclass(frozen=True)
class Scored:
    """Streams of one snapshot, with the advantages and scores that their sums are made of.

    `totals` keeps sums of scores, the same whatever the estimates: one that takes the place of another finds them.
    """

    common: Common
    estimates: ValueEstimates
    score: Score
    streams: slice
    totals: dict[tuple[int, Share], Float[np.ndarray, "M D"]] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot, streams: Streams, estimates: ValueEstimates | None = None) -> "Scored":
        """In float64, from the networks' float32 values; by another value function than the snapshot's if given."""
        state, recipe = snapshot.state, snapshot.recipe
        num_streams, timesteps = streams.reward.shape
        obs = state.normalize_obs(streams.obs.reshape(1, -1, streams.obs.shape[-1]))
        score = Score.of(
            state.architecture,
            state.policy[0].astype(np.float64),
            obs.reshape(num_streams, timesteps, -1).astype(np.float64),
            streams.action,
        )
        estimates = estimates or estimate_values(state, streams, recipe.common, recipe.config)
        return cls(recipe.common, estimates, score, slice(0, num_streams))

    def part(self, first: int, count: int) -> "Scored":
        """`count` of the streams, from the one at `first`."""
        return replace(self, streams=slice(first, first + count))

    def each(self, share: Share) -> Sums:
        """Of every stream in the share on its own, an entry a stream."""
        chosen = slice(self.streams.start, self.streams.start + share.streams)
        advantage = self.estimates.advantage(self.common, share.pairs, chosen)
        own = self.score.select(chosen)
        place = (self.streams.start, share)
        if place not in self.totals:
            self.totals[place] = own.sum(np.ones_like(advantage))
        return Sums(
            pairs=np.full(len(advantage), float(share.pairs)),
            episodes=self.estimates.done[chosen, : share.pairs].sum(axis=1).astype(np.float64),
            advantage=advantage.sum(axis=1),
            advantage_squared=(advantage**2).sum(axis=1),
            score=self.totals[place],
            weighted_score=own.sum(advantage),
        )

    def whole(self) -> Sums:
        """Of every stream on its own, all its pairs, an entry a stream."""
        return self.each(Share(self.streams.stop - self.streams.start, self.estimates.reward.shape[1]))

    def sums(self, wanted: Sequence[Share]) -> Sums:
        """An entry for each share."""
        return self._pooled(wanted, self.whole())

    def reduce(self, wanted: Sequence[Share]) -> Part:
        """An entry for each share, and the products of all the streams."""
        whole = self.whole()
        return self._pooled(wanted, whole), Products.of(whole)

    def _pooled(self, wanted: Sequence[Share], whole: Sums) -> Sums:
        rows: list[list[np.ndarray]] = []
        for share in wanted:
            parts = whole if share.pairs == self.estimates.reward.shape[1] else self.each(share)
            rows.append([part[: share.streams].sum(axis=0) for part in parts])
        return Sums(*(np.stack(column) for column in zip(*rows, strict=True)))


def reduce_streams(snapshot: Snapshot, streams: Streams, sizes: Sequence[int], first_stream: int = 0) -> Part:
    """Statistics of what estimates of each size take of these streams, which begin with `first_stream` of their set."""
    estimates = estimate_values(snapshot.state, streams, snapshot.recipe.common, snapshot.recipe.config)
    return reduce_estimates(snapshot, streams, estimates, sizes, first_stream)


def reduce_estimates(
    snapshot: Snapshot, streams: Streams, estimates: ValueEstimates, sizes: Sequence[int], first_stream: int = 0
) -> Part:
    """`reduce_streams` with rewards and values that are given: another value function's than the snapshot's net."""
    num_streams, timesteps = streams.reward.shape
    return Scored.of(snapshot, streams, estimates).reduce(shares(sizes, timesteps, first_stream, num_streams))
