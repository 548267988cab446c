"""A plan as a table for people."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dpg.planning.forecast import Forecast, Plan, totals
from dpg.planning.work import StageWork
from dpg.runtime.units import duration, size

MOST_ROWS = 16  # beyond, the algorithms of a task are added up
WIDE = 100  # columns, from which on there is room for more


def show(plan: Plan, console: Console) -> None:
    """Print what would run, then what is cached, then what the numbers mean."""
    total = len(plan.stale) + len(plan.cached)
    console.print(f"[bold]scale {plan.scale}: {len(plan.stale)} of {total} stages would run[/]", highlight=False)
    if plan.stale:
        console.print(_table(plan, wide=console.width >= WIDE))
    if plan.cached:
        console.print(f"cached, {len(plan.cached)}: {_names(plan.cached)}", style="dim", highlight=False)
    if plan.unknown:
        console.print(f"no forecast: {', '.join(plan.unknown)}", highlight=False)
    for line in _notes(plan):
        console.print(line, highlight=False)


def _table(plan: Plan, *, wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, show_footer=True, pad_edge=False, padding=(0, 1, 0, 0) if not wide else (0, 1))
    table.add_column("stage", "total", overflow="fold")
    names = ("pairs", "core time", "wall time", "memory", "disk", "scratch")
    for name, total in zip(names, _cells(plan.stale), strict=True):
        if wide or name != "scratch":
            table.add_column(name, total, justify="right", no_wrap=True)
    for env, rows in _sections(plan.stale):
        if env:
            table.add_row(f"[bold]{env}[/]")
        for label, costs in rows:
            table.add_row(("  " if env else "") + label, *_cells(costs)[: len(table.columns) - 1])
    return table


def _sections(stale: Sequence[Forecast]) -> Iterable[tuple[str, list[tuple[str, list[Forecast]]]]]:
    """The rows under each task: one stage each, or the stages of all its algorithms where there are too many."""
    envs = dict.fromkeys(f.work.env for f in stale if f.work.env)
    yield "", [(f.work.stage, [f]) for f in stale if f.work.stage == "params"]
    for env in envs:
        costs = [f for f in stale if f.work.env == env]
        if len(stale) <= MOST_ROWS:
            yield env, [(" ".join(filter(None, (f.work.stage, f.work.algorithm))), [f]) for f in costs]
            continue
        stages = {stage: [f for f in costs if f.work.stage == stage] for stage in [f.work.stage for f in costs]}
        yield env, [(stage if len(same) == 1 else f"{stage} x {len(same)}", same) for stage, same in stages.items()]
    yield "", [(f.work.stage, [f]) for f in stale if not f.work.env and f.work.stage != "params"]


def _cells(costs: Sequence[Forecast]) -> list[str]:
    found, rough = totals(costs), "~" * any(f.work.approximate for f in costs)
    return [
        f"{rough}{found['pairs']:,}" if found["pairs"] else "-",
        *(duration(found[name]) for name in ("core_seconds", "wall_seconds")),
        *(size(found[name]) for name in ("memory_bytes", "output_bytes", "scratch_bytes")),
    ]


def _names(works: Sequence[StageWork]) -> str:
    """Stages by name, those of several cells together."""
    by_stage = sorted(works, key=lambda work: work.stage)
    groups = [(stage, list(same)) for stage, same in groupby(by_stage, key=lambda work: work.stage)]
    return ", ".join(same[0].name if len(same) == 1 else f"{stage} x {len(same)}" for stage, same in groups)


def _notes(plan: Plan) -> list[str]:
    if not plan.stale:
        return ["Nothing would run: all outputs are there, or in DVC's cache.", *plan.not_measured]
    sums = plan.totals
    largest = max(plan.stale, key=lambda f: f.work.scratch_bytes)
    again = f", and {size(sums['cache_bytes'])} again in DVC's cache" if sums["cache_bytes"] else ""
    recorded = sum(f.recorded for f in plan.stale)
    sources = [f"{plan.measuring_seconds:.0f} s of measurement"] if plan.measuring_seconds is not None else []
    sources += [f"earlier runs of {recorded} of the stages"] if recorded else []
    lines = [
        f"Times are estimates, from {' and '.join(sources)}, for {plan.machine}, with {plan.jobs} "
        f"worker{'s' if plan.jobs > 1 else ''} and nothing else to do; stages run one after the other.",
        f"Disk: {size(sums['output_bytes'])} of outputs{again}; while {largest.work.name} runs, up to "
        f"{size(sums['scratch_bytes'])} of finished shards.",
    ]
    if any(f.work.approximate for f in plan.stale):
        lines.append("~ whole episodes, of unknown length: evaluations count as if all ran to the time limit.")
    return [*lines, *plan.not_measured]
