"""Measure the quality of gradient estimates at the studied snapshots of one cell (paper, fig. 1, 2, 10, 11)."""

from dpg.agent.snapshot import load_all
from dpg.probes import gradient
from dpg.runtime import config
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from dpg.tables.gradient import AgentsSimilarity, Noise, Similarity
from dpg.tables.table import write
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    snapshots = load_all(cell.studied)
    common = snapshots[0].recipe.common
    shards = gradient.plan(snapshots, params.budget.gradient, params.seed)
    logged = {
        "seed": params.seed,
        "gradient": params.budget.gradient.model_dump(),
        "statistics": params.statistics.model_dump(),
    }
    with (
        run_stage("gradient", cell, logged, tables("gradient", cell), modules=common.modules) as stage,
        Progress(f"gradient {cell}", sum(shard.num_pairs for shard in shards)) as progress,
    ):
        (out,) = stage.outputs
        work = lambda shard: shard.num_pairs  # noqa: E731
        results = map_shards(gradient.measure, shards, stage.context, progress=progress, work=work)
        similarity, noise, found = [], [], []
        for collected in gradient.gather(shards, results):
            cosines = gradient.cosines(collected)
            rows, row = gradient.tabulate(collected, cosines, params.statistics, params.seed)
            similarity += rows
            noise.append(row)
            found.append((collected.snapshot, cosines))
        table = write(Similarity, similarity, out)
        write(Noise, noise, out)
        write(AgentsSimilarity, gradient.over_agents(found, params.statistics, params.seed), out)
        for against, group in table[table["pairs"] == common.timesteps].groupby("against"):
            metric = f"gradient.cosine_to_{str(against).replace(' ', '_')}"
            stage.run.log_curve(metric, group, "cosine", common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
