"""`dpg repro`: `dvc repro` with several stages at a time, which DVC itself cannot do (dvc #755)."""

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dpg.cli import output
from dpg.cli.dag import Pipeline
from dpg.cli.scheduler import SUCCEEDED, Outcome, State

STYLES = {
    State.DONE: "green",
    State.UNCHANGED: "dim",
    State.FAILED: "bold red",
    State.INTERRUPTED: "yellow",
    State.NOT_RUN: "yellow",
}
PREFIX_COLORS = ("cyan", "magenta", "blue", "green", "yellow")
EPILOG = """
Examples:

- `dpg repro -j 4`: all that is stale, four stages at a time
- `dpg repro -j 2 train`: the training of every cell, and what it depends on
- `dpg repro -j 2 landscape@Hopper-v4-ppo`: one cell's landscape, and what it depends on
- `DPG_JOBS=8 dpg repro -j 2`: eight worker processes in each of two stages
"""


def repro(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="STAGE", help="Stages as DVC names them; default: all.", show_default=False),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="How many stages run at a time.")] = 2,
    force: Annotated[bool, typer.Option("--force", "-f", help="Run the stages even if they are not stale.")] = False,
) -> None:
    """Run the stale stages, several at a time; the result is that of `dvc repro`.

    Each stage starts as soon as all that it depends on is done. After a failure, stages that do not depend on it go on.

    The cores are shared: unless `DPG_JOBS` is set, each of N stages has cores / N worker processes, even when it runs
    alone. Results do not depend on it.

    Ctrl-C stops the running stages and starts no other; the same command resumes them.
    """
    from dpg.cli import dag
    from dpg.cli.stage_processes import StageProcesses, environment_of

    environment = environment_of(jobs)
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    started = time.monotonic()
    pipeline = dag.read(targets or ())
    if force:
        pipeline = dataclasses.replace(pipeline, stale=frozenset(pipeline.parents))
    todo = pipeline.stale | pipeline.below(pipeline.stale)
    if not todo:
        out.print(f"Up to date: {_stages(len(pipeline.parents))}.")
        return
    out.print(plan(pipeline, jobs, int(environment["DPG_JOBS"]), force=force))
    prefixes = _prefixes(todo)

    def say(stage: str, line: str, error: bool) -> None:
        (err if error else out).print(prefixes[stage] + line, soft_wrap=True)

    def on_stop(running: list[str]) -> None:
        waiting = f"; waiting for {', '.join(sorted(running))}" if running else ""
        err.print(f"Stopping: no other stage starts{waiting}", style="yellow")

    processes = StageProcesses(say, on_stop, force=force, environment=environment)
    outcomes = asyncio.run(processes.run(pipeline, jobs))
    output.echo(table(outcomes), summary(outcomes, time.monotonic() - started))
    if processes.signal is not None:
        out.print("Interrupted: finished work is kept, and the same command resumes from there.")
        raise typer.Exit(128 + processes.signal)
    if any(outcome.state not in SUCCEEDED for outcome in outcomes.values()):
        raise typer.Exit(1)


def plan(pipeline: Pipeline, jobs: int, workers: int, *, force: bool) -> str:
    """What will happen, in one line."""
    below = len(pipeline.below(pipeline.stale) - pipeline.stale)
    then = f", {below} more depend on them" if below else ""
    return (
        f"{len(pipeline.stale)} of {_stages(len(pipeline.parents))} {'to run' if force else 'stale'}{then}; "
        f"{jobs} at a time, DPG_JOBS={workers} each"
    )


def table(outcomes: Mapping[str, Outcome]) -> Table:
    """The stages that DVC was called for, and their results."""
    rows = output.table("stage", "result", ">seconds")
    for stage, outcome in outcomes.items():
        if outcome.state is State.UNCHANGED and outcome.seconds is None:
            continue
        seconds = "" if outcome.seconds is None else f"{outcome.seconds:,.1f}"
        result = str(outcome.state)
        if outcome.because:
            cause = outcomes[outcome.because].state
            result += f": {outcome.because} {'was ' if cause is State.INTERRUPTED else ''}{cause}"
        rows.add_row(Text(stage), Text(result, STYLES[outcome.state]), seconds)
    return rows


def summary(outcomes: Mapping[str, Outcome], seconds: float) -> str:
    """The number of stages by result."""
    counts = Counter(outcome.state for outcome in outcomes.values())
    return ", ".join(f"{counts[state]} {state}" for state in State if counts[state]) + f", in {seconds:,.1f} s"


def _prefixes(stages: Collection[str]) -> dict[str, Text]:
    width = max(len(stage) for stage in stages)
    return {
        stage: Text(f"{stage:{width}} | ", style=PREFIX_COLORS[index % len(PREFIX_COLORS)])
        for index, stage in enumerate(sorted(stages))
    }


def _stages(number: int) -> str:
    return f"{number} stage{'' if number == 1 else 's'}"
