"""`dpg claims`: the verdicts on the paper's claims."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from dpg.cli import output
from dpg.cli.output import AsJson, SetParam
from dpg.runtime.errors import UserError

PATH = Path("reports/claims.json")
STYLES = {"supported": "green", "contradicted": "bold red", "inconclusive": "yellow", "not measured": "dim"}
EPILOG = """
Examples:

- `dpg claims`: the verdicts of the last run, with what decided them
- `dpg claims --before`: which claims can be decided with these parameters, and what the others would need
- `dpg claims --before -S scale=workstation`: the same for another scale
- `dpg claims --characteristics 2000`: how often the rules decide wrongly and rightly, from simulated experiments
- `dpg claims --json`: for scripts
"""


def claims(
    before: Annotated[bool, typer.Option("--before", help="Say what can be decided, before anything runs.")] = False,
    characteristics: Annotated[
        int | None,
        typer.Option(
            metavar="EXPERIMENTS", min=10, help="Simulate so many experiments of each kind.", show_default=False
        ),
    ] = None,
    set_param: SetParam = None,
    as_json: AsJson = False,
) -> None:
    """Print the verdict on each of the paper's claims, with its effect and interval.

    `dvc repro` decides them from the tables; a claim that the scale cannot decide says what it lacks. `--before` says
    so before a run, and `--characteristics` how surely the rules decide.
    """
    from dpg.cli import claims_before, overrides
    from dpg.runtime.console import stdout_to_stderr

    if before and characteristics:
        raise UserError("--before and --characteristics: give one of them")
    if set_param and not (before or characteristics):
        raise UserError("-S goes with --before or --characteristics: verdicts are those of the last run")
    if characteristics:
        from dpg.report.claims.characteristics import measure, to_markdown

        params = overrides.read(claims_before.PARAMS, set_param or [])
        with output.waiting("simulating experiments"):
            simulated = list(measure(params.scale, params.budget, params.statistics, characteristics))
        found, shown = [asdict(each) for each in simulated], [Text(to_markdown(simulated).rstrip())]
    elif before:
        with stdout_to_stderr():  # a task's own module may print
            found = claims_before.forecast(set_param or [])
        decided = f"{sum(each['can_be_decided'] for each in found)} of {len(found)} claims can be decided."
        shown = [*claims_before.lines(found), f"{decided} How surely: docs/claims.md. Cost in time: `dpg plan`."]
    else:
        found = read(PATH)
        shown = [table(found), summary(found)]
    if as_json:
        output.echo_json(found)
    else:
        output.echo(*shown)


def read(path: Path) -> list[dict[str, Any]]:
    """The claims as the pipeline left them.

    Raises:
        UserError: they are not there, or not whole.
    """
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `dvc repro` to make it") from None
    except ValueError as error:
        raise UserError(f"{path} is incomplete ({error}): run `dvc checkout`, or `dvc repro --force figures`") from None
    return found


def table(found: Sequence[Mapping[str, Any]]) -> Table:
    """One row for each claim: its statement, its verdict, and the evidence or the reason for the lack of it."""
    rows = output.table("", "claim", "found", "verdict")
    for claim in found:
        verdict = Text(claim["verdict"], STYLES.get(claim["verdict"], ""))
        found_here = "; ".join(filter(None, (claim["reason"] or effect_of(claim), claim.get("note"))))
        rows.add_row(claim["id"], Text(claim["claim"]), Text(found_here), verdict)
        rows.add_section()
    return rows


def effect_of(claim: Mapping[str, Any]) -> str:
    """The measured effect, with its interval if there is one, and its threshold."""
    effect, low, high = (None if claim[name] is None else f"{claim[name]:.3g}" for name in ("effect", "low", "high"))
    interval = "" if low is None else f" [{low}, {high}]"
    return f"{claim['quantity']}: {effect}{interval}, {claim['side']} {claim['threshold']:g}"


def summary(found: Sequence[Mapping[str, Any]]) -> str:
    """The number of claims by verdict."""
    counts = Counter(str(claim["verdict"]) for claim in found)
    return ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in (*STYLES, *(counts.keys() - STYLES)) if counts[verdict]
    )
