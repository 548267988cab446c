"""`dpg doctor`: what is wrong here, and what to do about it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict

import typer
from rich.table import Table
from rich.text import Text

from dpg.cli import output
from dpg.cli.check import Finding, Level, problem, warning
from dpg.cli.output import AsJson
from dpg.runtime.config import ConfigError
from dpg.runtime.console import stdout_to_stderr
from dpg.runtime.errors import UserError

STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}
EPILOG = """
Examples:

- `dpg doctor`: before the first run, after an installation, when something fails
- `dpg doctor --json`: for scripts; the exit code is 1 if there is a problem
"""


def doctor(as_json: AsJson = False) -> None:
    """Check the installation, the machine, the parameters and the pipeline; say what to do.

    Nothing is changed. Work is possible after warnings; a problem prevents it, and makes the exit code 1.
    """
    from dpg.cli import check_machine, check_project

    checks = (*check_machine.CHECKS, *check_project.CHECKS)
    with output.waiting("checking"), stdout_to_stderr():
        findings = {check.__name__: examine(check) for check in checks}
    if as_json:
        output.echo_json([{"name": name, **asdict(finding)} for name, finding in findings.items()])
    else:
        output.echo(table(findings))
    if any(finding.level is Level.PROBLEM for finding in findings.values()):
        raise typer.Exit(1)


def examine(check: Callable[[], Finding]) -> Finding:
    """Run a check; its own failure is a problem too, and does not prevent the others."""
    try:
        return check()
    except ConfigError:
        return warning("not checked: params.yaml cannot be used")
    except UserError as error:
        return problem(str(error))
    except Exception as error:
        return problem(f"the check itself failed: {type(error).__name__}: {error}")


def table(findings: Mapping[str, Finding]) -> Table:
    """The findings, each with what to do below it."""
    rows = output.table("check", "", "found")
    for name, finding in findings.items():
        style = STYLES[finding.level]
        found = Text(finding.found)
        if finding.todo:
            found.append(f"\n-> {finding.todo}", style="dim" if finding.level is Level.OK else style)
        rows.add_row(Text(name), Text(finding.level, style), found)
    return rows
