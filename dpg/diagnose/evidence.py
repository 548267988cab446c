"""All that checks read: what was measured of one agent, and the few statistics that several of them share."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from dpg.agent.snapshot import Snapshot
from dpg.diagnose.measurements import EpisodeSums, StateValues, StreamResults, baselines_of, root
from dpg.diagnose.plan import DiagnosisPlan
from dpg.diagnose.records import RecordedReturns
from dpg.numerics.statistics import Interval, bootstrap, mean_interval
from dpg.probes.gradient_sums import GradientMoments, GradientSums, gradient_noise, moments, noise_scale, pool
from dpg.probes.true_value import Fitted
from dpg.probes.update_gain import Gains
from dpg.streams.episodes import Episodes

CONFIDENCE, RESAMPLES = 0.95, 1000
GROUPS = 32  # of streams, for the noise of the gradient: enough for Student's t, and few enough to leave each out


class UnmeasuredError(Exception):
    """A check cannot be made on this agent; the message says what it lacks. Never leaves `dpg.diagnose`."""


@dataclass(frozen=True)
class Evidence:
    """What was measured of one agent; `missing` says why a measurement was not made, by its field.

    A check is made only where the measurements that it needs are there.
    """

    plan: DiagnosisPlan
    records: tuple[RecordedReturns, ...] = ()
    returns: Mapping[str, Episodes] = field(default_factory=dict)
    states: StateValues | None = None
    fit: Fitted | None = None
    streams: StreamResults | None = None
    updates: Gains | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def snapshot(self) -> Snapshot:
        """The agent."""
        return self.plan.snapshot

    def generator(self, name: str) -> np.random.Generator:
        """For the resamples of one check."""
        return (root(self.snapshot, self.plan.seed) / "bootstrap" / name).generator()

    def mean(self, values: Float[np.ndarray, " N"], name: str) -> Interval:
        """The mean of independent values, and its interval."""
        return mean_interval(values, CONFIDENCE, RESAMPLES, self.generator(name))

    def statistic(
        self,
        function: Callable[[Int[np.ndarray, "B n"]], Float[np.ndarray, " B"]],
        units: int,
        name: str,
        confidence: float = CONFIDENCE,
    ) -> Interval:
        """Any statistic of independent units, as a function of their indices, and its interval."""
        point = float(function(np.arange(units)[None])[0])
        return bootstrap(point, function, units, confidence, RESAMPLES, self.generator(name))

    @property
    def episodes(self) -> EpisodeSums:
        """Of the streams."""
        assert self.streams is not None
        return self.streams.episodes

    def sums(self, baseline: str | None = None) -> GradientSums:
        """Of every stream's gradient with a baseline, by default the agent's own."""
        assert self.streams is not None
        return self.streams.sums[baseline or baselines_of(self.snapshot, None)[0]]

    def gradients(self, baseline: str | None = None) -> Float[np.ndarray, "B D"]:
        """The gradient of every training batch, with a baseline, by default the agent's own."""
        count = self.snapshot.recipe.num_envs
        sums = self.sums(baseline)
        return GradientSums(*(each.reshape(-1, count, *each.shape[1:]).sum(axis=1) for each in sums)).gradient()

    @cached_property
    def gradient_parts(self) -> list[GradientMoments]:
        """Of all streams: what the gradient's noise follows from."""
        return parts_of(self.sums())


def parts_of(each: GradientSums, coordinates: slice = slice(None)) -> list[GradientMoments]:
    """Streams as independent parts, at most `GROUPS`, with all coordinates of their gradients or some."""
    vectors = (each.score[:, coordinates], each.weighted_score[:, coordinates])
    chosen = GradientSums(*each[:4], *vectors)
    count = len(chosen.pairs)
    groups = (chosen.rows(indices.tolist()) for indices in np.array_split(np.arange(count), min(count, GROUPS)))
    return [moments(group) for group in groups]


def scale_in_pairs(evidence: Evidence) -> Interval:
    """The gradient noise scale in pairs; an end that is not known is no bound."""
    timesteps = float(evidence.snapshot.recipe.common.timesteps)
    mean, low, high = times(noise_scale(evidence.gradient_parts, CONFIDENCE), timesteps)
    bounded = Interval(mean if math.isfinite(mean) else math.inf, low, high if math.isfinite(high) else math.inf)
    return bounded if math.isfinite(low) else Interval(mean, low, high)


def times(interval: Interval, factor: float) -> Interval:
    """An interval in another unit."""
    return Interval(*(factor * end for end in interval))


def layer_shares(evidence: Evidence) -> list[tuple[str, float, float]]:
    """Of every layer: its name, its share of the squared gradient, and its share of the noise."""
    sums, layers = evidence.sums(), layer_slices(evidence)
    found = [gradient_noise(*pool(parts_of(sums, coordinates))) for coordinates in layers.values()]
    squared, trace = (np.array([getattr(each, field) for each in found]) for field in ("gradient_squared", "trace"))
    return list(zip(layers, (squared / squared.sum()).tolist(), (trace / trace.sum()).tolist(), strict=True))


def layer_slices(evidence: Evidence) -> dict[str, slice]:
    """Coordinates of every layer, weights with biases, and of the log standard deviations."""
    layout = evidence.snapshot.state.architecture.policy_layout
    edges = np.cumsum([0, *layout.sizes]).tolist()
    found: dict[str, slice] = {}
    for (name, _), begin, end in zip(layout.shapes, edges, edges[1:], strict=False):
        layer = f"layer {int(name[1:]) + 1}" if name[0] in "wb" else "log std"
        found[layer] = slice(found[layer].start if layer in found else begin, end)
    return found
