"""The tables that figures and metrics are made of, and the selections and means that they share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dpg.numerics.statistics import Interval, all_but_one, mean_interval, wider_interval
from dpg.report.columns import COLUMNS
from dpg.runtime.outputs import MissingOutputError, read_reasons, read_table
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed

# Apart from the experiment's seed: the same tables give the same figures. Every interval uses the same resamples, so
# that a band over iterations is not roughened by the bootstrap.
RESAMPLES = Seed(0) / "report" / "agents"

# Table: the stage and the file that it is read from, for every cell and for every task.
SOURCES = {
    "history": ("train", "history.csv"),
    "evaluation": ("checkpoint", "evaluation.csv"),
    "similarity": ("gradient", "similarity.csv"),
    "noise": ("gradient", "noise.csv"),
    "updates": ("update_step", "update_step.csv"),
    "update_gains": ("update_gain", "update_gain.csv"),
    "snapshot_gains": ("update_gain", "snapshots.csv"),
    "agent_gains": ("update_gain", "agents.csv"),
    "value": ("value", "value.csv"),
    "fits": ("true_value", "fit.csv"),
    "losses": ("true_value", "loss.csv"),
    "states": ("true_value", "states.csv"),
    "opinions": ("true_value", "state_errors.csv"),
    "baselines": ("baselines", "baselines.csv"),
    "differences": ("baselines", "differences.csv"),
    "gains": ("baselines", "agents.csv"),
    "landscape": ("landscape", "landscape.csv"),
    "concentration": ("landscape", "concentration.csv"),
    "resolution": ("landscape", "resolution.csv"),
    "alignment": ("landscape", "alignment.csv"),
    "ablation": ("ablation", "history.csv"),
}
TASK_SOURCES = {"regimes": ("regimes", "history.csv")}

REASON = ("env", "algorithm", "stage", "reason")

LAST_ITERATIONS = 5
NO_INTERVAL = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Tables:
    """Every table of an experiment, its cells one below the other.

    Rows are `dpg.learning.training.Record` (with `env` and `algorithm`; in `ablation` of agents without a baseline, in
    `regimes` also with `timesteps` and `lr`), `dpg.probes.evaluation.Evaluation`, `dpg.probes.gradient.Similarity`,
    `Noise` and `Agreement`, `dpg.probes.update_step.Agreement`, `dpg.probes.gain_tables.UpdateGain`,
    `SnapshotGain` and `AgentsGain`, `dpg.probes.value.PredictionError`,
    `dpg.probes.true_value.Quality` and `Epoch`, `dpg.probes.states.StateValue` and `Opinion`,
    `dpg.probes.baselines.Comparison`, `Difference` and `Gain`,
    `dpg.probes.alignment.Point`, `FewerPairs`, `Resolution` and `Alignment`.

    `reasons` says why a `stage` did not measure all of a cell, or of a task without an algorithm: a row a reason. Its
    tables may lack rows there.
    """

    history: pd.DataFrame
    evaluation: pd.DataFrame
    similarity: pd.DataFrame
    noise: pd.DataFrame
    updates: pd.DataFrame
    update_gains: pd.DataFrame
    snapshot_gains: pd.DataFrame
    agent_gains: pd.DataFrame
    value: pd.DataFrame
    fits: pd.DataFrame
    losses: pd.DataFrame
    states: pd.DataFrame
    opinions: pd.DataFrame
    baselines: pd.DataFrame
    differences: pd.DataFrame
    gains: pd.DataFrame
    landscape: pd.DataFrame
    concentration: pd.DataFrame
    resolution: pd.DataFrame
    alignment: pd.DataFrame
    ablation: pd.DataFrame
    regimes: pd.DataFrame
    reasons: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=[*REASON]))

    def lacks(self, stage: str, **cell: str) -> str:
        """Why a stage did not measure all of a cell (`env`, `algorithm`) or task (`env`); empty if it did."""
        return "; ".join(distinct(select(self.reasons, stage=stage, **cell), "reason"))


def load(envs: Sequence[str], algorithms: Sequence[str], folder: Callable[[str, str | None, str], Path]) -> Tables:
    """The tables of every cell and task.

    `folder(env, algorithm, stage)` says where a stage left a cell's tables, or a task's where `algorithm` is None.

    Raises:
        MissingOutputError: tables are not there or not as they should be; a line for each, and what makes it.
    """
    problems: list[str] = []
    found: dict[str, pd.DataFrame] = {}
    every: list[tuple[dict[str, tuple[str, str]], Sequence[str | None]]] = [
        (SOURCES, algorithms),
        (TASK_SOURCES, [None]),
    ]
    for sources, owners in every:
        for name in sources:
            try:
                found[name] = read(name, envs, owners, folder)
            except MissingOutputError as error:
                problems += str(error).splitlines()
    if problems:
        raise MissingOutputError("\n  ".join([f"{len(problems)} of the tables cannot be used:", *problems]))
    reasons = [
        (env, algorithm or "", stage, reason)
        for sources, owners in every
        for env, algorithm, stage in product(envs, owners, dict.fromkeys(stage for stage, _ in sources.values()))
        for reason in read_reasons(folder(env, algorithm, stage))
    ]
    return Tables(**found, reasons=pd.DataFrame(reasons, columns=[*REASON]))


def read(
    name: str,
    envs: Sequence[str],
    algorithms: Sequence[str | None],
    folder: Callable[[str, str | None, str], Path],
) -> pd.DataFrame:
    """One table, by its name in `Tables`, of every cell, or of every task where the only algorithm is None.

    Raises:
        MissingOutputError: as `load`.
    """
    stage, file = (SOURCES | TASK_SOURCES)[name]
    parts: list[pd.DataFrame] = []
    problems: list[str] = []
    for env, algorithm in product(envs, algorithms):
        target = "-".join(filter(None, (f"{stage}@{env}", algorithm)))
        try:
            parts.append(_checked(folder(env, algorithm, stage) / file, COLUMNS[name].split(), target))
        except MissingOutputError as error:
            problems.append(str(error))
    if problems:
        raise MissingOutputError("\n".join(problems))
    # Tables without rows have no types of their own, and would change those of the others.
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _checked(path: Path, columns: Sequence[str], target: str) -> pd.DataFrame:
    """A table of these columns and more; `target` is the DVC stage that makes it. Without rows if it says why."""
    if not path.exists():
        raise MissingOutputError(f"{path} is missing: run `dvc repro {target}` to make it")
    # DVC does not run a stage again whose outputs are as it left them.
    again = f"run `dvc repro --force --single-item {target}` to make it again"
    try:
        table = read_table(path)
    except ValueError as error:  # nothing in it, or broken off
        raise MissingOutputError(f"{path} is no table ({' '.join(str(error).split())}): {again}") from None
    if lacking := [name for name in columns if name not in table]:
        told = f"column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}"
        raise MissingOutputError(f"{path} lacks the {told}: {again}")
    if table.empty and not read_reasons(path.parent):
        raise MissingOutputError(f"{path} has no rows: {again}")
    return table


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

    Agents are the interval's independent unit. An agent whose value is NaN is left out of its group;
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


def interval_over_agents(values: "np.ndarray | pd.Series[float]", statistics: Statistics) -> Interval:
    """The mean of one value an agent, and its interval; NaN without agents."""
    if len(values) == 0:
        return NO_INTERVAL
    return mean_interval(np.asarray(values, float), statistics.confidence, statistics.resamples, RESAMPLES.generator())


def two_sample_interval(
    statistic: Callable[[Int[np.ndarray, "B N"], Int[np.ndarray, "B M"]], Float[np.ndarray, " B"]],
    first: int,
    second: int,
    statistics: Statistics,
) -> Interval:
    """A statistic of two independent groups of agents, from their indices, and its interval, from both."""
    one, other = np.arange(first)[None], np.arange(second)[None]
    (point,) = statistic(one, other)
    if min(first, second) < 2:
        return Interval(float(point), float("nan"), float("nan"))
    without = [
        statistic(all_but_one(first), np.tile(other, (first, 1))),
        statistic(np.tile(one, (second, 1)), all_but_one(second)),
    ]
    resampled = statistic(*resampled_agents(first, second, statistics))
    return wider_interval(float(point), resampled, without, statistics.confidence)


def resampled_agents(
    first: int, second: int, statistics: Statistics
) -> tuple[Int[np.ndarray, "B N"], Int[np.ndarray, "B M"]]:
    """Indices of the agents of two groups, resampled independently."""
    rng = RESAMPLES.generator()
    return rng.integers(0, first, (statistics.resamples, first)), rng.integers(
        0, second, (statistics.resamples, second)
    )


def final_returns(history: pd.DataFrame) -> np.ndarray:
    """Of one cell's agents, each one's mean return over the last five iterations: the final performance of fig. 9.

    An iteration in which no episode of an agent ended does not count for it; an agent without any is left out.
    """
    last = history[history["iteration"] > history["iteration"].max() - LAST_ITERATIONS]
    return last.groupby("agent")["mean_return"].mean().dropna().to_numpy(np.float64)


def along_step(landscape: pd.DataFrame) -> pd.DataFrame:
    """The points on the update step, b = 0, in its order; spacing a grid can leave its zero at 1e-17."""
    distance = landscape["random"].abs()
    return landscape[distance == distance.min()].sort_values("step")
