"""Measure what the value nets of one cell predict, over training (paper, fig. 4, 13, 14)."""

from operator import attrgetter

from dpg.agent.snapshot import load_all
from dpg.probes import value
from dpg.runtime import config
from dpg.tables.table import write_all
from dpg.tables.value import PredictionError
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell, params = Cell(env, algorithm), config.load()
    budget = params.budget.value
    snapshots = load_all(cell.curve)
    recipe = snapshots[0].recipe
    shards = value.plan(snapshots, budget.heldout_pairs, params.seed)
    logged = {"seed": params.seed, "value": budget}
    with run_stage("value", cell, logged, tables("value", cell), modules=recipe.modules) as stage:
        (out,) = stage.outputs
        results = stage.map(value.measure, shards, attrgetter("num_pairs"))
        table = write_all(value.tabulate(results), out)[PredictionError]
        stage.leave_reasons([value.unmeasurable(snapshots[0])], out)
        for (split, target), group in table.groupby(["split", "target"]):
            for column in ("mean_relative_error", "explained_variance"):
                metric = f"value.{split}_{target}_{column}"
                stage.run.log_curve(metric, group, column, recipe.common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
