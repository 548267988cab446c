"""What the value net is worth in training: final returns with it and without a baseline (paper, section 2.2)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dpg.numerics.statistics import Interval, bootstrap
from dpg.report.tables import RESAMPLES, final_returns, interval_over_agents
from dpg.runtime.schema import Statistics

NOT_KNOWN = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Comparison:
    """Final returns of one cell with the value net and without a baseline, and their ratio, without / with."""

    with_value: Interval
    without: Interval
    ratio: Interval


def compare(history: pd.DataFrame, ablation: pd.DataFrame, statistics: Statistics) -> Comparison:
    """Compare the final returns of one cell's agents: `history` with the value net, `ablation` with b = 0."""
    with_value, without = final_returns(history), final_returns(ablation)
    return Comparison(
        interval_over_agents(with_value, statistics),
        interval_over_agents(without, statistics),
        ratio_of_means(without, with_value, statistics),
    )


def ratio_of_means(
    numerator: Float[np.ndarray, " N"], denominator: Float[np.ndarray, " M"], statistics: Statistics
) -> Interval:
    """mean(numerator) / mean(denominator), with an interval that resamples the agents of both sides independently.

    Agents with the same number start from the same networks on both sides; that pairing is not used. The interval is
    widened for the smaller side alone, as `bootstrap` does for few units: a little wide for two.

    A ratio of returns has a meaning only where the denominator is positive: where its mean is not, the ratio is NaN,
    and where an agent's is not, there is no interval.
    """
    if min(len(numerator), len(denominator)) == 0 or denominator.mean() <= 0:
        return NOT_KNOWN
    point = float(numerator.mean() / denominator.mean())
    if denominator.min() <= 0:
        return Interval(point, float("nan"), float("nan"))
    rng = RESAMPLES.generator()

    def resampled_mean(side: Float[np.ndarray, " K"], resamples: int) -> Float[np.ndarray, " B"]:
        return side[rng.integers(0, len(side), size=(resamples, len(side)))].mean(axis=-1)

    def resampled_ratios(indices: Int[np.ndarray, "B K"]) -> Float[np.ndarray, " B"]:
        return resampled_mean(numerator, len(indices)) / resampled_mean(denominator, len(indices))

    units = min(len(numerator), len(denominator))
    return bootstrap(point, resampled_ratios, units, statistics.confidence, statistics.resamples, rng)
