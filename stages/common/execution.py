"""One execution of a stage, from its MLflow run to what it took: what is around every computation."""

import json
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dpg import tracking
from dpg.mlflow_store import shown, tracking_uri
from dpg.runtime.machine import peak_memory
from dpg.runtime.outputs import claim, write_reasons, write_whole
from dpg.runtime.shard_cache import ShardCache, open_shard_cache, pin
from dpg.runtime.shards import ExecutionContext, open_context
from stages.common.scope import Scope, record


@dataclass(frozen=True)
class RunningStage:
    """A stage at work: its MLflow run, fresh folders for its outputs in their order, and where its shards are done."""

    run: tracking.Run
    outputs: list[Path]
    context: ExecutionContext


@dataclass(frozen=True)
class Cost:
    """What an execution took. What an earlier, killed one had done already is in `pairs`, not in the seconds.

    `peak_memory_bytes` adds up the peak resident sets of the stage's process and of every worker's; pages that they
    share count in each.
    """

    pairs: int
    episodes: int
    shards: int
    resumed_shards: int
    workers: int
    wall_seconds: float
    core_seconds: float
    peak_memory_bytes: int
    output_bytes: int


@contextmanager
def run_stage(
    stage: str, scope: Scope, logged: Mapping[str, Any], *outputs: Path, modules: tuple[str, ...] = ()
) -> Generator[RunningStage]:
    """Run a stage in the block; its outputs appear when the block ends well, and finished shards are kept until then.

    `logged` are its parameters; `modules` a user's own that register tasks.
    """
    work = (stage, str(scope.subdir), logged, modules)
    with (
        # Whoever writes the same outputs ends first, and what it has finished is taken up.
        claim(*outputs, waiting=lambda: pin(*work)) as claimed,
        open_shard_cache(*work) as cache,
        open_context(cache, modules) as context,
        tracking.stage_run(stage, logged, scope.tags, cache.read_metadata("run"), _description(outputs)) as run,
    ):
        cache.write_metadata("run", run.id)
        _tell(cache, "resuming: {} are there from an earlier run, in {}")
        try:
            for draft in claimed.drafts:
                draft.mkdir()
            yield RunningStage(run, claimed.drafts, context)
            claimed.publish()
        except BaseException:
            _tell(cache, "{} are kept in {}: the same command goes on from there")
            raise
        cost = _cost(context, outputs, time.monotonic() - claimed.since)
        # MLflow's own prefix for what a machine did: its charts come after those of what was measured.
        run.log_metrics({f"system/{name}": value for name, value in asdict(cost).items()}, step=0)
        made_by = {"run_id": run.id, "tracking_uri": shown(tracking_uri()), "provenance": tracking.provenance()}
        entry = made_by | {"lost_messages": run.all_lost, "cost": asdict(cost)}
        write_whole(json.dumps(entry, indent=2) + "\n", record(stage, scope))


def leave_reasons(title: str, reasons: Iterable[str], *folders: Path) -> None:
    """Say why a stage does not measure all that it could, and leave it beside the tables, for the report."""
    found = list(dict.fromkeys(filter(None, reasons)))
    for reason in found:
        print(f"{title}: not measured: {reason}", file=sys.stderr, flush=True)
    write_reasons(found, *folders)


def _description(outputs: tuple[Path, ...]) -> str:
    """What the stage's own module says that it does, and where its results are."""
    does = sys.modules["__main__"].__doc__ or ""
    return f"{does.strip()}\n\nResults: {', '.join(f'`{output}`' for output in outputs)}."


def _tell(cache: ShardCache, text: str) -> None:
    if count := cache.num_results:
        shards = f"{count} finished shard{'s' if count > 1 else ''} ({cache.num_bytes / 1e6:.1f} MB)"
        print(text.format(shards, cache.directory), file=sys.stderr, flush=True)


def _cost(context: ExecutionContext, outputs: tuple[Path, ...], seconds: float) -> Cost:
    usage = context.usage
    return Cost(
        pairs=usage.work.get("pairs", 0),
        episodes=usage.work.get("episodes", 0),
        shards=usage.shards,
        resumed_shards=usage.resumed,
        workers=context.workers.width,
        wall_seconds=seconds,
        core_seconds=time.process_time() + usage.cpu_seconds,
        peak_memory_bytes=peak_memory() + sum(usage.peak_memory.values()),
        output_bytes=sum(path.stat().st_size for output in outputs for path in output.rglob("*") if path.is_file()),
    )
