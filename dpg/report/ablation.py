"""The value net's worth in training: final returns with it and without a baseline (paper, section 2.2)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dpg.numerics.statistics import Interval
from dpg.report.aggregate import NO_INTERVAL, final_returns, interval_over_agents, two_sample_interval
from dpg.report.experiment import Experiment
from dpg.runtime.schema import Statistics
from dpg.tables.training import AblationHistory, History


@dataclass(frozen=True)
class Comparison:
    """Final returns of one cell with the value net and without a baseline, and their ratio, without / with."""

    with_value: Interval
    without: Interval
    ratio: Interval


def compare(cell: Experiment) -> Comparison:
    """Compare the final returns of one cell's agents."""
    statistics = cell.statistics
    with_value, without = final_returns(cell[History]), final_returns(cell[AblationHistory])
    return Comparison(
        interval_over_agents(with_value, statistics),
        interval_over_agents(without, statistics),
        ratio_of_means(without, with_value, statistics),
    )


def ratio_of_means(
    numerator: Float[np.ndarray, " N"], denominator: Float[np.ndarray, " M"], statistics: Statistics
) -> Interval:
    """mean(numerator) / mean(denominator), with an interval that resamples the agents of both sides independently.

    Agents with the same number start from the same networks on both sides; that pairing is not used. A ratio of returns
    needs a positive denominator: NaN if its mean is not positive, no interval if one agent's is not.
    """
    if min(len(numerator), len(denominator)) == 0 or denominator.mean() <= 0:
        return NO_INTERVAL
    if denominator.min() <= 0:
        return NO_INTERVAL._replace(mean=float(numerator.mean() / denominator.mean()))

    def ratio(above: Int[np.ndarray, "B N"], below: Int[np.ndarray, "B M"]) -> Float[np.ndarray, " B"]:
        return numerator[above].mean(axis=-1) / denominator[below].mean(axis=-1)

    return two_sample_interval(ratio, len(numerator), len(denominator), statistics)
