"""Measure the quality of gradient estimates at the studied snapshots of one cell (paper, fig. 1, 2, 10, 11)."""

from operator import attrgetter

from dpg.agent.snapshot import load_all
from dpg.probes import gradient
from dpg.runtime import config
from dpg.tables.gradient import Similarity
from dpg.tables.table import write_all
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell, params = Cell(env, algorithm), config.load()
    budget, statistics = params.budget.gradient, params.statistics
    snapshots = load_all(cell.studied)
    common = snapshots[0].recipe.common
    shards = gradient.plan(snapshots, budget, params.seed)
    logged = {"seed": params.seed, "gradient": budget, "statistics": statistics}
    with run_stage("gradient", cell, logged, tables("gradient", cell), modules=snapshots[0].recipe.modules) as stage:
        (out,) = stage.outputs
        results = stage.map(gradient.measure, shards, attrgetter("num_pairs"))
        rows = gradient.tabulate(gradient.gather(shards, results), statistics, params.seed)
        table = write_all(rows, out)[Similarity]
        for against, group in table[table["pairs"] == common.timesteps].groupby("against"):
            metric = f"gradient.cosine_to_{str(against).replace(' ', '_')}"
            stage.run.log_curve(metric, group, "cosine", common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
