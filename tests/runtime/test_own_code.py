"""The code of algorithms and tasks, as DVC sees it: a file changes with what its cells run, and with nothing else."""

import sys
from pathlib import Path

import gymnasium as gym
import pytest
from gymnasium.envs.registration import EnvSpec
from ruamel.yaml import YAML

from dpg.agent.recipe import Recipe
from dpg.runtime import fingerprint, own_code
from dpg.runtime.config import parse
from dpg.runtime.own_code import ChangedCodeError

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
ALGORITHM = """
from dataclasses import replace
from dpg.algorithms import ppo
import {helper}
MINE = replace(ppo.ALGORITHM, name="{name}")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two algorithms in modules of their own, one with a helper, and a module of tasks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name, helper in (("first", "helping"), ("second", "json")):
        (tmp_path / f"{name}_module.py").write_text(ALGORITHM.format(name=name, helper=helper), encoding="utf-8")
    for name in ("helping", "tasks_module"):
        (tmp_path / f"{name}.py").write_text("", encoding="utf-8")
    yield tmp_path
    for name in ("first_module", "second_module", "helping", "tasks_module"):
        sys.modules.pop(name, None)


@pytest.fixture
def params(project):
    raw = YAML(typ="safe", pure=True).load(PARAMS)
    modules = ["first_module", "second_module", "tasks_module"]
    blocks = {"first": raw["ppo"], "second": raw["ppo"]}
    return parse(raw | blocks | {"algorithms": [*blocks], "modules": modules})


def touched(params, path) -> set[str]:
    """The files that change when a comment is added to a module."""
    before = own_code.records(params)
    with path.open("a", encoding="utf-8") as file:
        file.write("# a comment might be a number\n")
    after = own_code.records(params)
    assert before.keys() == after.keys()
    return {file.stem for file in before if before[file] != after[file]}


def test_an_algorithms_file_changes_with_its_own_code_alone(params, project):
    assert touched(params, project / "first_module.py") == {"first"}
    assert touched(params, project / "helping.py") == {"first"}, "what it imports from the project is its own"
    assert touched(params, project / "second_module.py") == {"second"}


def test_no_module_is_run_to_find_the_code(params, project):
    """One that is imported in some case only, such as where there is a display, may not work here."""
    (project / "helping.py").write_text("def show():\n    from window import Window\n", encoding="utf-8")
    (project / "window.py").write_text("raise RuntimeError('no display')\n", encoding="utf-8")
    assert touched(params, project / "window.py") == {"first"}


def test_all_files_change_with_a_module_of_tasks(params, project):
    assert touched(params, project / "tasks_module.py") == {"first", "second", "ppo", "regimes"}


def test_a_cell_depends_on_the_modules_that_it_needs(params):
    """Naming the module of one algorithm makes no cell of another one stale, nor its snapshots others."""
    assert Recipe.of(params, "Hopper-v4", "first", 1).modules == ("first_module", "tasks_module")
    assert Recipe.of(params.model_copy(update={"modules": ()}), "Hopper-v4", "ppo", 1).modules == ()


def test_a_module_of_algorithms_that_registers_tasks_counts_as_one_of_tasks(params, project, monkeypatch):
    monkeypatch.setitem(gym.registry, "Mine-v0", EnvSpec("Mine-v0", entry_point="first_module:Task"))
    assert Recipe.of(params, "Mine-v0", "second", 1).modules == ("first_module", "second_module", "tasks_module")
    assert touched(params, project / "first_module.py") == {"first", "second", "ppo", "regimes"}


def test_a_variant_depends_on_the_algorithm_that_it_is_made_from():
    """An edit of ppo.py is an edit of PPO-M."""
    assert set(fingerprint._sources("dpg.algorithms.ppo_m")) == {"dpg.algorithms.ppo_m", "dpg.algorithms.ppo"}
    assert set(fingerprint._sources("dpg.algorithms.trpo")) == {"dpg.algorithms.trpo"}


def test_the_regimes_file_changes_with_the_block_but_not_with_its_learning_rate(params):
    """The rates are the scale's: `dvc exp run -S ppo.lr=...` must not train them again."""

    def regimes(**change) -> str:
        block = params.algorithm("ppo").model_copy(update=change)
        return own_code.records(params.model_copy(update={"ppo": block}))[own_code.path("regimes")]

    assert regimes(lr=0.5) == regimes()
    assert regimes(clip_eps=0.3) != regimes()


def write(params) -> None:
    for path, text in own_code.records(params).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_a_change_since_dvc_last_looked_is_named_with_the_command(params, project):
    modules = params.modules
    assert own_code.changes(params) == [], "nothing was ever run"
    write(params)
    assert own_code.changes(params) == []
    touched(params, project / "helping.py")
    assert own_code.changes(params) == ["first: the code of first_module has changed since DVC last saw it"]
    own_code.check("second", modules)
    with pytest.raises(ChangedCodeError, match=r"^first: the code of first_module .*: run `dvc repro -f params`"):
        own_code.check("first", modules)
    write(params)
    own_code.check("first", modules)
