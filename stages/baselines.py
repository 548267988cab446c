"""Measure what baselines buy at the studied snapshots of one cell (paper, fig. 5, 15)."""

from safetensors.numpy import load_file

from dpg.agent.snapshot import load_all
from dpg.probes import baselines
from dpg.runtime import config
from dpg.runtime.outputs import read_reasons
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from dpg.tables.baselines import AgentsDifference, BaselineCosine, BaselineDifference
from dpg.tables.table import write
from stages.common import entrypoint
from stages.common.execution import leave_reasons, run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget = params.budget.baselines
    studied = load_all(cell.studied)
    common = studied[0].recipe.common
    fitted, reasons = (
        load_file(cell.arrays("true_value") / "values.safetensors"),
        read_reasons(cell.arrays("true_value")),
    )
    snapshots = [snapshot for snapshot in studied if snapshot.name in fitted]
    true_values = [fitted[snapshot.name] for snapshot in snapshots]
    shards = baselines.plan(snapshots, true_values, budget, params.seed)
    logged = {"seed": params.seed, "baselines": budget.model_dump(), "statistics": params.statistics.model_dump()}
    with (
        run_stage("baselines", cell, logged, tables("baselines", cell), modules=common.modules) as stage,
        Progress(f"baselines {cell}", sum(shard.num_pairs for shard in shards)) as progress,
    ):
        (out,) = stage.outputs
        work = lambda shard: shard.num_pairs  # noqa: E731
        results = map_shards(baselines.measure, shards, stage.context, progress=progress, work=work)
        comparisons, differences, found = [], [], []
        for collected in baselines.gather(shards, results):
            rows, gaps = baselines.tabulate(collected, params.statistics, params.seed)
            comparisons += rows
            differences += gaps
            found.append(collected)
        table = write(BaselineCosine, comparisons, out)
        write(BaselineDifference, differences, out)
        gains = baselines.over_agents(found, params.statistics, params.seed)
        write(AgentsDifference, gains, out)
        leave_reasons(f"baselines {cell}", reasons, out)
        at_t = table[table["pairs"] == common.timesteps]
        for (baseline, way), group in at_t.groupby(["baseline", "advantage"]):
            metric = f"baselines.{way}_{str(baseline).replace(' ', '_')}_cosine"
            stage.run.log_curve(metric, group, "cosine", common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
