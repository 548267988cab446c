"""Agreement of surrogate and reward by algorithm, checkpoint and batch size, for all cells."""

import pandas as pd

from dpg.report.aggregate import over_agents
from dpg.report.experiment import distinct
from dpg.runtime.schema import Statistics

KEYS = ["env", "algorithm", "iteration", "update_pairs"]
COLUMNS = ("grid_correlation", "step_correlation", "gain", "relative_gain")


def summarize(alignment: pd.DataFrame, column: str, statistics: Statistics) -> pd.DataFrame:
    """The mean of a column over agents by task, algorithm, checkpoint and batch size, as `over_agents` has it.

    The interval of a single agent is its own, which resamples trajectories.
    """
    rows = with_relative_gain(alignment)
    if len(distinct(rows, "agent")) > 1:
        return over_agents(rows, KEYS, column, statistics)
    names = {column: "mean", f"{column}_low": "low", f"{column}_high": "high"}
    table = rows[[*KEYS, *names]].rename(columns=names).assign(agents=rows[column].notna().astype(int))
    return table.sort_values(KEYS, ignore_index=True)


def with_relative_gain(alignment: pd.DataFrame) -> pd.DataFrame:
    """The gain of the full step and its interval in percent of the snapshot's reward, without its sign."""
    scale = 100 / alignment["snapshot_reward"].abs()
    return alignment.assign(**{f"relative_gain{end}": scale * alignment[f"gain{end}"] for end in ("", "_low", "_high")})


def table(alignment: pd.DataFrame, statistics: Statistics) -> pd.DataFrame:
    """All columns with their intervals, by task, algorithm, checkpoint and batch size."""
    parts = []
    for column in COLUMNS:
        rows = summarize(alignment, column, statistics).set_index(KEYS)
        names = {"mean": column, "low": f"{column}_low", "high": f"{column}_high"}
        parts.append(rows.rename(columns=names)[list(names.values())])
    agents = alignment.groupby(KEYS)["agent"].nunique().rename("agents")
    return pd.concat([agents, *parts], axis=1).reset_index()
