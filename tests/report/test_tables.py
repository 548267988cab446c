"""Tables are read cell by cell, and averaged over agents, each once."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dpg.report.aggregate import final_returns, interquartile_mean, over_agents, two_sample_interval
from dpg.runtime.outputs import MissingOutputError
from dpg.tables.catalog import catalog
from dpg.tables.checkpoint import Evaluation
from dpg.tables.store import load
from dpg.tables.table import table_of, write
from dpg.tables.training import History, RegimeHistory
from tests.report.conftest import ENV, folder_under


def test_tables_are_read_as_they_were_written(written, experiment):
    read = load(["Hopper-v4"], ["ppo"], folder_under(written))
    assert set(read.frames) == set(experiment.tables.frames)
    for kind, frame in read.frames.items():
        pd.testing.assert_frame_equal(frame, experiment[kind])


def test_a_table_of_a_task_is_read_once_for_all_its_algorithms(written, experiment):
    for path in list(written.glob("*/Hopper-v4/ppo")):
        shutil.copytree(path, path.with_name("trpo"))
    pd.testing.assert_frame_equal(
        load(["Hopper-v4"], ["ppo", "trpo"], folder_under(written))[RegimeHistory], experiment[RegimeHistory]
    )


def test_cells_that_are_not_named_are_not_read(written, experiment):
    """Left over from an earlier experiment, they must not enter a figure."""
    stale = written / "train" / "Hopper-v4" / "trpo"
    stale.mkdir()
    experiment[History].assign(algorithm="trpo").to_csv(stale / "history.csv", index=False)
    assert set(load(["Hopper-v4"], ["ppo"], folder_under(written))[History]["algorithm"]) == {"ppo"}


@pytest.mark.parametrize(
    "missing",
    [
        "train/Hopper-v4/ppo/history.csv",
        "landscape/Hopper-v4/ppo/landscape.csv",
        "ablation/Hopper-v4/ppo/history.csv",
        "regimes/Hopper-v4/history.csv",
    ],
)
def test_a_missing_table_is_named(written, missing):
    (written / missing).unlink()
    with pytest.raises(MissingOutputError, match=f"{missing} is missing"):
        load(["Hopper-v4"], ["ppo"], folder_under(written))


def test_every_table_that_cannot_be_used_is_named_with_what_makes_it(written):
    (written / "gradient" / ENV / "ppo" / "similarity.csv").unlink()
    history = written / "regimes" / ENV / "history.csv"
    pd.read_csv(history).drop(columns=["lr", "pairs"]).to_csv(history, index=False)
    value, updates = (
        written / "value" / ENV / "ppo" / "value.csv",
        written / "update_step" / ENV / "ppo" / "update_step.csv",
    )
    value.write_text(value.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    updates.write_text("", encoding="utf-8")
    with pytest.raises(MissingOutputError) as told:
        load([ENV], ["ppo"], folder_under(written))
    first, *lines = str(told.value).splitlines()
    assert first == "4 of the tables cannot be used:"
    again = "run `dvc repro --force --single-item"
    for line, table, words in zip(
        lines,
        ("similarity.csv is missing", "history.csv has no", "update_step.csv is not a table", "value.csv has no rows"),
        (f"run `dvc repro gradient@{ENV}-ppo`", f"columns lr, pairs: {again} regimes@{ENV}`",
         f"{again} update_step@{ENV}-ppo`", f"{again} value@{ENV}-ppo`"),
        strict=True,
    ):  # fmt: skip
        assert table in line
        assert words in line


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("pairs", 1.5, "column pairs must be of type int"),
        ("cosine", "high", "column cosine must be of type float"),
        ("against", 3, "column against must be of type str"),
    ],
)
def test_a_column_of_another_type_is_named(column, values, words, written):
    """Else a figure fails far from the table, or draws what is not a number."""
    path = written / "gradient" / ENV / "ppo" / "similarity.csv"
    pd.read_csv(path).assign(**{column: values}).to_csv(path, index=False)
    with pytest.raises(MissingOutputError, match=rf"similarity.csv {words}: run `dvc repro --force"):
        load([ENV], ["ppo"], folder_under(written))


def test_every_declared_table_is_in_the_catalog_and_has_a_meaning_for_every_column():
    """A module of `dpg.tables` is found by being there."""
    names = list(catalog())
    assert len(names) == len(set(names)) >= 22
    assert {"gradient/noise.csv", "regimes/history.csv", "calibrate/calibration.csv"} <= set(names)
    for kind in catalog().values():
        assert all(column.unit and column.meaning for column in table_of(kind).columns)


def test_a_table_of_other_columns_than_declared_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="columns env are not the declared env, algorithm, agent"):
        write(History, pd.DataFrame({"env": ["A"]}), tmp_path)


def test_means_over_agents_leave_out_what_is_nan_and_count_the_rest(statistics):
    table = pd.DataFrame(
        {
            "pairs": [1, 1, 1, 2, 2, 2, 3, 3, 3],
            "agent": [0, 1, 2] * 3,
            "x": [1.0, 2.0, 6.0, 4.0, np.nan, 8.0, np.nan, np.nan, 5.0],
        }
    )
    result = over_agents(table, ["pairs"], "x", statistics)
    assert result["mean"].tolist() == [3.0, 6.0, 5.0]
    assert result["agents"].tolist() == [3, 2, 1]
    assert (result["low"][:2] < result["mean"][:2]).all()
    assert (result["mean"][:2] < result["high"][:2]).all()
    assert np.isnan(result["low"][2])
    assert np.isnan(result["high"][2])


def test_the_difference_of_two_groups_is_not_narrower_than_welchs(statistics):
    """Three agents against eight of another spread: SciPy's interval is that of the jackknife."""
    first, second = np.array([3.0, 3.1, 3.2]), np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 20.0])
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    found = two_sample_interval(lambda a, b: first[a].mean(-1) - second[b].mean(-1), 3, 8, statistics)
    assert found.mean == pytest.approx(first.mean() - second.mean())
    assert found.low <= welch.low + 1e-9
    assert found.high == pytest.approx(welch.high)


def test_a_group_without_values_has_a_mean_of_nan(statistics):
    table = pd.DataFrame({"pairs": [1, 1], "agent": [0, 1], "x": [np.nan, np.nan]})
    result = over_agents(table, ["pairs"], "x", statistics)
    assert np.isnan(result["mean"][0])
    assert result["agents"][0] == 0


def test_an_interval_does_not_depend_on_the_other_groups(experiment, statistics):
    whole = over_agents(experiment[History], ["pairs"], "mean_return", statistics)
    part = over_agents(experiment[History][experiment[History]["iteration"] > 5], ["pairs"], "mean_return", statistics)
    pd.testing.assert_frame_equal(whole.tail(len(part)).reset_index(drop=True), part)


def test_an_agent_cannot_count_twice(experiment, statistics):
    with pytest.raises(ValueError, match="several rows"):
        over_agents(experiment[Evaluation], ["iteration"], "mean_return", statistics)


def test_final_returns_are_of_the_last_five_iterations_of_each_agent(experiment):
    history = experiment[History]
    history.loc[(history["agent"] == 1) & (history["iteration"] < 7), "mean_return"] = np.nan
    history.loc[history["agent"] == 2, "mean_return"] = np.nan
    # 10 i + k: agent 0 over iterations 3 to 7, agent 1 at iteration 7 alone, agent 2 nowhere.
    assert final_returns(history).tolist() == [50.0, 71.0]


def test_one_agent_far_off_hardly_moves_the_interquartile_mean(statistics):
    near, far = (interquartile_mean(np.array([0.0, 10.0, 20.0, last]), statistics) for last in (30.0, 1000.0))
    assert near.mean == far.mean == 15.0
    assert near.low < 15.0 < near.high
    assert interquartile_mean(np.array([1.0, 2.0, 6.0]), statistics).mean == 3.0  # of three, none is left out
    assert np.isnan(interquartile_mean(np.array([]), statistics).mean)
    assert np.isnan(interquartile_mean(np.array([1.0]), statistics).low)


def test_the_interval_of_a_correlation_lies_between_its_bounds(experiment, statistics):
    rows = pd.DataFrame({"agent": [0, 1, 2], "iteration": 4, "r": [1.0, 0.9, -0.2]})
    free, bounded = (
        over_agents(rows, ["iteration"], "r", statistics, correlation=each).iloc[0] for each in (False, True)
    )
    assert free["mean"] == bounded["mean"]
    assert free["high"] > 1 > bounded["high"] > bounded["mean"] > bounded["low"] > -1 > free["low"]
