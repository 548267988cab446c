"""Measure what baselines buy at the studied snapshots of one cell (paper, fig. 5, 15)."""

from safetensors.numpy import load_file

from dpg.probes import baselines
from dpg.runtime.outputs import read_reasons
from dpg.tables.baselines import BaselineCosine
from stages.common import entrypoint
from stages.common.measuring import measuring
from stages.common.scope import Cell


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    fits = cell.arrays("true_value")
    fitted, reasons = load_file(fits / "values.safetensors"), read_reasons(fits)
    with measuring("baselines", cell, cell.studied) as stage:
        params = stage.params
        snapshots = [snapshot for snapshot in stage.snapshots if snapshot.name in fitted]
        values = [fitted[snapshot.name] for snapshot in snapshots]
        shards = baselines.plan(snapshots, values, params.budget.baselines, params.seed)
        estimates = baselines.gather(shards, stage.map(baselines.measure, shards))
        table = stage.write(baselines.tabulate(estimates, params.statistics, params.seed))[BaselineCosine]
        stage.leave_reasons(reasons)
        for (baseline, way), group in table[table["pairs"] == stage.timesteps].groupby(["baseline", "advantage"]):
            stage.log_curve(f"baselines.{way}_{baseline}_cosine", group, "cosine")


if __name__ == "__main__":
    entrypoint.run(main)
