"""Measure what the value nets of one cell predict, over training (paper, fig. 4, 13, 14)."""

from dpg.probes import value
from dpg.tables.value import PredictionError
from stages.common import entrypoint
from stages.common.measuring import measuring
from stages.common.scope import Cell


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    with measuring("value", cell, cell.curve, others=()) as stage:
        shards = value.plan(stage.snapshots, stage.params.budget.value.heldout_pairs, stage.params.seed)
        table = stage.write(value.tabulate(stage.map(value.measure, shards)))[PredictionError]
        stage.leave_reasons([value.unmeasurable(stage.snapshots[0])])
        for (split, target), group in table.groupby(["split", "target"]):
            for column in ("mean_relative_error", "explained_variance"):
                stage.log_curve(f"value.{split}_{target}_{column}", group, column)


if __name__ == "__main__":
    entrypoint.run(main)
