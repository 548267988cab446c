"""The tables that figures and metrics are made of, and the mean over agents that they share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from dpg.numerics.statistics import Interval, mean_interval
from dpg.runtime.outputs import read_table
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed

# Apart from the experiment's seed: the same tables give the same figures. Every interval uses the same resamples, so
# that a band over iterations is not roughened by the bootstrap.
RESAMPLES = Seed(0) / "report" / "agents"

SOURCES = {
    "history": ("train", "history.csv"),
    "evaluation": ("checkpoint", "evaluation.csv"),
    "similarity": ("gradient", "similarity.csv"),
    "noise": ("gradient", "noise.csv"),
    "value": ("value", "value.csv"),
    "landscape": ("landscape", "landscape.csv"),
}


@dataclass(frozen=True)
class Tables:
    """Every table of an experiment, its cells one below the other.

    Rows are `dpg.learning.training.Record` (with `env` and `algorithm`), `dpg.probes.evaluation.Evaluation`,
    `dpg.probes.gradient.Similarity` and `Noise`, `dpg.probes.value.PredictionError`, `dpg.probes.landscape.Point`.
    """

    history: pd.DataFrame
    evaluation: pd.DataFrame
    similarity: pd.DataFrame
    noise: pd.DataFrame
    value: pd.DataFrame
    landscape: pd.DataFrame


def load(envs: Sequence[str], algorithms: Sequence[str], folder: Callable[[str, str, str], Path]) -> Tables:
    """The tables of every cell; `folder(env, algorithm, stage)` says where a stage left a cell's tables.

    Raises:
        MissingOutputError: a table is not there.
    """
    return Tables(
        **{
            name: pd.concat(
                [read_table(folder(env, algorithm, stage) / file) for env, algorithm in product(envs, algorithms)],
                ignore_index=True,
            )
            for name, (stage, file) in SOURCES.items()
        }
    )


def select(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows in which every named column has the given value."""
    keep = np.ones(len(table), bool)
    for column, value in values.items():
        keep &= (table[column] == value).to_numpy()
    return table[keep]


def distinct(table: pd.DataFrame, column: str) -> list:
    """The values of a column in the order in which they first come, as plain Python values."""
    return table[column].drop_duplicates().tolist()


def over_agents(table: pd.DataFrame, by: Sequence[str], column: str, statistics: Statistics) -> pd.DataFrame:
    """The mean of `column` over agents, in groups of equal `by`: a row a group with `mean`, `low`, `high`, `agents`.

    Agents are the independent unit that the interval resamples. An agent whose value is NaN is left out of its group;
    `agents` counts those that are in. The groups are sorted.

    Raises:
        ValueError: an agent has more than one row in a group, and would count more than once.
    """
    keys = list(by)
    if table.duplicated([*keys, "agent"]).any():
        raise ValueError(f"{column}: an agent has several rows with the same {', '.join(keys)}")
    rows = []
    for values, group in table.groupby(keys):
        finite = group[column].dropna().to_numpy(np.float64)
        interval = interval_over_agents(finite, statistics)
        rows.append([*values, *interval, len(finite)])
    return pd.DataFrame(rows, columns=[*keys, "mean", "low", "high", "agents"])


def interval_over_agents(values: np.ndarray, statistics: Statistics) -> Interval:
    """The mean of one value an agent, and its interval; NaN without agents."""
    if len(values) == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    return mean_interval(values, statistics.confidence, statistics.resamples, RESAMPLES.generator())
