"""A plan of a project that has run, compared with what DVC would run and what the stages recorded."""

import json
import re
from pathlib import Path

import pytest

from dpg.cli import overrides
from dpg.planning import records, stages
from dpg.planning.cells import tasks_of
from dpg.runtime import config
from tests.pipeline.project import TASK_STAGE, chain, shell

EVERYTHING = {"params", "calibrate", "figures", "report", TASK_STAGE} | chain("ppo", "trpo")


def plan(project: Path, *arguments: str) -> dict[str, dict]:
    """The stages of `dpg plan --json` by name."""
    done = shell("python", "-m", "dpg.cli", "plan", "--json", *arguments, cwd=project)
    return {stage["name"]: stage for stage in json.loads(done[done.index("{\n") : done.rindex("}") + 1])["stages"]}


def test_of_a_project_that_is_up_to_date_nothing_would_run(project):
    planned = plan(project)
    assert set(planned) == EVERYTHING
    assert not any(stage["stale"] for stage in planned.values())


def test_an_override_marks_its_chain_with_the_costs_of_before(project):
    """What has its costs on record is not measured; DVC's own dry run names the stages at the top of the chain."""
    planned = plan(project, "-S", "ppo.lr=2e-4")
    marked = {name for name, stage in planned.items() if stage["stale"]}
    assert marked == {"params", "figures", "report"} | chain("ppo")
    params = project / "params.yaml"
    before = params.read_bytes()
    try:
        overrides.write(params, ["ppo.lr=2e-4"])
        dry = set(re.findall(r"Running stage '([^']+)'", shell("dvc", "repro", "--dry", cwd=project)))
    finally:
        params.write_bytes(before)
    assert dry == {"params", "report"} | chain("ppo", stages=["train", "ablation"]) <= marked
    cost = json.loads((project / "data/runs/train/Hopper-v4/ppo.json").read_text(encoding="utf-8"))["cost"]
    (name,) = chain("ppo", stages=["train"])
    assert planned[name]["core_seconds"] == cost["core_seconds"] or cost["workers"] != planned[name]["workers"]


def test_counts_are_those_that_the_stages_recorded(project):
    params = config.load(project / "params.yaml")
    earlier = records.parameters(project, EVERYTHING)
    assert earlier is not None and earlier.model_dump() == params.model_dump()
    tasks = tasks_of(params)
    workers = json.loads((project / "data/runs/calibrate.json").read_text(encoding="utf-8"))["cost"]["workers"]
    everything = stages.stages(params, tasks, workers)
    works = [work for work in everything if work.rounds]
    known = records.read(project, everything, tasks, workers)
    assert {work.name for work in works} == chain("ppo", "trpo") | {TASK_STAGE} == set(known) - {"calibrate", "figures"}
    for work in works:
        cost = known[work.name]
        assert work.shards == cost["shards"], work.name
        assert work.approximate or (work.pairs, work.episodes) == (cost["pairs"], cost["episodes"])
        assert work.stage == "landscape" or work.episodes == cost["episodes"]
        assert work.output_bytes == pytest.approx(cost["output_bytes"], rel=0.4), work.name
    figures = json.loads((project / "reports/figures/index.json").read_text(encoding="utf-8"))
    assert stages.figures(params) == pytest.approx(len(figures), rel=0.2)
