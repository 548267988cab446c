"""What dvc.yaml declares, held against what the stages truly import."""

import re
from pathlib import Path

import grimp
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
STAGES = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
# Tracking is left out on purpose: it cannot change a result.
LEFT_OUT = "dpg.tracking."
# Imported by name, to be checked and digested.
BY_NAME = {"params": {"dpg/algorithms"}}


@pytest.fixture(scope="module")
def imports():
    return grimp.build_graph("dpg", "stages", cache_dir=None)


def source(module: str) -> str:
    return module.replace(".", "/") + ".py"


def true_files(imports, stage: str) -> set[str]:
    """Files of the project that a stage imports, its own included; `__init__` files import none of it."""
    modules = imports.find_upstream_modules(f"stages.{stage}") | {f"stages.{stage}"}
    files = {module for module in modules if not (ROOT / module.replace(".", "/")).is_dir()}
    kept = {module for module in files if not module.startswith(LEFT_OUT)}
    # What only tracking imports is left out with it.
    through_others = {
        module
        for module in kept
        if module == f"stages.{stage}"
        or any(other in kept for other in imports.find_modules_that_directly_import(module))
    }
    return {source(module) for module in through_others}


def code_dependencies(stage: str) -> set[str]:
    return {dep for dep in STAGES[stage]["deps"] if dep.startswith(("dpg/", "stages/"))}


@pytest.mark.parametrize("stage", STAGES)
def test_every_import_is_declared_and_nothing_else(imports, stage):
    declared = code_dependencies(stage)
    true = true_files(imports, stage)

    def covers(dep: str, file: str) -> bool:
        return file == dep or file.startswith(dep + "/")

    missing = {file for file in true if not any(covers(dep, file) for dep in declared)}
    idle = {dep for dep in declared - BY_NAME.get(stage, set()) if not any(covers(dep, file) for file in true)}
    assert not missing, f"stages.{stage} imports what dvc.yaml does not declare"
    assert not idle, f"dvc.yaml declares for {stage} what it does not import"


def test_the_check_sees_a_missing_declaration(imports):
    """The check above can fail: a stage that is known to import a file is not covered without it."""
    assert "dpg/probes/gradient.py" in true_files(imports, "gradient")
    assert "dpg/probes/gradient.py" not in true_files(imports, "value")


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "calibrate"])
def test_stages_that_run_an_algorithm_depend_on_its_code(imports, stage):
    """They import it by its name: without the file that holds its digest, its changes would go unnoticed."""
    runs = "dpg.learning.update" in imports.find_upstream_modules(f"stages.{stage}")
    name = "regimes" if stage == "regimes" else "${item.algorithm}"
    assert (f"data/algorithms/{name}.txt" in STAGES[stage]["deps"]) == runs


def test_what_built_in_algorithms_import_is_declared_where_they_run(imports):
    algorithms = imports.find_descendants("dpg.algorithms")
    upstream = set().union(*(imports.find_upstream_modules(module) for module in algorithms))
    needed = {source(module) for module in upstream - algorithms if not (ROOT / module.replace(".", "/")).is_dir()}
    for stage in ("train", "ablation", "regimes", "update_step", "update_gain", "landscape"):
        declared = code_dependencies(stage)
        missing = {file for file in needed if not any(file == dep or file.startswith(dep + "/") for dep in declared)}
        assert not missing, stage


def test_package_files_import_nothing_of_ours():
    """So that a stage's dependencies are as narrow as its imports."""
    for path in [*ROOT.glob("dpg/**/__init__.py"), *ROOT.glob("stages/**/__init__.py")]:
        assert not re.search(r"(from|import) +(dpg|stages|\.)", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("stage", STAGES)
def test_stages_run_as_modules(stage):
    """Run as a file, a stage would import the live working copy in an experiment's temporary one."""
    assert STAGES[stage]["cmd"].startswith(f"python -m stages.{stage}")
