"""`dpg claims`: what became of the paper's claims."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from dpg.runtime.errors import UserError

PATH = Path("reports/claims.json")
STYLES = {"supported": "green", "contradicted": "bold red", "inconclusive": "yellow", "not measured": "dim"}
EPILOG = """
Examples:

- `dpg claims`: the verdicts of the last run, with what decided them
- `dpg claims --json`: for scripts
"""


def claims(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Print the verdict on each of the paper's claims, with its effect and interval.

    Verdicts are made by `dvc repro` from the tables; a claim that the scale cannot decide says what it lacks.
    """
    found = read(PATH)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    out = Console(highlight=False)
    out.print(table(found))
    out.print(summary(found))


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
        raise UserError(f"{path} is not whole ({error}): run `dvc checkout`, or `dvc repro --force figures`") from None
    return found


def table(found: Sequence[Mapping[str, Any]]) -> Table:
    """A row a claim: what it says, its verdict, and what was found or why that does not support it."""
    rows = Table("", Column("claim", overflow="fold"), Column("found", overflow="fold"), "verdict", box=SIMPLE_HEAD)
    for claim in found:
        verdict = Text(claim["verdict"], STYLES.get(claim["verdict"], ""))
        found_here = "; ".join(filter(None, (claim["reason"] or effect_of(claim), claim.get("note"))))
        rows.add_row(claim["id"], Text(claim["claim"]), Text(found_here), verdict)
        rows.add_section()
    return rows


def effect_of(claim: Mapping[str, Any]) -> str:
    """What was measured, with its interval where there is one, and the edge that it had to keep to."""
    effect, low, high = (None if claim[name] is None else f"{claim[name]:.3g}" for name in ("effect", "low", "high"))
    interval = "" if low is None else f" [{low}, {high}]"
    return f"{claim['quantity']}: {effect}{interval}, {claim['side']} {claim['edge']:g}"


def summary(found: Sequence[Mapping[str, Any]]) -> str:
    """How many claims got each verdict."""
    counts = Counter(str(claim["verdict"]) for claim in found)
    return ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in (*STYLES, *(counts.keys() - STYLES)) if counts[verdict]
    )
