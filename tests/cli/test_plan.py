"""A plan as a table for people and as JSON for machines."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from dpg.cli.plan import as_data
from dpg.cli.plan_table import show
from dpg.planning.forecast import Forecast, Plan
from dpg.planning.work import ShardGroup, StageWork

STAGES = ("train", "ablation", "checkpoint", "gradient", "value", "landscape")
TASKS = ("Hopper-v4", "Walker2d-v4", "Humanoid-v4")
ALGORITHMS = ("ppo", "ppo_m", "trpo")


def costly(stage: str, env: str | None = None, algorithm: str | None = None, cost: int = 1) -> Forecast:
    whole = stage in ("checkpoint", "landscape")
    shard = ShardGroup(1, {}, pairs=3_844_008_000, result_bytes=124 * 10**9)
    work = StageWork(stage, env, algorithm, ((shard,),), approximate=whole)
    return Forecast(work, 2, 123456.0, 65432.0, cost * 10**9, 10**9)


def planned(tasks=TASKS, algorithms=ALGORITHMS, cached=(), unknown=(), *, cache_copies: bool = True) -> Plan:
    cells = [costly(stage, env, algorithm) for env in tasks for algorithm in algorithms for stage in STAGES]
    regimes = [costly("regimes", env) for env in tasks]
    stale = [costly("params"), *cells, *regimes, costly("figures", cost=2)]
    return Plan("paper", stale, list(cached), list(unknown), 2, "a processor, 2 cores", 12.0, cache_copies)


def shown(plan: Plan, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(plan, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("tasks", [TASKS, TASKS[:1]])
def test_a_table_fits_the_terminal_and_cuts_no_number(width, tasks):
    text = shown(planned(tasks), width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text
    assert "3,844,008,000" in text


def test_the_algorithms_of_a_task_are_added_up_where_rows_would_be_too_many():
    text = shown(planned(), 80)
    assert text.count("landscape x 3") == 3
    assert "11,532,024,000" in text
    few = shown(planned(TASKS[:1], ALGORITHMS[:2]), 80)
    assert "landscape ppo " in few and "landscape ppo_m" in few and " x " not in few


def test_cached_stages_stand_apart():
    text = shown(planned(TASKS[:1], ALGORITHMS[:1], cached=[StageWork("train", "Ant-v5", "ppo")]), 80)
    assert "9 of 10 stages would run" in text
    assert "cached, 1: train@Ant-v5-ppo" in text


def test_stages_without_a_forecast_are_named():
    plan = planned(TASKS[:1], ALGORITHMS[:1], unknown=["mine@Ant-v5"])
    assert "no forecast: mine@Ant-v5" in shown(plan, 80)
    assert as_data(plan)["unknown_stages"] == ["mine@Ant-v5"]


@pytest.mark.parametrize(
    ("seconds", "recorded", "words"),
    [(12.0, False, "from 12 s of measurement, for"), (None, True, "from earlier runs of 9 of the stages, for"),
     (3.0, True, "from 3 s of measurement and earlier runs of 9 of the stages, for")],
)  # fmt: skip
def test_where_the_times_are_from_is_said(seconds, recorded, words):
    plan = planned(TASKS[:1], ALGORITHMS[:1])
    stale = [replace(each, recorded=recorded) for each in plan.stale]
    text = shown(replace(plan, stale=stale, measuring_seconds=seconds), 80)
    assert words in " ".join(text.split())


def test_nothing_to_run_is_said():
    plan = Plan("smoke", [], [StageWork("params"), StageWork("figures")], [], 2, "", None, cache_copies=True)
    assert "0 of 2 stages would run" in shown(plan, 80)
    assert "Nothing would run" in shown(plan, 80)
    assert as_data(plan)["totals"]["memory_bytes"] == 0


def test_totals_add_up_what_adds_up():
    plan = planned(TASKS[:1], ALGORITHMS[:1])
    data = json.loads(json.dumps(as_data(plan)))
    count = len(plan.stale)
    assert [stage["name"] for stage in data["stages"]][:2] == ["params", "train@Hopper-v4-ppo"]
    assert data["totals"] == {
        "pairs": count * 3_844_008_000,
        "core_seconds": count * 123456.0,
        "wall_seconds": count * 65432.0,
        "memory_bytes": 2 * 10**9,  # stages run one after the other: the largest
        "output_bytes": count * 10**9,
        "cache_bytes": count * 10**9,
        "scratch_bytes": 124 * 10**9,
    }
    assert as_data(planned(cache_copies=False))["totals"]["cache_bytes"] == 0


def test_cached_stages_have_work_and_no_times_in_json():
    stale, cached = as_data(
        Plan("smoke", [costly("train", "A-v1", "ppo")], [StageWork("figures")], [], 2, "", 1.0, cache_copies=True)
    )["stages"]
    assert stale["stale"] and stale["wall_seconds"] == 65432.0
    assert not cached["stale"] and cached["wall_seconds"] is None
