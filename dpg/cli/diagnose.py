"""`dpg diagnose`: what may be wrong with one agent."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dpg.runtime.console import stdout_to_stderr

if TYPE_CHECKING:
    from rich.table import Table

    from dpg.diagnose.run import Diagnosis
    from dpg.runtime.outputs import Claim

EPILOG = """
Examples:

- `dpg diagnose data/train/Hopper-v4/ppo/agent00-iteration00100.safetensors`: a list, in four minutes at the most
- `dpg diagnose SNAPSHOT -o diagnosis`: also `diagnosis/index.html`, to read in a browser, and `findings.json`
- `dpg diagnose logs/trpo/Hopper-v3_1 --env Hopper-v4`: an agent of another library; no code of its files is run
- `dpg diagnose SNAPSHOT --tier m`: sizes that do not depend on this machine; the same bytes each time

How to read it, and how often healthy agents raise something: docs/diagnosing.md.
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
    minutes: Annotated[float, typer.Option(min=0.1, help="The time to plan for, on all cores.")] = 4.0,
    tier: Annotated[
        str | None,
        typer.Option(help="Sample sizes: xs, s, m, l, xl, xxl. Default: what fits into the time.", show_default=False),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Make this check alone; may be repeated.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another draws other streams.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A new folder for index.html and findings.json.", show_default=False),
    ] = None,
) -> None:
    """Measure one agent, and say what may be wrong with it and what to try.

    Behaviour, value net, gradients and whole updates, each against a rule that is stated. No project is needed.
    """
    from dpg import api
    from dpg.runtime.outputs import claim

    claimed = None
    options = {"normalizer": vecnormalize, "no_normalizer": no_normaliser}
    with ExitStack() as stack:
        if output is not None:
            _check_new(output)
            claimed = stack.enter_context(claim(output))
            _check_new(output)  # another may have written it meanwhile
        with stdout_to_stderr():
            diagnosis = api.diagnose(path, env, minutes=minutes, tier=tier, checks=check or (), seed=seed, **options)
        if claimed is not None:
            write(diagnosis, claimed)
    if as_json:
        typer.echo(diagnosis.to_json(), nl=False)
        return
    show(diagnosis)
    if output is not None:
        typer.echo(f"Written to {output}: index.html to read in a browser, and findings.json.")


def _check_new(output: Path) -> None:
    from dpg.runtime.errors import UserError

    if output.exists():
        raise UserError(f"--output {output}: already exists; name a new folder, or remove it")


def write(diagnosis: "Diagnosis", claimed: "Claim") -> None:
    """The page and the JSON; the folder appears whole or not at all."""
    from dpg.diagnose import page

    [draft] = claimed.drafts
    draft.mkdir()
    (draft / "index.html").write_text(page.render(diagnosis), encoding="utf-8")
    (draft / "findings.json").write_text(diagnosis.to_json(), encoding="utf-8")
    claimed.publish()


def show(diagnosis: "Diagnosis") -> None:
    """The list, the gravest first."""
    from rich.console import Console

    from dpg.diagnose.run import NOTHING_FOUND

    plan = diagnosis.evidence.plan
    out = Console(highlight=False)
    out.print(f"{plan.snapshot}, {diagnosis.source}", style="bold", soft_wrap=True)
    out.print(
        f"Sample sizes of tier {plan.tier.name}: --tier {plan.tier.name} --seed {plan.seed} gives the same again."
    )
    out.print(table(diagnosis))
    out.print(NOTHING_FOUND)


def table(diagnosis: "Diagnosis") -> "Table":
    """One row per check: status, question, the evidence, and what to try if something was found."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table
    from rich.text import Text

    from dpg.diagnose.findings import Status
    from dpg.diagnose.run import ordered
    from dpg.diagnose.wording import amount, between

    rows = Table(Column(no_wrap=True), Column("check", overflow="fold"), box=SIMPLE_HEAD, pad_edge=False)
    for finding in ordered(diagnosis):
        status = finding.status
        lines = [Text(finding.check.question, style="bold" if status is Status.FOUND else "")]
        if finding.reason:
            lines.append(Text(finding.reason, style="dim"))
        for effect in finding.effects[: MOST_EFFECTS if status is Status.FOUND else 1]:
            limit = f"; acceptable: {between(effect.acceptable)}" if effect.acceptable else ""
            lines.append(Text(f"{effect.quantity}: {amount(effect)}{limit}"))
        lines += [Text(note, style="dim") for note in finding.notes]
        if status is Status.FOUND:
            lines += [Text(f"→ {remedy}") for remedy in finding.check.remedies]
        rows.add_row(Text(status.value, style=COLORS[status.value]), Text("\n").join(lines))
    return rows
