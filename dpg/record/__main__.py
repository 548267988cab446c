"""`python -m dpg.record`: write the record of an experiment, check one, and go on from one."""

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from dpg.record import PUBLISHED, compare, pages, sources
from dpg.record import lock as locks
from dpg.record.derive import derive
from dpg.runtime import config
from dpg.runtime.console import run
from dpg.runtime.errors import UserError
from dpg.runtime.outputs import replacing, write_atomic
from dpg.runtime.units import size

LARGEST_PAGE = 15e6  # bytes that a browser and a repository take without complaint

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def write(
    source: Annotated[Path, typer.Argument(help="An experiment's folder, finished or not, or a record.")] = PUBLISHED,
    record: Annotated[Path, typer.Argument(help="Where the record goes; a record there is replaced.")] = PUBLISHED,
    command: Annotated[
        str, typer.Option(help="What ran the experiment; without it, as the replaced record has it.")
    ] = "",
) -> None:
    """Write the record of an experiment, or renew one from its own tables.

    For docs/record: renew README.md and docs/record.md with it.
    """
    require(source)
    if "\ufffd" in (text := command.encode(errors="surrogateescape").decode(errors="replace")):
        raise sources.RecordError(f"--command {text}: must be text in UTF-8")
    if is_published(record):
        pages.require_whole()
    target = record.resolve()
    if target.exists() and not (target / "provenance.json").exists():
        raise sources.RecordError(f"{record} exists and is no record: name another folder, or remove it first")
    published = (source / "provenance.json").exists()
    ran = command or command_in(source if published else target)
    with replacing(target) as draft:
        draft.mkdir()
        try:
            (sources.copy if published else sources.collect)(source, draft, ran)
            derive(draft, draft)
            filled, lacking = pages.fill(draft, record) if is_published(record) else ({}, [])
        except UserError as error:  # the draft is gone when its reader looks for it
            raise sources.RecordError(str(error).replace(f"{draft}/", f"{source}: ")) from None
    for page, text in filled.items():
        write_atomic(text, page)
    for line in lacking:
        typer.echo(line)
    files = [path for path in record.rglob("*") if path.is_file()]
    typer.echo(f"{record}: {len(files)} files, {size(sum(path.stat().st_size for path in files))}")
    if (page := (record / "index.html").stat().st_size) > LARGEST_PAGE:
        typer.echo(f"warning: index.html has {size(page)}, more than {size(LARGEST_PAGE)}", err=True)


@app.command()
def check(record: Annotated[Path, typer.Argument(help="A record.")] = PUBLISHED) -> None:
    """Compare a record with what its tables say: a line for each disagreement, and exit code 1 if there is one.

    For docs/record: check that docs/record, README.md and docs/record.md agree with the record's tables.
    """
    require(record)
    found = False
    lines = compare.disagreements(record)
    if is_published(record):
        lines = chain(lines, pages.disagreements(record))
    for line in lines:
        found = True
        typer.echo(line)
    if found:
        raise typer.Exit(1)
    typer.echo(f"{record} agrees with its tables")


@app.command()
def restore(
    clone: Annotated[Path, typer.Argument(help="A fresh clone of the project.")],
    record: Annotated[Path, typer.Argument(help="A record.")] = PUBLISHED,
) -> None:
    """Give a clone the parameters, dvc.lock and tables of a record, to run there what the record lacks.

    `dvc repro --single-item STAGE` runs a stage; `write` then publishes all of it as one record.
    """
    require(record)
    sources.restore(record, clone)
    waiting = sources.unfinished(config.load(clone / "params.yaml"), locks.read(clone / "dvc.lock"))
    typer.echo(f"{clone} has the results of {record}; not run yet: {', '.join(waiting) or 'nothing'}")


def command_in(record: Path) -> str:
    """The command that ran a record's experiment.

    Raises:
        RecordError: there is no record yet.
    """
    if not (record / "provenance.json").exists():
        raise sources.RecordError("--command is needed: what ran the experiment, such as 'dvc repro'")
    return sources.provenance(record)["command"]


def is_published(record: Path) -> bool:
    """Whether this is the record that the pages show."""
    return record.resolve() == PUBLISHED.resolve()


def require(folder: Path) -> None:
    """Check that an experiment or a record is there.

    Raises:
        RecordError: it is not.
    """
    if not folder.is_dir():
        hint = ": `make record FROM=folder COMMAND=command` makes it" if is_published(folder) else ""
        raise sources.RecordError(f"{folder} {'is no folder' if folder.exists() else 'does not exist'}{hint}")
    if not (folder / "params.yaml").is_file():
        raise sources.RecordError(f"{folder} is neither an experiment nor a record: it has no params.yaml")


if __name__ == "__main__":
    run(app, "python -m dpg.record")
