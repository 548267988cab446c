"""The command line as a whole."""

import subprocess
import sys

import pytest

from dpg.cli import output


@pytest.mark.parametrize(
    "arguments", [["--help"], ["repro", "--help"], ["doctor", "--help"], ["show", "--help"], ["ui", "--help"]]
)
def test_help_imports_nothing_heavy(tmp_path, environment, arguments):
    program = (
        "import sys\nfrom dpg.cli.app import app\n"
        f"app({arguments}, standalone_mode=False)\n"
        "heavy = {'torch', 'mlflow', 'mujoco', 'pandas', 'numpy', 'gymnasium', 'dvc', 'matplotlib'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_every_command_is_told_of_with_what_it_does(tmp_path, dpg):
    output = dpg("--help", cwd=tmp_path)
    assert "repro" in output and "Run the stale stages" in output
    assert "doctor" in output and "Check the installation" in output
    assert "dpg repro -j 2 train" in dpg("repro", "--help", cwd=tmp_path)


def test_shells_can_complete(tmp_path, dpg):
    assert "_DPG_COMPLETE" in dpg(
        "--show-completion", "bash", cwd=tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"
    )
    output = dpg(cwd=tmp_path, _DPG_COMPLETE="complete_bash", COMP_WORDS="dpg re", COMP_CWORD="1")
    assert output.split() == ["repro"]


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        ("OSError(errno.ENOSPC, 'No space left', 'a.txt')", "a.txt: No space left; free disk space and run the same"),
        (
            "PermissionError(errno.EACCES, 'Permission denied', 'b')",
            "b: Permission denied; make it writable and run the",
        ),
        ("MemoryError('Unable to allocate 7 TiB')", "out of memory: Unable to allocate 7 TiB; ask for less, or use"),
        ("FileNotFoundError(errno.ENOENT, 'No such file', 'c')", None),  # a defect, which keeps its traceback
    ],
)
def test_an_error_of_the_system_that_a_user_can_fix_is_one_line(tmp_path, environment, raised, message):
    program = (
        f"import errno\nfrom dpg.cli.app import app, main\n@app.command()\ndef fail():\n    raise {raised}\nmain()"
    )
    command = [sys.executable, "-c", program, "fail"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1
    if message is None:
        assert "Traceback" in done.stderr
    else:
        assert done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1


def test_what_looks_like_markup_is_printed_as_it_is(capsys):
    rows = output.table("name", ">interval")
    rows.add_row("model[best].zip", "0.5 [nan, nan]")
    output.echo(rows, "written to look[a]", output.facts([("files", ["one[b]", "two"])]))
    printed = capsys.readouterr().out
    for words in ("model[best].zip", "0.5 [nan, nan]", "look[a]", "one[b]"):
        assert words in printed
