"""One execution of a stage: its MLflow run, outputs, workers, cached shards and cost."""

import json
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from dpg.runtime import own_code
from dpg.runtime.machine import peak_memory
from dpg.runtime.outputs import sole_writer, write_atomic, write_reasons
from dpg.runtime.shard_cache import ShardCache, open_shard_cache
from dpg.runtime.shards import ExecutionContext, open_context, run_shards
from dpg.tracking import runs
from dpg.tracking.uri import redacted, tracking_uri
from stages.common.scope import Scope, record

Shard = TypeVar("Shard")
Result = TypeVar("Result")


@dataclass(frozen=True)
class RunningStage:
    """What a stage works with: its MLflow run, an empty folder for each output, and where its shards run."""

    title: str
    run: runs.Run
    outputs: list[Path]
    context: ExecutionContext

    @property
    def tables(self) -> Path:
        """The folder of its tables: the last of its outputs."""
        return self.outputs[-1]

    def map(
        self,
        function: Callable[[Shard], Result],
        shards: Sequence[Shard],
        *,
        unit: str = "pairs",
        work: Callable[[Shard], int] | None = None,
        part: str = "",
    ) -> Iterator[Result]:
        """Yield `function(shard)` in order, with progress over the sum of `work(shard)` in a unit.

        `work` is by default the attribute `num_pairs` where the unit is pairs. `part` names one of several rounds.

        Raises:
            ShardError: a shard failed in every attempt.
        """
        title = ", ".join(filter(None, (self.title, part)))
        count = work or attrgetter(f"num_{unit}")
        return run_shards(function, shards, self.context, work=count, title=title, unit=unit)

    def leave_reasons(self, reasons: Iterable[str], *folders: Path) -> None:
        """Print why something is not measured, and leave it for the report; drop empty reasons.

        It is left in the folders, by default in that of the tables.
        """
        found = list(dict.fromkeys(filter(None, reasons)))
        for reason in found:
            print(f"{self.title}: not measured: {reason}", file=sys.stderr, flush=True)
        write_reasons(found, *(folders or [self.tables]))


@contextmanager
def run_stage(
    stage: str,
    scope: Scope,
    parameters: Mapping[str, Any],
    *outputs: Path,
    modules: tuple[str, ...] = (),
    artifacts: str = "tables",
) -> Generator[RunningStage]:
    """Run a stage in the block. Its outputs appear when the block succeeds; finished shards are cached until then.

    `parameters` are logged, models among them by their fields, and the last output as `artifacts`; `modules` are the
    user's own that shards import.

    Raises:
        ChangedCodeError: the code of the scope's algorithm has changed since DVC last saw it.
    """
    logged = {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in parameters.items()}
    if algorithm := scope.tags.get("algorithm"):
        own_code.check(algorithm, modules)
    with (
        # In use from now on, the shards of another process that writes these outputs are there when it has ended.
        open_shard_cache(stage, str(scope.subdir), logged, modules) as cache,
        sole_writer(*outputs) as writer,
        open_context(cache, modules) as context,
        runs.stage_run(stage, logged, scope.tags, cache.read_metadata("run"), _description(outputs)) as run,
    ):
        cache.write_metadata("run", run.id)
        _report(cache, "resuming: {} are there from an earlier run, in {}")
        try:
            for draft in writer.drafts:
                draft.mkdir()
            yield RunningStage(f"{stage} {scope}".rstrip(), run, writer.drafts, context)
            run.log_artifacts(writer.drafts[-1], artifacts)
            writer.publish()
        except BaseException:
            _report(cache, "{} are kept in {}: the same command resumes from there")
            raise
        cost = _cost(context, outputs, time.monotonic() - writer.since)
        # MLflow's own prefix for system metrics: their charts come after those of the measurements.
        run.log_metrics({f"system/{name}": value for name, value in cost.items()}, step=0)
        made_by = {"run_id": run.id, "tracking_uri": redacted(tracking_uri()), "provenance": runs.provenance()}
        entry = made_by | {"lost_messages": run.all_lost, "cost": cost}
        write_atomic(json.dumps(entry, indent=2) + "\n", record(stage, scope))


def _description(outputs: tuple[Path, ...]) -> str:
    """The docstring of the stage's module, and where its results are."""
    does = sys.modules["__main__"].__doc__ or ""
    return f"{does.strip()}\n\nResults: {', '.join(f'`{output}`' for output in outputs)}."


def _report(cache: ShardCache, text: str) -> None:
    if count := cache.num_results:
        shards = f"{count} finished shard{'s' if count > 1 else ''} ({cache.num_bytes / 1e6:.1f} MB)"
        print(text.format(shards, cache.directory), file=sys.stderr, flush=True)


def _cost(context: ExecutionContext, outputs: tuple[Path, ...], seconds: float) -> dict[str, int | float]:
    """The cost of an execution. Shards that it resumed from count in `pairs` and `episodes`, not in the seconds.

    `peak_memory_bytes` sums the peak resident sets of the stage's process and its workers; shared pages count in each.
    """
    usage = context.usage
    return {
        "pairs": usage.work.get("pairs", 0),
        "episodes": usage.work.get("episodes", 0),
        "shards": usage.shards,
        "resumed_shards": usage.resumed,
        "workers": context.workers.width,
        "wall_seconds": seconds,
        "core_seconds": time.process_time() + usage.cpu_seconds,
        "peak_memory_bytes": peak_memory() + sum(usage.peak_memory.values()),
        "output_bytes": sum(path.stat().st_size for output in outputs for path in output.rglob("*") if path.is_file()),
    }
