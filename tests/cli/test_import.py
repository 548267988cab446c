"""`dpg import` writes a snapshot that the other commands take, and says what it took for granted."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dpg import api
from dpg.agent.export import export
from dpg.agent.snapshot import Snapshot, SnapshotError, load, write
from dpg.cli.app import app
from dpg.cli.show import facts
from dpg.envs.make import action_space_of
from dpg.runtime.errors import UserError

ENV = "InvertedPendulum-v5"


@pytest.fixture
def exchange(make_population, make_recipe, tmp_path: Path) -> Path:
    """An exchange file of an agent of the laboratory."""
    state = make_population(1, obs_dim=4, action_dim=1)
    return export(Snapshot(0, make_recipe("ppo", env_id=ENV), state), action_space_of(ENV), tmp_path)


def dpg(folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [Path(sys.executable).with_name("dpg"), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)


def test_a_snapshot_comes_out_that_show_takes_and_the_same_again(exchange, tmp_path):
    made = dpg(tmp_path, "import", exchange, "-o", "mine.safetensors")
    assert made.returncode == 0, made.stderr
    assert "its update cannot be redone" in made.stdout and "the settings of the policy update" in made.stdout
    first = (tmp_path / "mine.safetensors").read_bytes()
    shown = dpg(tmp_path, "show", "--json", "-n", 1, "mine.safetensors")
    assert shown.returncode == 0, shown.stderr
    facts = json.loads(shown.stdout)
    assert facts["source"]["files"].keys() == {"agent00.safetensors", "agent00.json"}
    assert "policy_update" in facts["lacks"] and len(facts["returns"]) == 2
    again = CliRunner().invoke(app, ["import", str(exchange), "-o", str(tmp_path / "mine.safetensors"), "--json"])
    assert json.loads(again.stdout)["lacks"] == facts["lacks"]
    assert (tmp_path / "mine.safetensors").read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output", "mine.zip"), "must end in .safetensors"),
        (("--output", "none/mine.safetensors"), "there is no folder none"),
        (("--output", "folder.safetensors"), "is a folder"),
        (("--output", "/proc/mine.safetensors"), "cannot be written"),
        ((), "belongs to an exchange file"),
        (("--no-normaliser",), "has its normaliser inside"),
        (("--env", "Hopper-v5", "-o", "mine.safetensors"), "observations have 4 numbers, in Hopper-v5 11"),
        (("--gamma", "2", "-o", "mine.safetensors"), "common.gamma = 2.0"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(exchange, tmp_path, monkeypatch, arguments, message):
    """A `UserError` is what the command prints as one line, with exit code 1."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.safetensors").mkdir()
    refused = CliRunner().invoke(app, ["import", str(exchange), *arguments])
    assert isinstance(refused.exception, UserError) and refused.output == ""
    assert message in str(refused.exception) and "\n" not in str(refused.exception)
    assert not (tmp_path / "mine.safetensors").exists()


def test_a_file_that_was_not_named_is_not_written_over(exchange, tmp_path, monkeypatch):
    """Libraries call their weights model.safetensors, too."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    theirs = tmp_path / "here" / exchange.name
    theirs.write_text("weights", encoding="utf-8")
    refused = CliRunner().invoke(app, ["import", str(exchange)])
    assert "already exists; name the snapshot with --output" in str(refused.exception)
    assert theirs.read_text(encoding="utf-8") == "weights"


def test_show_names_the_algorithm_of_the_file_and_no_settings_that_are_not_known(exchange, tmp_path):
    """The recipe of an agent whose update is not known holds a placeholder, which says ppo."""
    about = exchange.with_suffix(".json")
    described = json.loads(about.read_text(encoding="utf-8")) | {"algorithm": "../A2C"}
    about.write_text(json.dumps(described), encoding="utf-8")
    agent = api.import_agent(exchange)
    known = facts(agent)
    assert known["algorithm"] == "a2c" and known["parameters"].keys() == {"common"}
    assert str(agent) == f"{ENV} a2c agent 0 iteration {agent.iteration}"


def test_a_landscape_of_an_agent_without_an_update_is_refused_before_anything_runs(exchange, tmp_path):
    write(api.import_agent(exchange), tmp_path / "mine.safetensors")
    refused = dpg(tmp_path, "landscape", "mine.safetensors")
    assert refused.stderr.startswith("error: ") and refused.stderr.count("\n") == 1
    assert "the settings of the policy update, which the agent came without" in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonsense": 1}, "nonsense: there is no such option; there are env_id, "),
        ({"activation": "gelu"}, "activation = 'gelu': "),
        ({"modules": "mine"}, "modules = 'mine': "),
    ],
)
def test_options_from_python_are_checked(exchange, options, message):
    with pytest.raises(UserError, match=message):
        api.import_agent(exchange, **options)


def test_the_python_api_imports_evaluates_and_keeps(exchange, tmp_path):
    agent = api.import_agent(exchange, gamma=0.9)
    assert agent.recipe.common.gamma == 0.9
    policy = api.policy_of(agent)
    assert policy(np.zeros(4)).shape == (1,)
    assert api.evaluate(policy, 2).mean > 0
    assert load(write(agent, tmp_path / "kept.safetensors")).source == agent.source
    with pytest.raises(SnapshotError, match="dpg header"):
        api.load_policy(exchange)
