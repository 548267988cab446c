"""`make setup` installs from where pip's configuration points, with uv or without it."""

import importlib.metadata
import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from tests import wheels
from tools.install import UV, uv_variables

ROOT = Path(__file__).parents[1]
# A project that builds itself, so that nothing has to be downloaded.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny"
version = "1.0"
"""
BACKEND = """
import shutil


def build_editable(folder, config_settings=None, metadata_directory=None):
    return shutil.copy("tiny-1.0-py3-none-any.whl", folder).rpartition("/")[2]
"""


def test_pips_settings_are_passed_on_and_its_environment_wins():
    listing = "\n".join(
        [
            ":env:.extra-index-url='https://team.example.org/simple'",
            "freeze.exclude='tiny'",
            "global.extra-index-url='https://old.example.org/simple'",
            "global.find-links='/wheels\\n/more'",
            "global.index-url='https://mirror.example.org/simple'",
            "install.constraint='/etc/constraints.txt'",
        ]
    )
    assert uv_variables(listing) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INDEX": "https://team.example.org/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_DEFAULT_INDEX": "https://mirror.example.org/simple",
        "UV_CONSTRAINT": "/etc/constraints.txt",
    }


def project(folder: Path) -> Path:
    """A project with an environment; returns its Python."""
    (folder / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "install.py", folder / "tools")
    (folder / "requirements.lock").write_text("# nothing\n", encoding="utf-8")
    (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    wheels.build(folder, "tiny", {"tiny.py": ""})
    venv.create(folder / ".venv", with_pip=True, symlinks=True)
    return folder / ".venv" / "bin" / "python"


def install(python: Path) -> str:
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    offline = settings | {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        [python, python.parents[2] / "tools" / "install.py"],
        env=offline,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    subprocess.run([python, "-c", "import tiny"], check=True)
    return done.stdout


@pytest.mark.slow
def test_without_uv_pip_installs(tmp_path):
    assert "installing with pip" in install(project(tmp_path))


@pytest.mark.slow
def test_with_uv_pip_is_not_needed(tmp_path):
    name, version = UV.split("==")
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("this environment was made without uv")
    assert found.version == version
    python = project(tmp_path)
    (packages,) = (tmp_path / ".venv").glob("lib/python*/site-packages")
    for file in found.files or ():
        (packages / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found.locate_file(file), packages / file)
    assert not install(python)
