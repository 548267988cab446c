"""A plan as a table that a person reads."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dpg.planning.counts import StageWork
from dpg.planning.forecast import Forecast, Plan

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
        console.print(f"not foretold: {', '.join(plan.unknown)}", highlight=False)
    for line in _notes(plan):
        console.print(line, highlight=False)


def _table(plan: Plan, *, wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, show_footer=True, pad_edge=False, padding=(0, 1, 0, 0) if not wide else (0, 1))
    sums = plan.totals
    rough = "~" if any(f.work.approximate for f in plan.stale) else ""
    table.add_column("stage", "total", overflow="fold")
    footers = {
        "pairs": f"{rough}{sums['pairs']:,}",
        "core time": duration(sums["core_seconds"]),
        "wall time": duration(sums["wall_seconds"]),
        "memory": size(sums["memory_bytes"]),
        "disk": size(sums["output_bytes"]),
    }
    if wide:
        footers["scratch"] = size(sums["scratch_bytes"])
    for name, footer in footers.items():
        table.add_column(name, footer, justify="right", no_wrap=True)
    for env, rows in _sections(plan.stale):
        if env:
            table.add_row(f"[bold]{env}[/]")
        for label, costs in rows:
            table.add_row(("  " if env else "") + label, *_cells(costs, wide=wide))
    return table


def _sections(stale: Sequence[Forecast]) -> Iterable[tuple[str, list[tuple[str, list[Forecast]]]]]:
    """The rows under each task: a stage each, or the stages of all its algorithms where there are too many."""
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


def _cells(costs: Sequence[Forecast], *, wide: bool) -> list[str]:
    pairs = sum(f.work.pairs for f in costs)
    rough = "~" if any(f.work.approximate for f in costs) else ""
    cells = [
        f"{rough}{pairs:,}" if pairs else "-",
        duration(sum(f.core_seconds for f in costs)),
        duration(sum(f.wall_seconds for f in costs)),
        size(max(f.memory_bytes for f in costs)),
        size(sum(f.output_bytes for f in costs)),
    ]
    return [*cells, size(max(f.work.scratch_bytes for f in costs))] if wide else cells


def _names(works: Sequence[StageWork]) -> str:
    """Stages by name, those of several cells together."""
    groups = [
        (stage, list(same)) for stage, same in groupby(sorted(works, key=lambda w: w.stage), key=lambda w: w.stage)
    ]
    return ", ".join(same[0].name if len(same) == 1 else f"{stage} x {len(same)}" for stage, same in groups)


def _notes(plan: Plan) -> list[str]:
    if not plan.stale:
        return ["Nothing would run: all outputs are there, or in DVC's cache.", *plan.not_measured]
    sums = plan.totals
    largest = max(plan.stale, key=lambda f: f.work.scratch_bytes)
    again = f", and {size(sums['cache_bytes'])} again in DVC's cache" if sums["cache_bytes"] else ""
    recorded = sum(f.recorded for f in plan.stale)
    sources = [f"{plan.measuring_seconds:.0f} s of measurement"] if plan.measuring_seconds is not None else []
    sources += [f"what {recorded} of the stages took before"] if recorded else []
    lines = [
        f"Times are estimates, from {' and '.join(sources)}, for {plan.machine}, with {plan.jobs} "
        f"worker{'s' if plan.jobs > 1 else ''} and nothing else to do; stages run one after the other.",
        f"Disk: {size(sums['output_bytes'])} of outputs{again}; while {largest.work.name} runs, up to "
        f"{size(sums['scratch_bytes'])} of finished shards.",
    ]
    if any(f.work.approximate for f in plan.stale):
        lines.append(
            "~ whole episodes: nobody knows their lengths yet; evaluations count as if all ran to the time limit."
        )
    return [*lines, *plan.not_measured]


def duration(seconds: int | float) -> str:
    """Seconds in the unit that suits them."""
    for limit, unit, name in ((99.5, 1, "s"), (99.5 * 60, 60, "min"), (99.5 * 3600, 3600, "h")):
        if seconds < limit:
            return (
                f"{seconds / unit:.0f} {name}"
                if seconds / unit >= 9.95 or unit == 1
                else f"{seconds / unit:.1f} {name}"
            )
    return f"{seconds / 86400:,.0f} days" if seconds >= 9.95 * 86400 else f"{seconds / 86400:.1f} days"


def size(num_bytes: int | float) -> str:
    """Bytes in the unit that suits them; 1 kB is 1,000."""
    value, unit = float(num_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if value < 9.95 and unit != "B" else f"{value:.0f} {unit}"
