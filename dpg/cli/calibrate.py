"""`dpg calibrate`: every estimator against a known answer, and broken ones that must be rejected."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from dpg.cli import output
from dpg.cli.output import AsJson

if TYPE_CHECKING:
    from dpg.tables.calibrate import Check

EPILOG = """
Examples:

- `dpg calibrate`: after a change to a probe, or to trust the numbers
- `dpg calibrate --streams 65536`: smaller errors, in four times the time
- `dpg calibrate --json`: for scripts; the exit code is 1 if a check has not the result that it should have

What is checked, and how the known answers are known: docs/known_answers.md.
"""


def calibrate(
    seed: Annotated[int, typer.Option(min=0, help="The root of the random streams.")] = 0,
    streams: Annotated[int, typer.Option(min=16384, help="Streams of 10 pairs behind a gradient.")] = 16384,
    as_json: AsJson = False,
) -> None:
    """Check every estimator on LinearQuadratic-v0, where the answers are known in closed form.

    Deliberately broken estimators undergo the same checks: a check that cannot fail says nothing.
    """
    from dpg.probes import validation

    started = time.monotonic()
    with output.waiting("measuring, half a minute at the default size"):
        checks = validation.tabulate(map(validation.measure, validation.plan(seed, streams)))
    if as_json:
        output.echo_json([asdict(check) for check in checks])
    else:
        size = f"Seed {seed}, {streams:,} streams, {time.monotonic() - started:.0f} s."
        output.echo(table(checks), f"{summary(checks)} {size}")
    if not all(check.as_expected for check in checks):
        raise typer.Exit(1)


def table(checks: "Sequence[Check]") -> Table:
    """One row for each check: sound estimators first, then broken ones."""
    rows = output.table("estimator", ">truth", ">estimate", ">std. error", ">z", "verdict")
    for index, check in enumerate(checks):
        verdict = "passed" if check.passed else "rejected"
        style = "green" if check.as_expected else "bold red"
        result = Text(verdict if check.as_expected else f"{verdict}: NOT AS IT SHOULD BE", style)
        values = (f"{check.truth:.5g}", f"{check.estimate:.5g}", f"{check.standard_error:.2g}", f"{check.z:.2f}")
        rows.add_row(Text(f"broken: {check.name}" if check.broken else check.name), *values, result)
        if index + 1 < len(checks) and checks[index + 1].broken and not check.broken:
            rows.add_section()
    return rows


def summary(checks: "Sequence[Check]") -> str:
    """The number of checks with the expected result."""
    sound = [check for check in checks if not check.broken]
    broken = [check for check in checks if check.broken]
    return (
        f"{sum(check.passed for check in sound)} of {len(sound)} sound estimators passed, "
        f"{sum(not check.passed for check in broken)} of {len(broken)} broken ones were rejected."
    )
