"""Measure how far whole updates agree, over training, at the snapshots of one cell (paper, fig. 12)."""

from operator import attrgetter

from dpg.agent.snapshot import load_all
from dpg.probes import update_step
from dpg.runtime import config
from dpg.tables.table import write_all
from dpg.tables.update_step import UpdateAgreement
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell, params = Cell(env, algorithm), config.load()
    budget, statistics = params.budget.update_step, params.statistics
    snapshots = load_all(cell.curve)
    recipe = snapshots[0].recipe
    shards = update_step.plan(snapshots, budget.updates, params.seed)
    logged = {"seed": params.seed, "update_step": budget, "statistics": statistics}
    with run_stage("update_step", cell, logged, tables("update_step", cell), modules=recipe.modules) as stage:
        (out,) = stage.outputs
        results = stage.map(update_step.measure, shards, attrgetter("num_pairs"))
        rows = update_step.tabulate(update_step.gather(shards, results), statistics, params.seed)
        table = write_all(rows, out)[UpdateAgreement]
        for column in ("cosine", "kl"):
            stage.run.log_curve(f"update_step.{column}", table, column, recipe.common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
