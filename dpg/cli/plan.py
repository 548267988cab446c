"""`dpg plan`: what every stage would cost, before anything runs."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from dpg.cli import output
from dpg.cli.output import AsJson, SetParam

if TYPE_CHECKING:
    from dpg.planning.forecast import Plan


EPILOG = """
Examples:

- `dpg plan`: what `dvc repro` would run now
- `dpg plan -S scale=paper -S 'envs=[Hopper-v4, Humanoid-v4]'`: before days are spent
- `dpg plan -S ppo.lr=1.25e-4`: what an experiment would run again
"""


def plan(
    set_param: SetParam = None,
    as_json: AsJson = False,
) -> None:
    """Forecast what each stage would cost: pairs, time on this machine, memory and disk.

    DVC says what is stale. What depends on a stage that would run is counted as well, although it does not run if its
    inputs turn out the same. Stages that DVC would take from its cache or run cache are listed as cached.

    Costs are those that earlier runs of the same work recorded on this machine. Without a record they are measured,
    which takes some 20 seconds on an idle machine. Nothing in the project is changed.
    """
    with output.waiting("asking DVC what is stale, then measuring: some seconds"):
        found = make(Path.cwd(), set_param or [])
    if as_json:
        output.echo_json(as_data(found))
        return
    from dpg.cli.plan_table import show

    show(found, Console())


def make(project: Path, overrides: Sequence[str]) -> "Plan":
    """The plan of a project under overrides.

    Raises:
        UserError: the parameters have mistakes, there is no pipeline, or a task cannot be made.
    """
    from dpg.cli import dag, staleness
    from dpg.cli.overrides import read
    from dpg.runtime import machine
    from dpg.runtime.console import stdout_to_stderr
    from dpg.runtime.local_workers import num_jobs

    jobs = num_jobs()
    params = read(project / "params.yaml", overrides)
    with staleness.asked(project, overrides) as answer:
        # While DVC is at work: the probes import PyTorch, which takes as long.
        from dpg.planning import forecast, measuring, records, stages
        from dpg.planning.cells import tasks_of
        from dpg.streams import measurable

        with stdout_to_stderr():  # a task's own module may print
            tasks = tasks_of(params)
        works = stages.stages(params, tasks, jobs)
        pipeline = answer()
    to_run = [work for work in works if work.name in pipeline.stale]
    known = records.read(project, works, tasks, jobs) if to_run else {}
    new = [work for work in to_run if work.name not in known]
    cells = list(dict.fromkeys(work.cell for work in new if work.cell))
    began = time.monotonic()
    with stdout_to_stderr():
        measured = measuring.measure(params, cells, list(dict.fromkeys(work.stage for work in new))) if new else None
    return forecast.Plan(
        scale=params.scale,
        stale=[forecast.forecast(work, known.get(work.name), measured, jobs) for work in to_run],
        cached=[work for work in works if work.name in pipeline.parents and work.name not in pipeline.stale],
        unknown=sorted(set(pipeline.parents) - {work.name for work in works}),
        jobs=jobs,
        machine=f"{machine.cpu()}, {os.cpu_count()} cores",
        measuring_seconds=time.monotonic() - began if measured else None,
        cache_copies=dag.settings().cache_copies,
        not_measured=list(measurable.messages(params, {env: task.time_limit for env, task in tasks.items()})),
    )


def as_data(found: "Plan") -> dict[str, Any]:
    """The plan as JSON's types; cached stages have no times."""
    stages = [(forecast.work, forecast) for forecast in found.stale] + [(work, None) for work in found.cached]
    costs = ("workers", "core_seconds", "wall_seconds", "memory_bytes")
    return {
        "scale": found.scale,
        "machine": found.machine,
        "workers": found.jobs,
        "stages": [
            {
                "name": work.name,
                "stale": cost is not None,
                "pairs": work.pairs,
                "pairs_are_exact": not work.approximate,
                "episodes": work.episodes,
                "shards": work.shards,
                **{name: getattr(cost, name, None) for name in costs},
                "output_bytes": (cost or work).output_bytes,
                "scratch_bytes": work.scratch_bytes,
            }
            for work, cost in stages
        ],
        "unknown_stages": found.unknown,
        "not_measured": found.not_measured,
        "totals": found.totals,
    }
