"""What earlier runs recorded."""

import shutil
from pathlib import Path

from dpg.planning import records

ROOT = Path(__file__).parents[2]
LOCK = """
stages:
  train@Hopper-v4-ppo: {params: {params.yaml: {seed: 7, scales.smoke.train.agents: 3}}}
  train@Hopper-v4-mine: {params: {params.yaml: {seed: 8, mine: {lr: 1.0}, scales.laptop.train.agents: 1}}}
"""


def test_stages_that_are_no_longer_in_the_pipeline_say_nothing_of_its_last_runs(tmp_path):
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "dvc.lock").write_text(LOCK, encoding="utf-8")
    found = records.parameters(tmp_path, {"train@Hopper-v4-ppo"})
    assert found is not None
    assert (found.seed, found.scale, found.budget.train.agents) == (7, "smoke", 3)
