"""What surrounds a command changes nothing of its output: modules that print, a terminal without UTF-8."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dpg.agent import snapshot
from dpg.agent.population import Architecture, initialize
from dpg.agent.snapshot import Snapshot
from dpg.runtime.seeding import Seed

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
TALKATIVE = """
import os
import gymnasium
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv

print("imported")

class Talkative(InvertedPendulumEnv):
    def __init__(self, **options):
        super().__init__(**options)
        os.write(1, b"made, says C\\n")

    def reset(self, **options):
        print("reset")
        return super().reset(**options)

gymnasium.register("Talkative-v0", Talkative, max_episode_steps=20)
"""


@pytest.fixture
def project(tmp_path):
    """A project with a task that prints at every occasion."""
    (tmp_path / "talkative.py").write_text(TALKATIVE, encoding="utf-8")
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    params = params.replace("envs: [Hopper-v4]", "envs: [Talkative-v0]").replace("modules: []", "modules: [talkative]")
    (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
    return tmp_path


def streams(project, environment, *arguments, **extra) -> tuple[str, str]:
    """Standard output and error of a `dpg` command."""
    settings = environment(**extra)
    settings["PYTHONPATH"] = os.pathsep.join([settings["PYTHONPATH"], str(project)])
    done = subprocess.run(
        [sys.executable, "-m", "dpg.cli", *arguments],
        cwd=project,
        env=settings,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.stdout, done.stderr


def test_show_prints_json_whatever_a_task_prints(project, environment, make_recipe):
    recipe = make_recipe("ppo", env_id="Talkative-v0", modules=("talkative",))
    state = initialize(Architecture(4, 1, (16,), (16,), None), "xavier", [Seed(0) / "agent"])
    path = snapshot.save(Snapshot(0, recipe, state), project)
    output, errors = streams(project, environment, "show", "-n", "2", "--json", str(path))
    assert json.loads(output)["env"] == "Talkative-v0", errors
    for words in ("imported", "made, says C", "reset"):
        assert words in errors


@pytest.mark.slow
def test_what_can_be_decided_is_printed_as_json_whatever_a_task_prints(project, environment):
    output, errors = streams(project, environment, "claims", "--before", "--json")
    assert json.loads(output)[0]["id"] == "G1"
    assert "imported" in errors


@pytest.mark.slow
def test_doctor_prints_json_whatever_a_task_prints(project, environment):
    output, errors = streams(project, environment, "doctor", "--json")
    found = {finding["name"]: finding["found"] for finding in json.loads(output)}
    assert found["tasks"] == "can be made and stepped: Talkative-v0"
    assert "imported" in errors


def test_letters_that_a_terminal_lacks_are_printed_as_escapes(tmp_path, dpg):
    (tmp_path / "reports").mkdir()
    claim = {
        "id": "G2",
        "claim": "agreement falls by \u22120.5",
        "verdict": "not measured",
        "reason": "the task Läufer-v0",
    }
    (tmp_path / "reports" / "claims.json").write_text(json.dumps([claim], ensure_ascii=False), encoding="utf-8")
    output = dpg("claims", cwd=tmp_path, **WITHOUT_UTF8)
    assert "by \\u22120.5" in output and "L\\xe4ufer-v0" in output
