"""A report of whatever there is: tables that are blank where they may be, and those of what is not measured."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dpg.report.gallery import drawings
from dpg.report.tables import SOURCES, TASK_SOURCES, Tables, load

from dpg.report import alignment, metrics
from dpg.report.claims import decisions
from dpg.report.figures import landscape
from dpg.report.page import render
from dpg.runtime.outputs import write_reasons
from dpg.runtime.schema import Statistics
from tests.report.conftest import ENV, RATES, T, make_tables

OTHER = "Pendulum-v1"
WHY = "needs another gamma: it says so here"
UNMEASURED = ("ablation", "value", "true_value", "baselines")
# Not what this is about, and slow to draw.
PLANES = (landscape.NAMES["surfaces"], "fig06")


def each(tables: Tables, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Tables:
    names = [field.name for field in fields(tables) if field.name != "reasons"]
    return replace(tables, **{name: change(getattr(tables, name)) for name in names})


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


def report(tables: Tables, params: Any, folder: Any) -> tuple[dict[str, Any], str, list[str]]:
    """All that `figures` and `report` make: claims by name, the page, and the figures' names."""
    statistics = params.statistics.model_copy(update={"resamples": 100})
    gallery = drawings(tables, T, statistics)
    for drawing in gallery:
        if not drawing.name.startswith(PLANES):
            drawing.draw()
    claims = decided(tables, statistics)
    metrics.to_json(metrics.summarize(tables, T, statistics))
    metrics.curves(tables.history, statistics)
    alignment.table(tables.alignment, statistics)
    captions = {drawing.name: drawing.caption for drawing in gallery}
    envs = tuple(tables.history["env"].unique())
    material = render.Material(
        params.model_copy(update={"envs": envs}), tables, [*claims.values()], captions, folder, {}, None
    )
    return claims, render.render(material), list(captions)


def decided(tables: Tables, statistics: Statistics) -> dict[str, Any]:
    claims = json.loads(decisions.to_json(decisions.decide(tables, T, statistics)))
    return {claim["id"]: claim for claim in claims}


@pytest.mark.parametrize("case", CASES)
def test_blanks_give_a_report(case, params, tmp_path):
    claims, _, _ = report(each(make_tables(), CASES[case]), params, tmp_path)
    assert [name for name, claim in claims.items() if claim["verdict"] != "supported" and not claim["reason"]] == []


def test_where_no_episode_ended_the_claims_say_so(params, tmp_path):
    claims, page, _ = report(each(make_tables(), blank("mean_return", "mean_length")), params, tmp_path)
    for name in ("R1", "R2", "R3", "V5"):
        assert (claims[name]["verdict"], claims[name]["effect"]) == ("not measured", None)
        assert "no episode ended" in claims[name]["reason"]
    assert "no episode ended" in page


@pytest.mark.parametrize(
    ("change", "words"),
    [(one("agent", 0), "needs two agents"), (lambda rows: rows.assign(mean_return=-1.0), "needs a positive return")],
)
def test_a_decline_that_cannot_be_told_says_what_it_needs(params, change, words):
    tables = make_tables()
    trained = tables.regimes.replace({"lr": {RATES[1]: 1.25 * RATES[0]}})  # slightly higher, and worse
    trained["mean_return"] = trained["mean_return"].where(trained["lr"] == RATES[0], 0.1)
    claims = decisions.decide(replace(tables, regimes=change(trained)), T, params.statistics)
    (finding,) = next(claim for claim in claims if claim.rule.id == "R3").findings
    assert words in finding.lacks


@pytest.fixture
def partly(tmp_path) -> Tables:
    """Two tasks, of one of which some stages measured nothing, as they are read from files."""
    tables = make_tables((ENV, OTHER))
    for sources, algorithm in ((SOURCES, "ppo"), (TASK_SOURCES, "")):
        for name, (stage, file) in sources.items():
            for env in (ENV, OTHER):
                folder = tmp_path / stage / env / algorithm
                folder.mkdir(parents=True, exist_ok=True)
                rows = getattr(tables, name)
                missing = env == OTHER and stage in (*UNMEASURED, "regimes")
                rows[(rows["env"] == env) & (not missing)].to_csv(folder / file, index=False)
                if missing:
                    write_reasons([WHY], folder)
    return load([ENV, OTHER], ["ppo"], lambda env, algorithm, stage: tmp_path / stage / env / (algorithm or ""))


def test_what_is_not_measured_of_one_task_is_told_and_the_other_is_as_ever(partly, params, tmp_path):
    statistics = params.statistics.model_copy(update={"resamples": 100})
    alone, drawn = decided(make_tables(), statistics), [each.name for each in drawings(make_tables(), T, statistics)]
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
    every = SOURCES | TASK_SOURCES
    names = [name for name, (stage, _) in every.items() if stage in (*UNMEASURED, "regimes")]
    nothing = replace(partly, **{name: getattr(partly, name)[:0] for name in names})
    reasons = pd.concat([partly.reasons, partly.reasons.assign(env=ENV)], ignore_index=True)
    claims, page, drawn = report(replace(nothing, reasons=reasons), params, tmp_path)
    assert not [name for name in drawn if name.startswith(("fig03", "fig04", "fig05", "fig13", "sec22"))]
    assert {claims[f"V{number}"]["verdict"] for number in range(1, 6)} == {"not measured"}
    counterparts = page.split('id="paper-figures"')[1].split("<h2")[0]
    assert "not drawn" not in counterparts


def test_rows_that_are_missing_without_a_reason_are_an_error_as_before(partly, tmp_path):
    from dpg.report.tables import MissingOutputError, read

    (tmp_path / "value" / OTHER / "ppo" / "not_measured.txt").unlink()
    with pytest.raises(MissingOutputError, match=r"value.csv has no rows"):
        read("value", [ENV, OTHER], ["ppo"], lambda env, algorithm, stage: tmp_path / stage / env / (algorithm or ""))
