"""Sufficient statistics of streams, from which gradient estimates of every size follow (paper, eq. 1, 14, 15).

An estimate from N pairs is what training would compute from N pairs: the gradient at theta_i of the surrogate,
g = mean of grad log pi(a|s) A_hat, with A_hat the GAE advantage from the snapshot's value net, normalised by the
estimate's own mean and deviation. Up to T pairs it is the head of one stream; beyond, whole streams pooled.

Pooling is exact: with n, sum A, sum A^2, S = sum grad log pi and G = sum grad log pi A of a set of streams,
g = (G - mu S) / (n sigma). So one pass over the streams serves every size, and memory does not grow with their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dpg.agent.score import Score
from dpg.agent.snapshot import Snapshot
from dpg.learning.batch import Appraisal, appraise
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
    """Sums over streams of |G|^2, G.S and |S|^2, from which the spread of the streams' own gradients follows."""

    streams: int
    gg: float
    gs: float
    ss: float

    def __add__(self, other: "Products") -> "Products":  # type: ignore[override]
        return Products(self.streams + other.streams, self.gg + other.gg, self.gs + other.gs, self.ss + other.ss)


class Spread(NamedTuple):
    """Unbiased |g|^2 and trace of the covariance of one stream's gradient, and the reliability of the mean of N."""

    gradient_squared: float
    trace: float
    reliability: float


def spread(total: Sums, products: Products) -> Spread:
    """The spread of the gradients of the N >= 2 streams whose union is `total` (one entry).

    With g_k the gradient of stream k under the union's mu and sigma, and g their mean: trace = sum |g_k - g|^2 / (N-1),
    |g|^2 - trace / N is unbiased for the squared norm of the expectation, and its ratio to |g|^2 is the reliability
    of g. NaN where the advantages do not vary.
    """
    if not total.std[0] > 0:
        return Spread(float("nan"), float("nan"), float("nan"))
    mu, n = float(total.mean[0]), products.streams
    scale = float(total.pairs[0] * total.std[0]) / n
    squared_norms = (products.gg - 2 * mu * products.gs + mu**2 * products.ss) / scale**2
    g = total.gradient()[0]
    squared = float(g @ g)
    trace = (squared_norms - n * squared) / (n - 1)
    unbiased = squared - trace / n
    return Spread(unbiased, trace, unbiased / squared if squared > 0 else float("nan"))


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

    `totals` keeps sums of scores, the same whatever the appraisal: one that takes the place of another finds them.
    """

    common: Common
    appraisal: Appraisal
    score: Score
    streams: slice
    totals: dict[tuple[int, Share], Float[np.ndarray, "M D"]] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot, streams: Streams, appraisal: Appraisal | None = None) -> "Scored":
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
        appraisal = appraisal or appraise(state, streams, recipe.common, recipe.config)
        return cls(recipe.common, appraisal, score, slice(0, num_streams))

    def part(self, first: int, count: int) -> "Scored":
        """`count` of the streams, from the one at `first`."""
        return replace(self, streams=slice(first, first + count))

    def each(self, share: Share) -> Sums:
        """Of every stream in the share on its own, an entry a stream."""
        chosen = slice(self.streams.start, self.streams.start + share.streams)
        advantage = self.appraisal.advantage(self.common, share.pairs, chosen)
        own = self.score.select(chosen)
        place = (self.streams.start, share)
        if place not in self.totals:
            self.totals[place] = own.sum(np.ones_like(advantage))
        return Sums(
            pairs=np.full(len(advantage), float(share.pairs)),
            episodes=self.appraisal.done[chosen, : share.pairs].sum(axis=1).astype(np.float64),
            advantage=advantage.sum(axis=1),
            advantage_squared=(advantage**2).sum(axis=1),
            score=self.totals[place],
            weighted_score=own.sum(advantage),
        )

    def reduce(self, wanted: Sequence[Share]) -> tuple[Sums, Products]:
        """An entry for each share, and the products of all the streams."""
        timesteps = self.appraisal.reward.shape[1]
        whole = self.each(Share(self.streams.stop - self.streams.start, timesteps))
        rows: list[list[np.ndarray]] = []
        for share in wanted:
            parts = whole if share.pairs == timesteps else self.each(share)
            rows.append([part[: share.streams].sum(axis=0) for part in parts])
        products = Products(
            streams=self.streams.stop - self.streams.start,
            gg=float((whole.weighted_score**2).sum()),
            gs=float((whole.weighted_score * whole.score).sum()),
            ss=float((whole.score**2).sum()),
        )
        return Sums(*(np.stack(column) for column in zip(*rows, strict=True))), products


def reduce_streams(
    snapshot: Snapshot, streams: Streams, sizes: Sequence[int], first_stream: int = 0
) -> tuple[Sums, Products]:
    """Statistics of what estimates of each size take of these streams, which begin with `first_stream` of their set."""
    appraisal = appraise(snapshot.state, streams, snapshot.recipe.common, snapshot.recipe.config)
    return reduce_appraised(snapshot, streams, appraisal, sizes, first_stream)


def reduce_appraised(
    snapshot: Snapshot, streams: Streams, appraisal: Appraisal, sizes: Sequence[int], first_stream: int = 0
) -> tuple[Sums, Products]:
    """`reduce_streams` with rewards and values that are given: another value function's than the snapshot's net."""
    num_streams, timesteps = streams.reward.shape
    return Scored.of(snapshot, streams, appraisal).reduce(shares(sizes, timesteps, first_stream, num_streams))
