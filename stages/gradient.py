"""Measure the quality of gradient estimates at the studied snapshots of one cell (paper, fig. 1, 2, 10, 11)."""

from dpg.probes import gradient
from dpg.tables.gradient import Similarity
from stages.common import entrypoint
from stages.common.measuring import measuring
from stages.common.scope import Cell


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    with measuring("gradient", cell, cell.studied) as stage:
        params = stage.params
        shards = gradient.plan(stage.snapshots, params.budget.gradient, params.seed)
        estimates = gradient.gather(shards, stage.map(gradient.measure, shards))
        table = stage.write(gradient.tabulate(estimates, params.statistics, params.seed))[Similarity]
        for against, group in table[table["pairs"] == stage.timesteps].groupby("against"):
            stage.log_curve(f"gradient.cosine_to_{against}", group, "cosine")


if __name__ == "__main__":
    entrypoint.run(main)
