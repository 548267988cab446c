"""Errors of nets at states set in the simulator, over agents: `true_value/state_errors.csv`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dpg.numerics.ratios import ratio
from dpg.numerics.statistics import bootstrap, root
from dpg.report.aggregate import NO_INTERVAL, RESAMPLES
from dpg.runtime.schema import Statistics


def errors_over_agents(errors: pd.DataFrame, by: Sequence[str], statistics: Statistics) -> pd.DataFrame:
    """Root mean square of V - v over that of v, for each value of `by`: columns `mean`, `low`, `high` and `agents`.

    Mean squares are averaged over agents, which the interval resamples, and the root is taken last: noise may make an
    agent's unbiased mean square negative, and roots that count it as zero would be too large on average.
    """
    keys = list(by)
    rows = []
    for values, group in errors.groupby(keys):
        squares = group[["squared_error", "squared_value"]].dropna().to_numpy(np.float64)
        rows.append([*values, *_error(squares, statistics), len(squares)])
    return pd.DataFrame(rows, columns=[*keys, "mean", "low", "high", "agents"])


def _error(squares: Float[np.ndarray, "N 2"], statistics: Statistics) -> tuple[float, float, float]:
    if len(squares) == 0:
        return NO_INTERVAL

    def square(indices: Int[np.ndarray, "B N"]) -> Float[np.ndarray, " B"]:
        means = squares[indices].mean(axis=1)
        return ratio(means[:, 0], means[:, 1])

    (point,) = square(np.arange(len(squares))[None])
    rng = RESAMPLES.generator()
    return root(bootstrap(float(point), square, len(squares), statistics.confidence, statistics.resamples, rng))
