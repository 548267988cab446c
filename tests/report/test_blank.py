"""A report of whatever there is: tables that are blank where they may be, and those of what is not measured."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dpg.report import metrics
from dpg.report.claims import decisions
from dpg.report.claims.catalog import claims as declared_claims
from dpg.report.experiment import Experiment
from dpg.report.figures import concentration, landscape
from dpg.report.figures.catalog import instances
from dpg.report.page import render
from dpg.report.summaries import alignment_table
from dpg.runtime.outputs import MissingOutputError, write_reasons
from dpg.tables.landscape import Alignment
from dpg.tables.store import load, read
from dpg.tables.table import TableScope, table_of
from dpg.tables.training import History, RegimeHistory
from dpg.tables.value import PredictionError
from tests.report.conftest import ENV, RATES, folder_under, make_experiment, write_files

OTHER = "Pendulum-v1"
WHY = "needs another gamma: it says so here"
UNMEASURED = ("ablation", "value", "true_value", "baselines")
# Not what this is about, and slow to draw.
PLANES = (landscape.SURFACES.name, concentration.FIGURE.name)


def each(experiment: Experiment, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Experiment:
    return experiment.replace({kind: change(frame) for kind, frame in experiment.tables.frames.items()})


def blank(*columns: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Nothing in these columns, where a table has them."""
    return lambda rows: rows.assign(**{name: np.nan for name in columns if name in rows})


def numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """Nothing in any column of real numbers but those that say where a row belongs."""
    kept = {"step", "random", "lr", "random_floor", "random_norm", "reward", "surrogate", "trajectories"}
    return blank(*(name for name in rows.select_dtypes("float") if name not in kept))(rows)


def one(column: str, value: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: rows[rows[column] == value] if column in rows else rows


CASES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "no number": numbers,
    "one agent": one("agent", 0),
    "one iteration": one("iteration", 0),
    "nothing ends for one agent": lambda rows: one("iteration", 0)(one("agent", 0)(blank("mean_return")(rows))),
}


def report(experiment: Experiment, params: Any, folder: Any) -> tuple[dict[str, Any], str, list[str]]:
    """All that `figures` and `report` make: claims by name, the page, and the figures' names."""
    experiment = quick(experiment)
    found = instances(experiment)
    for instance in found:
        if not instance.name.startswith(PLANES):
            instance.draw()
    claims = decided(experiment)
    metrics.to_json(metrics.summarize(experiment))
    metrics.curves(experiment)
    alignment_table(experiment[Alignment], experiment.statistics)
    entries = [instance.entry() for instance in found]
    envs = tuple(experiment[History]["env"].unique())
    data = render.ReportData(
        params.model_copy(update={"envs": envs}), experiment, [*claims.values()], entries, folder, {}, None
    )
    return claims, render.render(data), [entry.name for entry in entries]


def quick(experiment: Experiment) -> Experiment:
    """With fewer resamples."""
    return replace(experiment, statistics=experiment.statistics.model_copy(update={"resamples": 100}))


def decided(experiment: Experiment) -> dict[str, Any]:
    claims = json.loads(decisions.to_json(decisions.decide(experiment)))
    return {claim["id"]: claim for claim in claims}


@pytest.mark.parametrize("case", CASES)
def test_blanks_give_a_report(case, params, tmp_path):
    claims, _, _ = report(each(make_experiment(), CASES[case]), params, tmp_path)
    assert [name for name, claim in claims.items() if claim["verdict"] != "supported" and not claim["reason"]] == []


def test_where_no_episode_ended_the_claims_say_so(params, tmp_path):
    claims, page, _ = report(each(make_experiment(), blank("mean_return", "mean_length")), params, tmp_path)
    for name in ("R1", "R2", "R3", "V5"):
        assert (claims[name]["verdict"], claims[name]["effect"]) == ("not measured", None)
        assert "no episode ended" in claims[name]["reason"]
    assert "no episode ended" in page


@pytest.mark.parametrize(
    ("change", "words"),
    [(one("agent", 0), "needs two agents"), (lambda rows: rows.assign(mean_return=-1.0), "needs a positive return")],
)
def test_a_decline_without_a_number_says_what_it_needs(change, words):
    experiment = make_experiment()
    trained = experiment[RegimeHistory].replace({"lr": {RATES[1]: 1.25 * RATES[0]}})  # slightly higher, and worse
    trained["mean_return"] = trained["mean_return"].where(trained["lr"] == RATES[0], 0.1)
    (finding,) = declared_claims()["R3"].findings(experiment.replace({RegimeHistory: change(trained)}))
    assert words in finding.missing


@pytest.fixture
def partly(tmp_path) -> Experiment:
    """Two tasks, of one of which some stages measured nothing, as they are read from files."""
    experiment = make_experiment((ENV, OTHER))
    write_files(experiment, tmp_path)
    for kind in unmeasured(experiment):
        table = table_of(kind)
        folder = folder_under(tmp_path)(OTHER, "ppo" if table.scope is TableScope.CELL else None, table.stage)
        experiment[kind][:0].to_csv(folder / table.file, index=False)
        write_reasons([WHY], folder)
    return replace(experiment, tables=load([ENV, OTHER], ["ppo"], folder_under(tmp_path)))


def unmeasured(experiment: Experiment) -> list[type]:
    return [kind for kind in experiment.tables.frames if table_of(kind).stage in (*UNMEASURED, "regimes")]


@pytest.mark.slow
def test_what_is_not_measured_of_one_task_is_told_and_the_other_is_as_ever(partly, params, tmp_path):
    alone = decided(quick(make_experiment()))
    drawn = [instance.name for instance in instances(make_experiment())]
    claims, page, names = report(partly, params, tmp_path)
    other = {name for name in names if OTHER in name}
    assert {
        name.removesuffix(OTHER) for name in other if name.startswith(("fig03", "fig04", "fig05", "fig13"))
    } == set()
    assert set(drawn) <= set(names)
    for name in ("V1", "V2", "V3", "V4", "V5", "R1", "R2", "R3"):
        mine, others = claims[name]["findings"]
        assert mine == alone[name]["findings"][0]
        assert (others["verdict"], others["reason"]) == ("not measured", WHY)
    assert f"{OTHER}, PPO: true_value: not measured: {WHY}" in page
    assert f"{OTHER}: regimes: not measured: {WHY}" in page


def test_where_nothing_of_a_kind_is_measured_the_papers_figures_say_why(partly, params, tmp_path):
    nothing = partly.tables.replace({kind: partly[kind][:0] for kind in unmeasured(partly)})
    reasons = pd.concat([nothing.reasons, nothing.reasons.assign(env=ENV)], ignore_index=True)
    claims, page, drawn = report(replace(partly, tables=replace(nothing, reasons=reasons)), params, tmp_path)
    assert not [name for name in drawn if name.startswith(("fig03", "fig04", "fig05", "fig13", "sec22"))]
    assert {claims[f"V{number}"]["verdict"] for number in range(1, 6)} == {"not measured"}
    counterparts = page.split('id="paper-figures"')[1].split("<h2")[0]
    assert "not drawn" not in counterparts


def test_rows_that_are_missing_without_a_reason_are_an_error_as_before(partly, tmp_path):
    (tmp_path / "value" / OTHER / "ppo" / "not_measured.txt").unlink()
    with pytest.raises(MissingOutputError, match=r"value.csv has no rows"):
        read(PredictionError, [ENV, OTHER], ["ppo"], folder_under(tmp_path))
