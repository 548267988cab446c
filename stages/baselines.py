"""Measure what baselines buy at the studied snapshots of one cell (paper, fig. 5, 15)."""

from operator import attrgetter

from safetensors.numpy import load_file

from dpg.agent.snapshot import load_all
from dpg.probes import baselines
from dpg.runtime import config
from dpg.runtime.outputs import read_reasons
from dpg.tables.baselines import BaselineCosine
from dpg.tables.table import write_all
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell, params = Cell(env, algorithm), config.load()
    budget, statistics = params.budget.baselines, params.statistics
    studied = load_all(cell.studied)
    common = studied[0].recipe.common
    fits = cell.arrays("true_value")
    fitted, reasons = load_file(fits / "values.safetensors"), read_reasons(fits)
    snapshots = [snapshot for snapshot in studied if snapshot.name in fitted]
    shards = baselines.plan(snapshots, [fitted[snapshot.name] for snapshot in snapshots], budget, params.seed)
    logged = {"seed": params.seed, "baselines": budget, "statistics": statistics}
    with run_stage("baselines", cell, logged, tables("baselines", cell), modules=studied[0].recipe.modules) as stage:
        (out,) = stage.outputs
        results = stage.map(baselines.measure, shards, attrgetter("num_pairs"))
        rows = baselines.tabulate(baselines.gather(shards, results), statistics, params.seed)
        table = write_all(rows, out)[BaselineCosine]
        stage.leave_reasons(reasons, out)
        for (baseline, way), group in table[table["pairs"] == common.timesteps].groupby(["baseline", "advantage"]):
            metric = f"baselines.{way}_{str(baseline).replace(' ', '_')}_cosine"
            stage.run.log_curve(metric, group, "cosine", common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
