"""Scores and advantages of streams, and the gradient sums of the heads of streams that estimates use."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dpg.agent.score import Score
from dpg.agent.snapshot import Snapshot
from dpg.learning.batch import ValueEstimates, estimate_values
from dpg.probes.gradient_sums import GradientSums
from dpg.runtime.schema import Common
from dpg.streams.rollout import Streams


class StreamPrefix(NamedTuple):
    """The first `pairs` pairs of each of the first `streams` streams."""

    streams: int
    pairs: int


def prefixes(sizes: Sequence[int], timesteps: int, first_stream: int, num_streams: int) -> list[StreamPrefix]:
    """The part of streams first_stream .. first_stream + num_streams - 1 of a set that estimates of each size use.

    Up to T pairs an estimate is the head of stream 0; beyond, it pools the whole streams 0 .. size/T - 1. A prefix may
    have no streams.
    """
    wanted = [max(1, size // timesteps) - first_stream for size in sizes]
    return [
        StreamPrefix(min(max(0, n), num_streams), min(size, timesteps)) for n, size in zip(wanted, sizes, strict=True)
    ]


@dataclass(frozen=True)
class StreamScores:
    """Streams of one snapshot with their advantages and scores, from which gradient sums are computed.

    `totals` caches the sums of scores, which do not depend on the value estimates.
    """

    common: Common
    estimates: ValueEstimates
    score: Score
    streams: slice
    totals: dict[tuple[int, StreamPrefix], Float[np.ndarray, "M D"]] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot, streams: Streams, estimates: ValueEstimates | None = None) -> "StreamScores":
        """Scores in float64 from float32 networks; `estimates` replace those of the snapshot's value net."""
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

    def select(self, first: int, count: int) -> "StreamScores":
        """`count` of the streams, from number `first`."""
        return replace(self, streams=slice(first, first + count))

    def per_stream(self, prefix: StreamPrefix | None = None) -> GradientSums:
        """One entry for each stream of a prefix; by default all streams, whole."""
        prefix = prefix or StreamPrefix(self.streams.stop - self.streams.start, self.estimates.reward.shape[1])
        chosen = slice(self.streams.start, self.streams.start + prefix.streams)
        advantage = self.estimates.advantage(self.common, prefix.pairs, chosen)
        own = self.score.select(chosen)
        key = (self.streams.start, prefix)
        if key not in self.totals:
            self.totals[key] = own.sum(np.ones_like(advantage))
        return GradientSums(
            pairs=np.full(len(advantage), float(prefix.pairs)),
            episodes=self.estimates.done[chosen, : prefix.pairs].sum(axis=1).astype(np.float64),
            advantage=advantage.sum(axis=1),
            advantage_squared=(advantage**2).sum(axis=1),
            score=self.totals[key],
            weighted_score=own.sum(advantage),
        )

    def pooled(self, wanted: Sequence[StreamPrefix], whole: GradientSums) -> GradientSums:
        """One entry for each prefix, given `per_stream()`."""
        rows: list[list[np.ndarray]] = []
        for prefix in wanted:
            each = whole if prefix.pairs == self.estimates.reward.shape[1] else self.per_stream(prefix)
            rows.append([part[: prefix.streams].sum(axis=0) for part in each])
        return GradientSums(*(np.stack(column) for column in zip(*rows, strict=True)))
