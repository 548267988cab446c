"""`make` works in a project whose path has spaces and signs that make and shells give a meaning."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Instead of an environment's own: says that it was called, and which `python` the stages of DVC would call.
PROGRAM = '#!/bin/sh\necho "called: ${0##*/} $* [$(command -v python)]"\n'


def make(project: Path, *arguments: str, program: str = PROGRAM, succeeds: bool = True) -> list[str]:
    """The lines that `make` prints in a new project with a program as above."""
    (project / ".venv" / "bin").mkdir(parents=True)
    for file in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copyfile(ROOT / file, project / file)
    (project / ".venv" / ".ready").touch()
    for name in ("python", "lint-imports"):
        (project / ".venv" / "bin" / name).write_text(program, encoding="utf-8")
        (project / ".venv" / "bin" / name).chmod(0o755)
    done = subprocess.run(
        ["make", *arguments], cwd=project, env=os.environ, capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode == 0) == succeeds, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["with space & #hash", "feature%2Fx; who's"])
def test_commands_find_the_environment_in_any_folder(tmp_path, name):
    project = tmp_path / name
    lines = make(project, "repro", "check")
    called = [line for line in lines if line.startswith("called: ")]
    assert called[0] == f"called: python -m dvc repro [{project}/.venv/bin/python]"
    assert len(called) == 6 and called[3].startswith("called: lint-imports")
    assert f"==> report: {project}/reports/index.html" in lines


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "write"),
        (["FROM=../my run"], "write ../my run"),
        (
            ["FROM=../run", """COMMAND=dvc exp run -S 'envs=[Hopper-v4]' -S "seed=1" """],
            """write ../run --command dvc exp run -S 'envs=[Hopper-v4]' -S "seed=1" """,
        ),
        (["FROM=../$(shell pwd)"], "write ../$(shell pwd)"),
        (
            ["COMMAND=for s in $(cat stages); do dvc repro $s # `one` after another; done"],
            "write --command for s in $(cat stages); do dvc repro $s # `one` after another; done",
        ),
    ],
)
def test_a_record_is_made_from_the_folder_and_with_the_command_that_are_given(tmp_path, arguments, expected):
    lines = make(tmp_path, "record", *arguments)
    assert f"called: python -m dpg.record {expected} [{tmp_path}/.venv/bin/python]" in lines


def test_the_lock_keeps_its_head_and_gets_the_versions_that_are_installed(tmp_path):
    make(tmp_path, "lock", program="#!/bin/sh\necho torch==2.13.0+cpu\necho dvc==3.67.1\n")
    head = [line for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines() if line[0] == "#"]
    expected = [*head, "torch==2.13.0", "dvc==3.67.1"]
    assert (tmp_path / "requirements.lock").read_text(encoding="utf-8").splitlines() == expected


def test_the_lock_stays_where_the_versions_cannot_be_had(tmp_path):
    make(tmp_path, "lock", program="#!/bin/sh\nexit 1\n", succeeds=False)
    assert (tmp_path / "requirements.lock").read_bytes() == (ROOT / "requirements.lock").read_bytes()
