"""Measure what the value nets of one cell predict, over training (paper, fig. 4, 13, 14)."""

from itertools import chain

from dpg.agent.snapshot import load_all
from dpg.probes import value
from dpg.runtime import config, tracking
from dpg.runtime.outputs import publish, write_table
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from stages import edge
from stages.cell import Cell


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    snapshots = load_all(cell.curve)
    shards = [value.Shard(snapshot, params.budget.value.heldout_pairs, params.seed) for snapshot in snapshots]
    logged = {"seed": params.seed, "value": params.budget.value.model_dump()}
    with (
        tracking.stage_run("value", logged, cell.tags, cell.record("value")) as run,
        publish(cell.tables("value")) as (tables,),
        Progress(f"value {cell}", sum(shard.num_pairs for shard in shards)) as progress,
    ):
        results = map_shards(value.measure, shards, progress=progress, work=lambda shard: shard.num_pairs)
        table = write_table(list(chain.from_iterable(results)), tables / "value.csv")
        timesteps = snapshots[0].recipe.common.timesteps
        for (split, target), group in table.groupby(["split", "target"]):
            for column in ("mean_relative_error", "explained_variance"):
                run.log_curve(f"value.{split}_{target}_{column}", group, column, timesteps)
        run.log_artifacts(tables, "tables")


if __name__ == "__main__":
    edge.run(main)
