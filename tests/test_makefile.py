"""`make` works in a project whose path has spaces and signs that make and shells give a meaning."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Instead of an environment's own: says that it was called, and which `python` the stages of DVC would call.
PROGRAM = '#!/bin/sh\necho "called: ${0##*/} $* [$(command -v python)]"\n'


@pytest.mark.parametrize("name", ["with space & #hash", "feature%2Fx; who's"])
def test_commands_find_the_environment_in_any_folder(tmp_path, name):
    project = tmp_path / name
    (project / ".venv" / "bin").mkdir(parents=True)
    for file in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copyfile(ROOT / file, project / file)
    (project / ".venv" / ".ready").touch()
    for program in ("python", "lint-imports"):
        (project / ".venv" / "bin" / program).write_text(PROGRAM, encoding="utf-8")
        (project / ".venv" / "bin" / program).chmod(0o755)
    done = subprocess.run(
        ["make", "repro", "check"], cwd=project, env=os.environ, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    called = [line for line in done.stdout.splitlines() if line.startswith("called: ")]
    assert called[0] == f"called: python -m dvc repro [{project}/.venv/bin/python]"
    assert len(called) == 6 and called[3].startswith("called: lint-imports")
    assert f"==> report: {project}/reports/index.html" in done.stdout
