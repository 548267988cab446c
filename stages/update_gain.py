"""Measure what whole updates do to reward and surrogate, at the studied snapshots of one cell (paper, sec. 2.3)."""

from dpg.agent.snapshot import load_all
from dpg.probes import gain_tables, update_gain
from dpg.runtime import config
from dpg.tables.table import write
from dpg.tables.update_gain import AgentsGain
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget = params.budget.update_gain
    snapshots = load_all(cell.studied)
    recipe = snapshots[0].recipe
    common = recipe.common
    logged = {
        "seed": params.seed,
        "update_gain": budget.model_dump(),
        "statistics": params.statistics.model_dump(),
    }
    with run_stage("update_gain", cell, logged, tables("update_gain", cell), modules=recipe.modules) as stage:
        (out,) = stage.outputs
        found = update_gain.explore(snapshots, budget, params.seed, stage.context, f"update_gain {cell}")
        rows = gain_tables.tabulate(found, params.statistics, params.seed)
        written = {kind: write(kind, some, out) for kind, some in rows.items()}
        for (pairs, quantity), table in written[AgentsGain].groupby(["update_pairs", "quantity"]):
            metric = f"update_gain.{quantity}_N{pairs}".replace(" ", "_")
            stage.run.log_curve(metric, table, "mean", common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
