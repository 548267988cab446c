"""What commands print: tables, facts and JSON; and the options that several of them take."""

import json
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.status import Status
from rich.table import Column, Table
from rich.text import Text

from dpg.runtime.errors import UserError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
SetParam = Annotated[
    list[str] | None,
    typer.Option("--set-param", "-S", metavar="KEY=VALUE", help="A parameter, as for `dvc exp run`; may be repeated."),
]


def echo(*parts: Any) -> None:
    """Print tables and lines on standard output; `Text` is not wrapped, so that it can be copied."""
    console = Console(highlight=False, markup=False)  # a file's name or an interval may look like markup
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Text))


def echo_json(found: Any) -> None:
    """Print JSON on standard output."""
    typer.echo(json.dumps(found, indent=2))


def waiting(message: str) -> Status:
    """Show on a terminal what the block does."""
    return Console(stderr=True).status(message)


def table(*columns: str) -> Table:
    """An empty table, in whose cells long texts are folded; `>` before a column's name aligns it to the right."""
    rows = Table(box=SIMPLE_HEAD)
    for name in columns:
        rows.add_column(name.removeprefix(">"), overflow="fold", justify="right" if name.startswith(">") else "left")
    return rows


def facts(found: Iterable[tuple[str, str | Sequence[str]]]) -> Table:
    """Names with what they stand for, on one line or several."""
    rows = Table(Column(style="bold"), Column(overflow="fold"), box=None, show_header=False, padding=(0, 2, 0, 1))
    for name, lines in found:
        for index, line in enumerate([lines] if isinstance(lines, str) else lines):
            rows.add_row("" if index else name, line)
    return rows


@contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """A folder to fill in the block, in which no other process writes it; it appears whole at `path`, or not at all.

    Raises:
        UserError: there is something at `path`, or nothing can be written there.
    """
    from dpg.runtime.outputs import sole_writer

    check_new(path)
    with sole_writer(path) as writer:
        check_new(path)  # another may have written it meanwhile
        [draft] = writer.drafts
        draft.mkdir()
        yield draft
        writer.publish()


def check_new(path: Path) -> None:
    """Refuse to write over something."""
    if path.exists():
        raise UserError(f"--output {path}: already exists; name a new folder, or remove it")


def check_file(path: Path, *suffixes: str) -> None:
    """Refuse a file that cannot be written, before anything is computed."""
    if path.suffix not in suffixes:
        raise UserError(f"--output {path}: must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise UserError(f"--output {path}: is a folder")
    if not path.parent.is_dir():
        raise UserError(f"--output {path}: there is no folder {path.parent}")
