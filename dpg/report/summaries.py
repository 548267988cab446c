"""Summaries over agents that figures, claims and metrics share: of state errors, of training without a baseline, and of
the agreement of surrogate and reward.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dpg.numerics.ratios import ratio
from dpg.numerics.statistics import Interval, bootstrap, root
from dpg.report.aggregate import (
    NO_INTERVAL,
    RESAMPLES,
    final_returns,
    interval_over_agents,
    over_agents,
    two_sample_interval,
)
from dpg.report.experiment import Experiment, distinct
from dpg.runtime.schema import Statistics
from dpg.tables.training import AblationHistory, History

_REGIME = ["env", "algorithm", "iteration", "update_pairs"]
_ALIGNMENT = ("grid_correlation", "step_correlation", "gain", "relative_gain")


def state_errors(errors: pd.DataFrame, by: Sequence[str], statistics: Statistics) -> pd.DataFrame:
    """Root mean square of V - v over that of v, for each value of `by`: columns `mean`, `low`, `high` and `agents`.

    `errors` has rows of `true_value/state_errors.csv`. Mean squares are averaged over agents, which the interval
    resamples, and the root is taken last: noise may make an agent's unbiased mean square negative, and roots that count
    it as zero would be too large on average.
    """
    keys = list(by)
    rows = []
    for values, group in errors.groupby(keys):
        squares = group[["squared_error", "squared_value"]].dropna().to_numpy(np.float64)
        rows.append([*values, *_root_mean_square(squares, statistics), len(squares)])
    return pd.DataFrame(rows, columns=[*keys, "mean", "low", "high", "agents"])


def _root_mean_square(squares: Float[np.ndarray, "N 2"], statistics: Statistics) -> Interval:
    if len(squares) == 0:
        return NO_INTERVAL

    def square(indices: Int[np.ndarray, "B N"]) -> Float[np.ndarray, " B"]:
        means = squares[indices].mean(axis=1)
        return ratio(means[:, 0], means[:, 1])

    (point,) = square(np.arange(len(squares))[None])
    rng = RESAMPLES.generator()
    return root(bootstrap(float(point), square, len(squares), statistics.confidence, statistics.resamples, rng))


@dataclass(frozen=True)
class WithoutBaseline:
    """Final returns of one cell with the value net and without a baseline, and their ratio, without / with."""

    with_value: Interval
    without: Interval
    ratio: Interval


def without_baseline(cell: Experiment) -> WithoutBaseline:
    """What the value net is worth in training (paper, section 2.2)."""
    with_value, without = final_returns(cell[History]), final_returns(cell[AblationHistory])
    return WithoutBaseline(
        interval_over_agents(with_value, cell.statistics),
        interval_over_agents(without, cell.statistics),
        ratio_of_means(without, with_value, cell.statistics),
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


def alignment(rows: pd.DataFrame, column: str, statistics: Statistics) -> pd.DataFrame:
    """The mean of a column over agents by task, algorithm, checkpoint and batch size, as `over_agents` has it.

    `rows` are those of `landscape/alignment.csv`, and the column may be `relative_gain`: that of the full step in
    percent of the snapshot's reward, without its sign. The interval of a single agent is its own, which resamples
    trajectories.
    """
    scale = 100 / rows["snapshot_reward"].abs()
    rows = rows.assign(**{f"relative_gain{end}": scale * rows[f"gain{end}"] for end in ("", "_low", "_high")})
    if len(distinct(rows, "agent")) > 1:
        return over_agents(rows, _REGIME, column, statistics, correlation=column.endswith("correlation"))
    names = {column: "mean", f"{column}_low": "low", f"{column}_high": "high"}
    table = rows[[*_REGIME, *names]].rename(columns=names).assign(agents=rows[column].notna().astype(int))
    return table.sort_values(_REGIME, ignore_index=True)


def alignment_table(rows: pd.DataFrame, statistics: Statistics) -> pd.DataFrame:
    """All columns with their intervals, by task, algorithm, checkpoint and batch size."""
    parts: list[Any] = [rows.groupby(_REGIME)["agent"].nunique().rename("agents")]
    for column in _ALIGNMENT:
        means = alignment(rows, column, statistics).set_index(_REGIME)
        names = {"mean": column, "low": f"{column}_low", "high": f"{column}_high"}
        parts.append(means.rename(columns=names)[list(names.values())])
    return pd.concat(parts, axis=1).reset_index()
