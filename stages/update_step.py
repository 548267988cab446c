"""Measure how far whole updates agree, over training, at the snapshots of one cell (paper, fig. 12)."""

from dpg.agent.snapshot import load_all
from dpg.probes import update_step
from dpg.runtime import config
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from dpg.tables.table import write
from dpg.tables.update_step import UpdateAgreement
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget = params.budget.update_step
    snapshots = load_all(cell.curve)
    recipe = snapshots[0].recipe
    common = recipe.common
    shards = update_step.plan(snapshots, budget.updates, params.seed)
    logged = {
        "seed": params.seed,
        "update_step": budget.model_dump(),
        "statistics": params.statistics.model_dump(),
    }
    with (
        run_stage("update_step", cell, logged, tables("update_step", cell), modules=recipe.modules) as stage,
        Progress(f"update_step {cell}", sum(shard.num_pairs for shard in shards)) as progress,
    ):
        (out,) = stage.outputs
        work = lambda shard: shard.num_pairs  # noqa: E731
        results = map_shards(update_step.measure, shards, stage.context, progress=progress, work=work)
        rows = [
            update_step.tabulate(snapshot, updates, params.statistics, params.seed)
            for snapshot, updates in update_step.gather(shards, results)
        ]
        table = write(UpdateAgreement, rows, out)
        for column in ("cosine", "kl"):
            stage.run.log_curve(f"update_step.{column}", table, column, common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
