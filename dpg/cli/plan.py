"""`dpg plan`: what every stage would cost, before anything runs."""

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dpg.planning.forecast import Forecast
    from dpg.planning.work import StageWork


EPILOG = """
Examples:

- `dpg plan`: what `dvc repro` would run now
- `dpg plan -S scale=paper -S 'envs=[Hopper-v4, Humanoid-v4]'`: before days are spent
- `dpg plan -S ppo.lr=1.25e-4`: what an experiment would run again
"""


@dataclass(frozen=True)
class Plan:
    """The pipeline under some parameters: what would run, with its cost, and what is cached.

    `unknown` are stages of `dvc.yaml` that nothing is foretold of, `measuring_seconds` what the measurement took;
    `cache_copies` says whether DVC's cache holds outputs a second time.
    """

    scale: str
    stale: "list[Forecast]"
    cached: "list[StageWork]"
    unknown: list[str]
    jobs: int
    measuring_seconds: float
    cache_copies: bool


def plan(
    set_param: Annotated[
        list[str] | None,
        typer.Option(
            "--set-param", "-S", metavar="KEY=VALUE", help="A parameter, as for `dvc exp run`; may be repeated."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Say what every stage would cost, before anything runs: pairs, time on this machine, memory and disk.

    Only what is stale is measured, for some seconds; nothing of the project is changed.
    """
    import sys

    from rich.console import Console

    errors = Console(stderr=True)
    with errors.status("reading the pipeline, then measuring what is stale: some seconds"):
        found = make(Path.cwd(), set_param or [])
    if as_json:
        import json

        sys.stdout.write(json.dumps(as_data(found), indent=2) + "\n")
        return
    from dpg.cli.plan_table import show

    show(found, Console())


def make(project: Path, overrides: Sequence[str]) -> Plan:
    """The plan of a project under overrides.

    Raises:
        UserError: the parameters have mistakes, there is no pipeline, or a task cannot be made.
    """
    import time

    from dpg.cli import staleness
    from dpg.cli.overrides import apply
    from dpg.runtime.workers import num_jobs

    jobs = num_jobs()
    with staleness.shadow(project) as folder:
        params = apply(project / "params.yaml", overrides, folder / "params.yaml")
        stale = staleness.stale_stages(project, folder)
    # Late: the probes bring PyTorch, and a mistake in an override is to be told at once.
    from dpg.planning import calibration, forecast, stand_ins, workload

    tasks = stand_ins.tasks_of(params)
    works = [work for work in workload.stages(params, tasks) if work.name in stale]
    to_run = [work for work in works if stale[work.name]]
    began = time.monotonic()
    measured = calibration.measure(params, tasks, to_run, jobs) if to_run else None
    return Plan(
        scale=params.scale,
        stale=forecast.forecast(to_run, measured, jobs) if measured else [],
        cached=[work for work in works if not stale[work.name]],
        unknown=sorted(set(stale) - {work.name for work in works}),
        jobs=jobs,
        measuring_seconds=time.monotonic() - began if measured else 0.0,
        cache_copies=staleness.cache_copies(project),
    )


def as_data(found: Plan) -> dict[str, Any]:
    """The plan as JSON's types; cached stages have no times."""
    return {
        "scale": found.scale,
        "machine": machine(),
        "workers": found.jobs,
        "stages": [_stage(f.work, f) for f in found.stale] + [_stage(work, None) for work in found.cached],
        "unknown_stages": found.unknown,
        "totals": totals(found),
    }


def totals(found: Plan) -> dict[str, Any]:
    """Of what would run, one stage after the other: sums, but the largest of the stages' memory and scratch."""
    outputs = sum(f.output_bytes for f in found.stale)
    return {
        "pairs": sum(f.work.pairs for f in found.stale),
        "core_seconds": sum(f.core_seconds for f in found.stale),
        "wall_seconds": sum(f.wall_seconds for f in found.stale),
        "memory_bytes": max((f.memory_bytes for f in found.stale), default=0),
        "output_bytes": outputs,
        "cache_bytes": outputs if found.cache_copies else 0,
        "scratch_bytes": max((f.work.scratch_bytes for f in found.stale), default=0),
    }


def _stage(work: "StageWork", cost: "Forecast | None") -> dict[str, Any]:
    return {
        "name": work.name,
        "stale": cost is not None,
        "pairs": work.pairs,
        "pairs_are_exact": not work.approximate,
        "episodes": work.episodes,
        "shards": sum(load.count for load in work.loads),
        "workers": cost.workers if cost else None,
        "core_seconds": cost.core_seconds if cost else None,
        "wall_seconds": cost.wall_seconds if cost else None,
        "memory_bytes": cost.memory_bytes if cost else None,
        "output_bytes": cost.output_bytes if cost else work.output_bytes,
        "scratch_bytes": work.scratch_bytes,
    }


def machine() -> str:
    """The processor and its cores, in a few words."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line for line in lines if line.startswith("model name")).split(":", 1)[1].strip()
    return f"{name}, {os.cpu_count()} cores"
