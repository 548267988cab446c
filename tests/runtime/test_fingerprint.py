"""The name of the code changes with whatever can change a number, and with nothing else.

The package is copied and each name taken in a process of its own, which reads the copy.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest
from ruamel.yaml import YAML

import dpg
from dpg.runtime import fingerprint

SCRIPT = """
import sys
from pathlib import Path
import dpg
from dpg.runtime import fingerprint
assert Path(dpg.__file__).parent == Path.cwd() / "dpg", dpg.__file__
print(fingerprint.code(sys.argv[1:]))
"""


@pytest.fixture
def copy(tmp_path):
    """A folder with a copy of the package."""
    package = Path(dpg.__file__).parent
    shutil.copytree(package, tmp_path / "dpg", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def name(folder: Path, *modules: str) -> str:
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *modules],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout


def change(path: Path) -> None:
    """As little as can be: a comment might be a number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("#\n")


def test_a_copy_has_the_name_of_the_original(copy):
    """Dask workers run copies, and a clone resumes from another's shards: the code's location does not matter."""
    assert name(copy).strip() == fingerprint.code()


def test_a_change_of_any_module_that_computes_changes_the_name(copy):
    """Otherwise a result of other code would be reused."""
    paths = ["numerics/vectors.py", "runtime/seeding.py", "envs/make.py", "__init__.py", "learning/new.py"]
    paths += fingerprint.MEASURING
    names = [name(copy)]
    for path in paths:
        change(copy / "dpg" / path)
        names.append(name(copy))
    (copy / "dpg" / "learning" / "new.py").rename(copy / "dpg" / "learning" / "newer.py")
    names.append(name(copy))
    assert len(set(names)) == len(paths) + 2


def test_what_draws_tracks_and_talks_does_not_change_the_name(copy):
    """A new colour in a figure must not throw hours of finished shards away."""
    before = name(copy)
    paths = ["report/new.py", "report/paper.mplstyle", "record/derive.py", "diagnose/page.py", "importing/new.py"]
    paths += ["planning/new.py", "cli/new.py", "tracking/new.py", "api.py", "agent/notes.txt"]
    for path in paths:
        change(copy / "dpg" / path)
    assert name(copy) == before


def test_all_that_a_measurement_imports_is_part_of_the_name():
    """Otherwise an interrupted stage would resume from shards of other code; tracking alone changes no result.

    And a package that no measurement imports would throw finished shards away with every change.
    """
    stages = YAML(typ="safe", pure=True).load(Path(dpg.__file__).parents[1] / "dvc.yaml")["stages"]
    imports = grimp.build_graph("dpg", "stages", cache_dir=None)
    measuring = {f"stages.{name}" for name in stages.keys() - {"params", "figures", "report"}}
    measuring |= {"dpg.diagnose.measurements"} | imports.find_descendants("dpg.algorithms")
    needed = measuring.union(*map(imports.find_upstream_modules, measuring))
    package = Path(dpg.__file__).parent
    files = {Path(*module.split(".")[1:]).with_suffix(".py") for module in needed if module.startswith("dpg.")}
    files = {path for path in files if (package / path).is_file() and path.parts[0] != "tracking"}
    assert files <= set(fingerprint.sources())
    assert {path.parts[0] for path in fingerprint.sources()} == {path.parts[0] for path in files} | {"__init__.py"}
    assert set(map(Path, fingerprint.MEASURING)) <= files, "an exception that nothing needs"


def test_a_users_module_is_part_of_the_name(copy):
    """The tasks that it registers are what agents are trained on."""
    (copy / "my_tasks.py").write_text("a = 1\n", encoding="utf-8")
    package = copy / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "hopper.py").write_text("b = 1\n", encoding="utf-8")
    modules = ("my_tasks", "my_package")
    names = [name(copy), name(copy, "my_tasks"), name(copy, "my_package"), name(copy, *modules)]
    change(copy / "my_tasks.py")
    names.append(name(copy, *modules))
    change(package / "hopper.py")  # not the package's own __init__.py
    names.append(name(copy, *modules))
    assert len(set(names)) == len(names)


def test_a_module_that_is_not_there_is_left_to_whoever_imports_it(copy):
    """The message about it should name the parameter, not be a traceback from here."""
    assert name(copy, "nowhere", "nowhere.deeper", "__main__") == name(copy)


def test_another_version_of_what_computes_is_another_name(monkeypatch):
    """Results of two versions of a simulator must not be mixed."""
    before = fingerprint.code()
    monkeypatch.setattr(fingerprint, "PACKAGES", fingerprint.PACKAGES[:-1])
    assert fingerprint.code() != before
    assert set(fingerprint.versions()) == {"python", *fingerprint.PACKAGES}
