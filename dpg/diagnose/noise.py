"""The noise of the policy gradient of one agent, in pairs and by layer: from the sums of its streams."""

import math

import numpy as np

from dpg.diagnose.evidence import CONFIDENCE, Evidence, parts_of
from dpg.numerics.statistics import Interval
from dpg.probes.gradient_sums import gradient_noise, noise_scale, pool


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
