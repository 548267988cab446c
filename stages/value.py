"""Measure what the value nets of one cell predict, over training (paper, fig. 4, 13, 14)."""

from itertools import chain

from dpg.agent.snapshot import load_all
from dpg.probes import value
from dpg.runtime import config
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from dpg.tables.table import write
from dpg.tables.value import PredictionError
from stages.common import entrypoint
from stages.common.execution import leave_reasons, run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    snapshots = load_all(cell.curve)
    reason = value.unmeasurable(snapshots[0])
    common = snapshots[0].recipe.common
    heldout_pairs = params.budget.value.heldout_pairs
    shards = [] if reason else [value.Shard(snapshot, heldout_pairs, params.seed) for snapshot in snapshots]
    logged = {"seed": params.seed, "value": params.budget.value.model_dump()}
    with (
        run_stage("value", cell, logged, tables("value", cell), modules=snapshots[0].recipe.modules) as stage,
        Progress(f"value {cell}", sum(shard.num_pairs for shard in shards)) as progress,
    ):
        (out,) = stage.outputs
        work = lambda shard: shard.num_pairs  # noqa: E731
        results = map_shards(value.measure, shards, stage.context, progress=progress, work=work)
        table = write(PredictionError, list(chain.from_iterable(results)), out)
        leave_reasons(f"value {cell}", [reason], out)
        for (split, target), group in table.groupby(["split", "target"]):
            for column in ("mean_relative_error", "explained_variance"):
                stage.run.log_curve(f"value.{split}_{target}_{column}", group, column, common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
