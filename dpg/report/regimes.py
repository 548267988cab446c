"""Sample sizes and learning rates with equal total pairs (paper, fig. 3): where trainings peak and where they end."""

import pandas as pd

from dpg.report.tables import interval_over_agents
from dpg.runtime.schema import Statistics

WINDOW = 5  # a training is smoothed, and its end is taken, over a fifth of its iterations

SUMMARY = ["env", "timesteps", "lr", "agents", "final_return", "final_low", "final_high"]
DECLINE = ["peak_return", "decline", "decline_low", "decline_high"]


def returns_of_agents(regimes: pd.DataFrame) -> pd.DataFrame:
    """Where every training peaked and ended: `final_return`, `peak_return`, `decline` by env, timesteps, lr and agent.

    A training of n iterations is smoothed by the mean of its `mean_return` over max(1, n // 5) iterations in a row, of
    those with episodes that ended: at every sample size the same share of the pairs. `final_return` is the last value
    of the smoothed curve, that is the mean over the training's last fifth; `peak_return` is its largest; `decline` is
    final - peak. NaN where no episode ended.

    A peak is a maximum over noise: `decline` is never above zero, and below it even where the true curve never falls,
    by more the noisier the curve is and the more iterations it has. It is to be compared between rates of the same
    sample size; its interval's lying below zero is no evidence of a fall.
    """
    keys = ["env", "timesteps", "lr", "agent"]
    rows = []
    for owner, training in regimes.groupby(keys, sort=False):
        window = max(1, len(training) // WINDOW)
        returns = training.sort_values("iteration")["mean_return"]
        smoothed = returns.rolling(window, min_periods=1).mean().iloc[window - 1 :]
        final, peak = smoothed.iloc[-1], smoothed.max()
        rows.append([*owner, final, peak, final - peak])
    return pd.DataFrame(rows, columns=[*keys, "final_return", "peak_return", "decline"])


def summarize(regimes: pd.DataFrame, statistics: Statistics) -> pd.DataFrame:
    """A row for every env, sample size and rate, over its agents.

    `agents` counts those whose training has a final return; `final_return` with `final_low` and `final_high`,
    `peak_return`, and `decline` with `decline_low` and `decline_high` are means over them and intervals that resample
    them. `decline` is biased below zero: see `returns_of_agents`.
    """
    rows = []
    for owner, agents in returns_of_agents(regimes).groupby(["env", "timesteps", "lr"]):
        ended = agents.dropna(subset="final_return")
        final, decline = (
            interval_over_agents(ended[column].to_numpy(float), statistics) for column in ("final_return", "decline")
        )
        rows.append([*owner, len(ended), *final, ended["peak_return"].mean(), *decline])
    return pd.DataFrame(rows, columns=[*SUMMARY, *DECLINE])


def best_rates(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of `summarize` with the highest final return at each env and sample size, and `linear_scaling_lr`.

    That is the rate that linear scaling predicts from the best at the smallest sample size: lr * T / T_smallest. It
    may lie outside the rates that were tried, as may the true best where the best of those is the first or last of
    them. Of equal rates the lower is taken; where no rate has a final return, every number is NaN.
    """
    ordered = summary.sort_values(["env", "timesteps", "lr"])
    ranked = ordered.dropna(subset="final_return").sort_values("final_return", ascending=False, kind="stable")
    best = ranked.drop_duplicates(["env", "timesteps"])
    sizes = ordered[["env", "timesteps"]].drop_duplicates()
    best = sizes.merge(best, how="left", on=["env", "timesteps"], validate="one_to_one")
    smallest = best.groupby("env")[["timesteps", "lr"]].transform(lambda column: column.iloc[0])
    return best.assign(linear_scaling_lr=smallest["lr"] * best["timesteps"] / smallest["timesteps"])
