"""`dpg diagnose`: what may be wrong with one agent."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text

from dpg.cli import output
from dpg.cli.output import AsJson
from dpg.runtime.console import stdout_to_stderr

if TYPE_CHECKING:
    from dpg.diagnose.run import Diagnosis

EPILOG = """
Examples:

- `dpg diagnose data/train/Hopper-v4/ppo/agent00-iteration00100.safetensors`: a list, in some four minutes
- `dpg diagnose SNAPSHOT -o diagnosis`: also `diagnosis/index.html`, to read in a browser, and `findings.json`
- `dpg diagnose logs/trpo/Hopper-v3_1 --env Hopper-v4`: an agent of another library; no code of its files is run
- `dpg diagnose SNAPSHOT --tier m`: sizes that do not depend on this machine; the same bytes each time

How to read it, and how often healthy agents have findings: docs/diagnosing.md.
"""
MOST_EFFECTS = 4  # of a check that found something; the page has all
COLORS = {"found": "bold red", "undecided": "yellow", "not found": "green", "not measured": "dim"}


def diagnose(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A snapshot, or what `dpg import` takes.", show_default=False)
    ],
    env: Annotated[
        str | None, typer.Option(help="The task, where it is not the one that the agent names.", show_default=False)
    ] = None,
    vecnormalize: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its normaliser, as for `dpg import`.", show_default=False)
    ] = None,
    no_normaliser: Annotated[bool, typer.Option("--no-normaliser", help="It was trained without one.")] = False,
    minutes: Annotated[float, typer.Option(min=0.1, help="The time that it may take, on all cores.")] = 4.0,
    tier: Annotated[
        str | None,
        typer.Option(help="Sample sizes: xs, s, m, l, xl, xxl. Default: what fits into the time.", show_default=False),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Make this check alone; may be repeated.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other streams.")] = 0,
    as_json: AsJson = False,
    folder: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A new folder for index.html and findings.json.", show_default=False),
    ] = None,
) -> None:
    """Measure one agent, and say what may be wrong with it and what to try.

    Behaviour, value net, gradients and whole updates are checked, each by a rule that the output states. No project is
    needed.
    """
    from dpg import api
    from dpg.diagnose.run import NOTHING_FOUND

    options = {"normalizer": vecnormalize, "no_normalizer": no_normaliser}
    with nullcontext() if folder is None else output.new_folder(folder) as draft:
        with stdout_to_stderr():
            diagnosis = api.diagnose(path, env, minutes=minutes, tier=tier, checks=check or (), seed=seed, **options)
        if draft is not None:
            write(diagnosis, draft)
    if as_json:
        typer.echo(diagnosis.to_json(), nl=False)
        return
    plan = diagnosis.evidence.plan
    sizes = f"Sample sizes of tier {plan.tier.name}: --tier {plan.tier.name} --seed {plan.seed} gives the same again."
    output.echo(Text(f"{plan.snapshot}, {diagnosis.source}", "bold"), sizes, table(diagnosis), NOTHING_FOUND)
    if folder is not None:
        typer.echo(f"Written to {folder}: index.html to read in a browser, and findings.json.")


def write(diagnosis: "Diagnosis", folder: Path) -> None:
    """The page and the JSON."""
    from dpg.diagnose import page

    (folder / "index.html").write_text(page.render(diagnosis), encoding="utf-8")
    (folder / "findings.json").write_text(diagnosis.to_json(), encoding="utf-8")


def table(diagnosis: "Diagnosis") -> Table:
    """One row per check, the most serious first: status, question, evidence, and what to try if something was found."""
    from dpg.diagnose.findings import Status
    from dpg.diagnose.run import ordered

    rows = Table(Column(no_wrap=True), Column("check", overflow="fold"), box=SIMPLE_HEAD, pad_edge=False)
    for finding in ordered(diagnosis):
        status = finding.status
        lines = [Text(finding.check.question, style="bold" if status is Status.FOUND else "")]
        if finding.reason:
            lines.append(Text(finding.reason, style="dim"))
        for effect in finding.effects[: MOST_EFFECTS if status is Status.FOUND else 1]:
            limit = f"; acceptable: {effect.limits}" if effect.acceptable else ""
            lines.append(Text(f"{effect.quantity}: {effect.amount}{limit}"))
        lines += [Text(note, style="dim") for note in finding.notes]
        if status is Status.FOUND:
            lines += [Text(f"→ {remedy}") for remedy in finding.check.remedies]
        rows.add_row(Text(status.value, style=COLORS[status.value]), Text("\n").join(lines))
    return rows
