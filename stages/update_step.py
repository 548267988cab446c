"""Measure how far whole updates agree, over training, at the snapshots of one cell (paper, fig. 12)."""

from dpg.probes import update_step
from dpg.tables.update_step import UpdateAgreement
from stages.common import entrypoint
from stages.common.measuring import measuring
from stages.common.scope import Cell


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    with measuring("update_step", cell, cell.curve) as stage:
        params = stage.params
        shards = update_step.plan(stage.snapshots, params.budget.update_step.updates, params.seed)
        updates = update_step.gather(shards, stage.map(update_step.measure, shards))
        table = stage.write(update_step.tabulate(updates, params.statistics, params.seed))[UpdateAgreement]
        for column in ("cosine", "kl"):
            stage.log_curve(f"update_step.{column}", table, column)


if __name__ == "__main__":
    entrypoint.run(main)
