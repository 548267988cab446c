"""`dpg doctor`: what is wrong here, and what to do about it."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from dpg.cli.check import Check, Level, worst
from dpg.runtime.console import stdout_to_stderr
from dpg.runtime.errors import UserError

STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}
EPILOG = """
Examples:

- `dpg doctor`: before the first run, after an installation, when something fails
- `dpg doctor --json`: for scripts; the exit code is 1 if there is a problem
"""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check the installation, the machine, the parameters and the pipeline; say what to do.

    Nothing is changed. Work is possible after warnings; a problem prevents it, and makes the exit code 1.
    """
    out = Console(highlight=False)
    with Console(stderr=True).status("checking"), stdout_to_stderr():
        findings = [examine(check) for check in checks()]
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        out.print(table(findings))
    if worst([finding.level for finding in findings]) is Level.PROBLEM:
        raise typer.Exit(1)


def checks() -> list[Callable[[], Check]]:
    """All checks in display order."""
    from dpg.cli import check_machine as machine
    from dpg.cli import check_project as project

    return [
        machine.python,
        machine.packages,
        machine.groups,
        machine.cores,
        machine.memory,
        machine.disk,
        project.settings,
        project.parameters,
        project.tasks,
        project.measurements,
        project.dvc,
        project.pipeline,
        project.code,
        project.tracking,
        machine.leftovers,
    ]


def examine(check: Callable[[], Check]) -> Check:
    """Run a check; its own failure is a problem too, and does not prevent the others."""
    try:
        return check()
    except UserError as error:
        return Check(check.__name__, Level.PROBLEM, str(error))
    except Exception as error:
        return Check(check.__name__, Level.PROBLEM, f"the check itself failed: {type(error).__name__}: {error}")


def table(findings: Sequence[Check]) -> Table:
    """The findings, each with what to do below it."""
    rows = Table("check", "", Column("found", overflow="fold"), box=SIMPLE_HEAD)
    for finding in findings:
        found = Text(finding.found)
        if finding.todo:
            found.append(
                f"\n-> {finding.todo}", style=STYLES[finding.level] if finding.level is not Level.OK else "dim"
            )
        rows.add_row(Text(finding.name), Text(finding.level, STYLES[finding.level]), found)
    return rows
