"""Measure the quality of gradient estimates at the studied snapshots of one cell (paper, fig. 1, 2, 10, 11)."""

from dpg.agent.snapshot import load_all
from dpg.probes import gradient
from dpg.runtime import config, tracking
from dpg.runtime.outputs import publish, write_table
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from stages import edge
from stages.cell import Cell


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    snapshots = load_all(cell.studied)
    shards = gradient.plan(snapshots, params.budget.gradient, params.seed)
    logged = {
        "seed": params.seed,
        "gradient": params.budget.gradient.model_dump(),
        "statistics": params.statistics.model_dump(),
    }
    with (
        tracking.stage_run("gradient", logged, cell.tags, cell.record("gradient")) as run,
        publish(cell.tables("gradient")) as (tables,),
        Progress(f"gradient {cell}", sum(shard.num_pairs for shard in shards)) as progress,
    ):
        results = map_shards(gradient.measure, shards, progress=progress, work=lambda shard: shard.num_pairs)
        similarity, noise = [], []
        for collected in gradient.gather(shards, results):
            rows, row = gradient.tabulate(collected, params.statistics, params.seed)
            similarity += rows
            noise.append(row)
        table = write_table(similarity, tables / "similarity.csv")
        write_table(noise, tables / "noise.csv")
        timesteps = snapshots[0].recipe.common.timesteps
        for against, group in table[table["pairs"] == timesteps].groupby("against"):
            metric = f"gradient.cosine_to_{str(against).replace(' ', '_')}"
            run.log_curve(metric, group, "cosine", timesteps)
        run.log_artifacts(tables, "tables")


if __name__ == "__main__":
    edge.run(main)
