"""The unit that a value net predicts in, raw or scaled rewards, decided by measurement.

The flag in a file can be wrong: a normaliser is often saved after it was switched to evaluation. For a value net that
is right, the mean of V(s) - gamma V(s') over pairs is the mean reward in the net's unit, whatever the horizon. Their
ratio to the raw rewards is 1 for a net of raw rewards and 1 / sigma for one of rewards that were divided by sigma.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from dpg.agent.normalization import Moments
from dpg.agent.snapshot import Snapshot
from dpg.learning.batch import estimate_values
from dpg.probes.collection import fresh_streams, probe_seed

NUM_STREAMS, NUM_PAIRS = 8, 500
CERTAIN = 2.0  # standard errors that the ratio must keep from the edge
NEAR = 1 / 3  # of the distance between the units, on a logarithmic scale: how far off a value net may be


@dataclass(frozen=True)
class Ratio:
    """Temporal differences over raw rewards, and the standard error of its logarithm; NaN where it is not positive."""

    value: float
    log_error: float

    @property
    def log(self) -> float:
        """The ratio's logarithm."""
        return math.log(self.value) if self.value > 0 else math.nan

    def __str__(self) -> str:
        return f"{self.value:.3g} (a factor of {math.exp(min(CERTAIN * self.log_error, 99)):.2g} either way)"


def measure(snapshot: Snapshot) -> Ratio:
    """The ratio on fresh streams of a snapshot whose rewards are not scaled, from the start of episodes."""
    node = probe_seed(0, "value unit", snapshot)
    recipe = snapshot.recipe.model_copy(update={"streams": "reset"})
    seeds = [node / f"stream={index}" for index in range(NUM_STREAMS)]
    streams = fresh_streams(replace(snapshot, recipe=recipe), seeds, NUM_PAIRS)
    found = estimate_values(snapshot.state, streams, recipe.common, recipe.config)
    difference = (found.value - recipe.common.gamma * found.next_value).sum(axis=1)
    return ratio(difference, streams.reward.sum(axis=1))


def ratio(difference: Float[np.ndarray, " N"], reward: Float[np.ndarray, " N"]) -> Ratio:
    """Of the sums over N streams; the error is the jackknife's, which leaves one stream out at a time."""
    whole = float(difference.sum() / reward.sum()) if reward.sum() else math.nan
    if not whole > 0:
        return Ratio(whole, math.nan)
    without = (difference.sum() - difference) / (reward.sum() - reward)
    if not np.all(without > 0):
        return Ratio(whole, math.inf)
    return Ratio(whole, float(np.sqrt((len(reward) - 1) * np.var(np.log(without)))))


def decide(found: Ratio, sigma: float, flag: bool | None) -> tuple[bool, str]:
    """Whether rewards were scaled by `sigma` for the value net, and the line that says why.

    Undecided where the ratio is nearer to neither unit, where its error leaves that open, or where the units differ by
    less than a factor of two: then `flag` is taken, which is what the file says.
    """
    apart = abs(math.log(sigma)) if sigma > 0 else math.nan
    said = {None: "says nothing", True: "says scaled", False: "says raw"}[flag]
    what = f"V(s) - gamma V(s') over rewards is {found}; raw is 1, scaled {1 / sigma if sigma else math.inf:.3g}"
    distances = {False: abs(found.log), True: abs(found.log + math.log(sigma))} if sigma > 0 else {}
    for scaled, distance in distances.items():
        if apart > math.log(2) and distance < NEAR * apart and distance + CERTAIN * found.log_error < apart / 2:
            unit = "scaled" if scaled else "raw"
            return scaled, f"value net in {unit} units, by measurement: {what}; the file {said}"
    taken = True if flag is None else flag
    unit = "scaled" if taken else "raw"
    return taken, f"value net in {unit} units, undecided by measurement: {what}; the file {said}"


def settle(snapshot: Snapshot, flag: bool | None, clip: float | None, *, has_statistics: bool) -> Snapshot:
    """The snapshot with its rewards in the unit of its value net; `clip` is that of scaled rewards.

    With statistics of the returns the unit is measured. Without, rewards are raw, unless the file says otherwise: then
    sigma is what the ratio says, if it says so clearly, or is lacking.
    """
    if "value_net" in snapshot.lacks:
        return snapshot
    if not has_statistics and not flag:
        return _assuming(snapshot, "value net in raw units: there are no statistics of returns")
    found = measure(snapshot)
    if has_statistics:
        scaled, line = decide(found, float(snapshot.state.return_moments.std[0, 0]), flag)
        return _assuming(_scaled(snapshot, clip) if scaled else snapshot, line)
    if found.value > 0 and CERTAIN * found.log_error < math.log(2):
        moments = Moments(np.zeros(1), np.zeros((1, 1)), np.full((1, 1), found.value**-2), 0.0)
        estimated = replace(snapshot, state=replace(snapshot.state, return_moments=moments))
        line = f"rewards scaled by 1 / {1 / found.value:.3g}, estimated: V(s) - gamma V(s') over rewards is {found}"
        return _assuming(_scaled(estimated, clip), line)
    line = f"scale of rewards unknown: V(s) - gamma V(s') over rewards is {found}"
    return replace(_assuming(snapshot, line), lacks=(*snapshot.lacks, "return_normalizer"))


def _scaled(snapshot: Snapshot, clip: float | None) -> Snapshot:
    recipe = snapshot.recipe
    config = recipe.config.model_copy(update={"reward_scaling": True, "reward_clip": clip})
    return replace(snapshot, recipe=recipe.model_copy(update={"config": config}))


def _assuming(snapshot: Snapshot, line: str) -> Snapshot:
    source = snapshot.source
    assert source is not None
    return replace(snapshot, source=source.assuming(line))
