"""The last stage finds the runs that made what it reads, and stands for the whole experiment."""

import json

from dpg.tracking.runs import flatten
from stages.common.lineage import read_records
from stages.common.scope import Cell, TaskScope, record
from stages.figures import in_use, report_tracking


def leave(stage, scope, **entry):
    path = record(stage, scope)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"tracking_uri": "sqlite:///x.db", **entry}), encoding="utf-8")


def test_records_are_found_by_the_names_that_dvc_gives_stages(tmp_path, monkeypatch):
    """Of the experiment's own cells alone: those of others may still lie there."""
    monkeypatch.chdir(tmp_path)
    leave("train", Cell("Hopper-v4", "ppo"), run_id="a")
    leave("train", Cell("Hopper-v4", "trpo"), run_id="b")
    leave("regimes", TaskScope("Hopper-v4", "ppo"), run_id="c")
    found = read_records(["Hopper-v4"], ["ppo"])
    assert {name: each["run_id"] for name, each in found.items()} == {
        "train@Hopper-v4-ppo": "a",
        "regimes@Hopper-v4": "c",
    }


def test_all_parameters_of_the_experiment_are_logged_under_their_own_names(params):
    logged = flatten(in_use(params))
    assert logged["ppo.lr"] == params.ppo.lr
    assert logged["scales.laptop.gradient.repeats"] == params.budget.gradient.repeats
    assert not any(name.startswith(("trpo.", "ppo_m.", "scales.paper", "scales.smoke")) for name in logged)
    both = in_use(params.model_copy(update={"algorithms": ("ppo", "trpo")}))
    assert "trpo" in both and "ppo_m" not in both


def test_what_is_elsewhere_and_what_was_lost_is_said_at_the_end(capsys):
    made = {
        "train@A-v0-ppo": {"run_id": "a", "tracking_uri": "sqlite:///x.db", "lost_messages": 2},
        "value@A-v0-ppo": {"run_id": "b", "tracking_uri": "https://elsewhere", "lost_messages": 0},
        "gradient@A-v0-ppo": {"run_id": "c", "tracking_uri": "sqlite:///x.db"},
    }
    others = {f"{stage}@A-v0-trpo": made["value@A-v0-ppo"] for stage in ("train", "gradient", "value")}
    report_tracking(made | others, ["value@A-v0-ppo", *others])
    lost, elsewhere = capsys.readouterr().err.splitlines()
    assert lost.startswith("warning: MLflow lost 2 messages of train@A-v0-ppo: its run a is incomplete")
    names = "value@A-v0-ppo, train@A-v0-trpo, gradient@A-v0-trpo and 1 more"
    assert elsewhere == f"{names}: made by runs in https://elsewhere (made_by.md in this run has their ids)"
