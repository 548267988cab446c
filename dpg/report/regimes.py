"""Peaks and final returns over sample sizes and learning rates, at equal total pairs (paper, fig. 3)."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dpg.numerics.ratios import ratio
from dpg.numerics.statistics import Interval, bootstrap
from dpg.report.aggregate import NO_INTERVAL, RESAMPLES, interval_over_agents, two_sample_interval
from dpg.report.experiment import select
from dpg.runtime.schema import Statistics

WINDOW = 5  # a training is smoothed, and its end is taken, over a fifth of its iterations


def returns_of_agents(regimes: pd.DataFrame) -> pd.DataFrame:
    """`final_return`, `peak_return`, `decline` and `rise` of every training, by env, timesteps, lr and agent.

    Curves are smoothed by a moving average over max(1, n // 5) of n iterations, the same share of the pairs at every
    sample size; iterations without a finished episode are skipped. `final_return` is the end of the smoothed curve, the
    mean over the last fifth of the training. `peak_return` is the agent's smoothed return where the mean curve of the
    *other* agents of the same sample size and rate is highest: an agent's own maximum is one over noise, and lies above
    its end even without a decline. `decline` is final - peak. `rise` is that over the last fifth, final minus the
    smoothed return a fifth earlier. NaN if no episode ended in the last fifth; a single agent has no peak, and a
    training shorter than two fifths no rise.
    """
    parts: dict[Any, pd.DataFrame] = {}
    for size, trainings in regimes.groupby(["env", "timesteps"], sort=False):
        curves, window = _smoothed(trainings)
        values = curves.to_numpy(np.float64).T
        final, earlier = values[:, -1], values[:, -1 - window] if len(curves) > window else np.nan
        rate = curves.columns.get_level_values("lr")
        peak = np.full(len(values), np.nan)
        for lr in rate.unique():
            own = (rate == lr) & np.isfinite(final)
            (peak[own],) = at_others_peak(values[own], np.ones((1, own.sum())))
        columns = {"final_return": final, "peak_return": peak, "decline": final - peak, "rise": final - earlier}
        parts[size] = pd.DataFrame(columns, index=curves.columns)
    return pd.concat(parts, names=["env", "timesteps"]).reset_index()


def _smoothed(trainings: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Smoothed curves of one env and sample size, a column for each rate and agent; the window in iterations."""
    # No row is double: `pivot` would raise.
    curves = trainings.pivot(index="iteration", columns=["lr", "agent"], values="mean_return")  # noqa: PD010
    window = max(1, len(curves) // WINDOW)
    return curves.rolling(window, min_periods=1).mean().iloc[window - 1 :], window


def at_others_peak(curves: Float[np.ndarray, "N T"], copies: Float[np.ndarray, "B N"]) -> Float[np.ndarray, "B N"]:
    """Each curve where the mean of the others is highest, with `copies` of every curve; NaN without others."""
    known = np.isfinite(curves)
    filled = np.where(known, curves, 0.0)
    total = (copies @ filled)[:, None] - copies[:, :, None] * filled
    count = (copies @ known)[:, None] - copies[:, :, None] * known
    others = np.divide(total, count, out=np.full(total.shape, -np.inf), where=count > 0)
    peaks = np.take_along_axis(np.broadcast_to(curves, others.shape), others.argmax(axis=-1)[..., None], axis=-1)
    return np.where((count > 0).any(axis=-1), peaks[..., 0], np.nan)


def decline(trainings: pd.DataFrame, statistics: Statistics, *, relative: bool = False) -> Interval:
    """The mean decline of the agents of one env, sample size and rate; `relative` to their mean return at the peak.

    The interval resamples agents and finds the peaks anew, since peaks depend on the other agents. A relative decline
    is NaN if the mean peak is not positive.
    """
    curves, _ = _smoothed(trainings)
    values = curves.to_numpy(np.float64).T
    values = values[np.isfinite(values[:, -1])]

    def statistic(indices: Int[np.ndarray, "B N"]) -> Float[np.ndarray, " B"]:
        copies = (indices[:, :, None] == np.arange(len(values))).sum(axis=1).astype(np.float64)
        peaks = at_others_peak(values, copies)
        weights = np.where(np.isfinite(peaks), copies, 0.0)
        peak, final = ((weights * np.nan_to_num(each)).sum(axis=1) for each in (peaks, values[:, -1]))
        over = peak if relative else weights.sum(axis=1)
        return ratio(final - peak, over)

    if len(values) == 0:
        return NO_INTERVAL
    (point,) = statistic(np.arange(len(values))[None])
    rng = RESAMPLES.generator()
    return bootstrap(float(point), statistic, len(values), statistics.confidence, statistics.resamples, rng)


def late_rise(returns: pd.DataFrame) -> "pd.Series[float]":
    """The rise of each agent's return over the last fifth of the training, relative to the mean final return.

    `returns` are the rows of `returns_of_agents` of one env, sample size and rate. Empty for trainings shorter than two
    fifths, or if the mean final return is not positive.
    """
    final = returns["final_return"].dropna().mean()
    return (returns["rise"] / (final if final > 0 else np.nan)).dropna()


def optimum(rates: Float[np.ndarray, " R"], returns: Float[np.ndarray, "B R"]) -> Float[np.ndarray, " B"]:
    """The rate with the highest return, interpolated between the increasing `rates` that were tried.

    The vertex of a parabola in log(rate) through the highest return and its two neighbours. At an end of the range, or
    next to a rate without a return (NaN), the best rate tried; of equal ones the lower.
    """
    x, heights = np.log(rates), np.where(np.isnan(returns), -np.inf, returns)
    best = heights.argmax(axis=-1)
    middle = np.clip(best, 1, max(1, len(rates) - 2))
    if len(rates) < 3:
        return rates[best]
    y = np.stack([np.take_along_axis(heights, (middle + k)[:, None], axis=-1)[:, 0] for k in (-1, 0, 1)])
    left, right = x[middle] - x[middle - 1], x[middle + 1] - x[middle]
    inside = (best == middle) & np.isfinite(y).all(axis=0)
    fall_left, fall_right = (np.where(inside, y[1] - np.where(inside, y[k], 0), 0) for k in (0, 2))
    bend = left * fall_right + right * fall_left
    shift = np.divide(left**2 * fall_right - right**2 * fall_left, 2 * bend, out=np.zeros_like(bend), where=bend > 0)
    return np.exp(x[best] - shift)


def best_rate_ratio(returns: pd.DataFrame, sizes: tuple[int, int], statistics: Statistics) -> Interval:
    """The best rate (`optimum`) at the second of two sample sizes over that at the first, in one env.

    `returns` are the rows of `returns_of_agents`. Agents are resampled at each size and the best rate is found anew.
    All rates of a size share the resample, since agents with the same number start from the same networks. The interval
    is that of the ratio's logarithm.
    """
    first, second = (_finals(returns, size) for size in sizes)

    def log_best(finals: pd.DataFrame, indices: Int[np.ndarray, "B N"]) -> Float[np.ndarray, " B"]:
        return np.log(optimum(finals.columns.to_numpy(np.float64), _means(finals.to_numpy(np.float64)[indices])))

    def log_ratio(one: Int[np.ndarray, "B N"], other: Int[np.ndarray, "B M"]) -> Float[np.ndarray, " B"]:
        return log_best(second, other) - log_best(first, one)

    if first.isna().all(axis=None) or second.isna().all(axis=None):
        return NO_INTERVAL
    return Interval(*map(float, np.exp(two_sample_interval(log_ratio, len(first), len(second), statistics))))


def _finals(returns: pd.DataFrame, timesteps: int) -> pd.DataFrame:
    """Final returns at one sample size, by agent (rows) and rate (columns)."""
    return select(returns, timesteps=timesteps).pivot(index="agent", columns="lr", values="final_return")  # noqa: PD010


def _means(values: Float[np.ndarray, "B N R"]) -> Float[np.ndarray, "B R"]:
    """Means over the agents that have a value; NaN if none has."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1, dtype=np.float64))


def summarize(regimes: pd.DataFrame, statistics: Statistics) -> pd.DataFrame:
    """Means over agents for every env, sample size and rate, with intervals that resample agents.

    Only agents with a final return count. A single agent has no peak.
    """
    columns = ["env", "timesteps", "lr", "agents", "final_return", "final_low", "final_high"]
    columns += ["peak_return", "decline", "decline_low", "decline_high"]
    rows = []
    for owner, trainings in regimes.groupby(["env", "timesteps", "lr"]):
        ended = returns_of_agents(trainings).dropna(subset="final_return")
        final = interval_over_agents(ended["final_return"].to_numpy(float), statistics)
        rows.append([*owner, len(ended), *final, ended["peak_return"].mean(), *decline(trainings, statistics)])
    return pd.DataFrame(rows, columns=columns)


def best_rates(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of `summarize` with the highest final return at each env and sample size, and `linear_scaling_lr`.

    Linear scaling predicts lr * T / T_smallest from the best rate at the smallest sample size; that may lie outside the
    rates tried. Of equal rates the lower is best; if no rate has a final return, every number is NaN.
    """
    ordered = summary.sort_values(["env", "timesteps", "lr"])
    ranked = ordered.dropna(subset="final_return").sort_values("final_return", ascending=False, kind="stable")
    best = ranked.drop_duplicates(["env", "timesteps"])
    sizes = ordered[["env", "timesteps"]].drop_duplicates()
    best = sizes.merge(best, how="left", on=["env", "timesteps"], validate="one_to_one")
    smallest = best.groupby("env")[["timesteps", "lr"]].transform(lambda column: column.iloc[0])
    return best.assign(linear_scaling_lr=smallest["lr"] * best["timesteps"] / smallest["timesteps"])
