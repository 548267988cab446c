"""The whole pipeline on a task on which much cannot be measured ends in a report that says why.

Pendulum-v1 truncates its episodes after 200 pairs: at gamma 0.99 no return is known, and no episode ends in a batch of
20. One of the regimes' learning rates makes agents diverge.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dpg.envs.make import time_limit
from dpg.runtime import config
from dpg.runtime.outputs import read_reasons
from dpg.streams import measurable
from stages import params
from stages.common.lineage import read_records
from tests.pipeline.project import CELL_STAGES, ROOT, set_parameter, shell

ENV = "Pendulum-v1"
T = 20
SMALL: dict[str, Any] = {
    "scale": "smoke",
    "envs": [ENV],
    "common.timesteps": T,
    "common.policy_hidden": [4],
    "common.value_hidden": [4],
    "ppo.epochs": 1,
    "ppo.minibatches": 2,
    "ppo.value_epochs": 1,
    "ppo.value_minibatches": 2,
    "ppo_m.minibatches": 2,
    "ppo_m.value_minibatches": 2,
    "trpo.value_minibatches": 2,
    "statistics.resamples": 100,
    "true_value.max_epochs": 1,
    "figures.formats": ["png"],
    "figures.dpi": 30,
    "scales.smoke.train": {"agents": 1, "group_size": 1, "iterations": 2, "snapshot_every": 1},
    "scales.smoke.ablation": {"algorithms": ["trpo"]},
    "scales.smoke.checkpoint": {"fractions": [0.0, 0.5], "curve_every": 1, "eval_episodes": 2},
    "scales.smoke.gradient": {"repeats": 3, "sizes": [T], "true_pairs": 2 * T},
    "scales.smoke.update_gain": {"updates": [2], "update_pairs": [T], "episodes": 2},
    "scales.smoke.value": {"heldout_pairs": T},
    "scales.smoke.true_value": {"pairs": 3 * T, "states": 3, "rollouts": 2},
    "scales.smoke.baselines": {"repeats": 3, "sizes": [T]},
    "scales.smoke.landscape.grid": [2, 2],
    "scales.smoke.landscape.update_pairs": [T],
    "scales.smoke.landscape.pairs_per_point": 2,
    "scales.smoke.landscape.concentration": [],
    "scales.smoke.regimes": {
        "envs": "all",
        "agents": 1,
        "group_size": 2,
        "timesteps": [T],
        "rates": [1e-4, 1e9],
        "total_pairs": T,
    },
}
UNKNOWN = "at common.gamma = 0.99 a return is known 459 pairs later, and Pendulum-v1 truncates episodes after 200"

LEFT_OUT = "needs ppo among scales.smoke.ablation.algorithms (trpo)"


# The stages one after the other. Then V* and the baselines once more, elsewhere, from two snapshots: at the gamma of
# one returns are known too seldom.
DRIVER = f"""
import importlib, os, shutil
from pathlib import Path
from dpg.agent import snapshot
from stages.common.scope import Cell

def run(stage, *cell):
    importlib.import_module(f"stages.{{stage}}").main(*cell)

for stage in {CELL_STAGES}:
    run(stage, "{ENV}", "ppo")
run("regimes", "{ENV}")
run("figures")
run("report")
studied = Cell("{ENV}", "ppo").studied
found = snapshot.load_all(studied)
shutil.copy("mlflow.db", "elsewhere")
os.chdir("elsewhere")
studied.mkdir(parents=True)
for each, gamma in zip(found, (0.977, 0.9), strict=True):
    common = each.recipe.common.model_copy(update={{"gamma": gamma}})
    snapshot.save(snapshot.Snapshot(0, each.recipe.model_copy(update={{"common": common}}), each.state), studied)
run("true_value", "{ENV}", "ppo")
run("baselines", "{ENV}", "ppo")
run("regimes", "{ENV}")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder in which all stages have run."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "elsewhere").mkdir()
    for name, value in SMALL.items():
        set_parameter(folder, name, value)
    shutil.copy(folder / "params.yaml", folder / "elsewhere")
    set_parameter(folder / "elsewhere", "scales.smoke.regimes.envs", ["Hopper-v4"])
    shell(
        *(sys.executable, "-W", "error::RuntimeWarning", "-c", DRIVER), cwd=folder, DPG_JOBS="1", PYTHONPATH=str(ROOT)
    )
    return folder


@pytest.fixture
def here(project, monkeypatch) -> Path:
    monkeypatch.chdir(project)
    return project


def test_what_cannot_be_measured_is_said_before_the_run_in_the_words_of_the_run(here, capsys):
    params.main()
    reasons = measurable.not_measured(config.load(), ENV, time_limit(ENV), "ppo")
    assert set(reasons) == {"ablation", "value", "true_value", "baselines"}
    assert reasons.pop("ablation") == LEFT_OUT
    (reason,) = set(reasons.values())
    assert UNKNOWN in reason
    notes = capsys.readouterr().err
    assert f"note: {ENV}: value, true_value, baselines will not be measured: {reason}\n" in notes
    assert f"note: {ENV}: ablation will not be measured: {LEFT_OUT}\n" in notes
    for stage, words in {**reasons, "ablation": LEFT_OUT}.items():
        assert Path("data/tables", stage, ENV, "ppo", "not_measured.txt").read_text(encoding="utf-8") == f"{words}\n"


def test_tables_of_what_is_not_measured_have_their_columns_and_the_others_their_rows(here):
    empty = {
        str(path.relative_to("data/tables")) for path in Path("data/tables").rglob("*.csv") if pd.read_csv(path).empty
    }
    stages = {"value": ["value"], "true_value": ["fit", "loss", "states", "state_errors"]}
    stages |= {"baselines": ["baselines", "differences", "agents"], "ablation": ["history"]}
    expected = {f"{stage}/{ENV}/ppo/{name}.csv" for stage, names in stages.items() for name in names}
    assert empty == expected | {f"regimes/{ENV}/history.csv"}
    assert read_records([ENV], ["ppo"])[f"value@{ENV}-ppo"]["cost"]["pairs"] == 0


def test_the_claims_that_are_not_measured_say_what_they_need(here):
    claims = {claim["id"]: claim for claim in json.loads(Path("reports/claims.json").read_text(encoding="utf-8"))}
    for name, words in {
        **dict.fromkeys(("V1", "V2", "V3", "V4"), UNKNOWN),
        **dict.fromkeys(("R1", "R2", "R3"), "needs agents that do not diverge"),
        "V5": LEFT_OUT,
    }.items():
        assert (claims[name]["verdict"], claims[name]["effect"]) == ("not measured", None)
        assert words in claims[name]["reason"], name
    assert claims["L3"]["findings"][0]["parts"]


def test_the_report_has_the_figures_that_there_are_and_the_reasons_for_the_others(here):
    names = {path.stem for path in Path("reports/figures").glob("*.png")}
    assert not [name for name in names if name.startswith(("fig03", "fig04", "fig05", "fig13"))]
    assert {f"fig01_gradient_variance_{ENV}", "fig09_rewards", f"fig12_update_steps_{ENV}"} <= names
    page = Path("reports/index.html").read_text(encoding="utf-8")
    assert f"{ENV}, PPO: true_value: not measured: " in page
    assert f"{ENV}, PPO: ablation: not measured: {LEFT_OUT}" in page
    assert f"{ENV}: regimes: not measured: needs agents that do not diverge" in page
    values = json.loads(Path("reports/metrics.json").read_text(encoding="utf-8"))[ENV]["ppo"]["value"]
    assert set(values.values()) == {None}


def test_regimes_that_a_scale_leaves_out_are_not_trained(here):
    """Where Pendulum-v1 is not among the tasks that they are trained on."""
    (reason,) = read_reasons(Path("elsewhere/data/tables/regimes", ENV))
    assert reason == f"needs {ENV} among scales.smoke.regimes.envs (Hopper-v4)"
    assert pd.read_csv(Path("elsewhere/data/tables/regimes", ENV, "history.csv")).empty


def test_a_snapshot_without_enough_known_returns_leaves_the_others(here):
    """Found in the run: at gamma 0.977 returns are known of an episode's first two pairs alone."""
    for stage, table in (("true_value", "fit"), ("true_value", "states"), ("baselines", "baselines")):
        folder = Path("elsewhere/data/tables", stage, ENV, "ppo")
        assert set(pd.read_csv(folder / f"{table}.csv")["iteration"]) == {1}
        (reason,) = read_reasons(folder)
        assert "of 2 held-out pairs the return is known (H = 198 further pairs), and 20 are needed" in reason
