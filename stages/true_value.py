"""Fit the true value function at the studied snapshots of one cell, and check it by rollouts (paper, sec. 2.2)."""

from safetensors.numpy import save

from dpg.agent.snapshot import load_all
from dpg.probes import states, true_value, value
from dpg.runtime import config
from dpg.runtime.outputs import write_table
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from stages import edge
from stages.cell import Cell, tables
from stages.execution import execute


def main(env: str, algorithm: str) -> None:
    """Fit one cell's."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget, fit = params.budget.true_value, params.true_value
    snapshots = load_all(cell.studied)
    value.check(snapshots[0])
    common = snapshots[0].recipe.common
    shards = [true_value.Shard(snapshot, budget.pairs, fit, params.seed) for snapshot in snapshots]
    state_shards = [states.Shard(snapshot, budget.states, budget.rollouts, params.seed) for snapshot in snapshots]
    logged = {
        "seed": params.seed,
        "true_value": fit.model_dump() | budget.model_dump(),
        "statistics": params.statistics.model_dump(),
    }
    with execute(
        "true_value", cell, logged, cell.arrays("true_value"), tables("true_value", cell), modules=common.env_modules
    ) as execution:
        arrays, out = execution.outputs
        with Progress(f"true_value {cell}, fits", sum(shard.num_pairs for shard in shards)) as progress:
            work = lambda shard: shard.num_pairs  # noqa: E731
            fitted = list(map_shards(true_value.measure, shards, execution.workshop, progress=progress, work=work))
        (arrays / "values.safetensors").write_bytes(
            save({snapshot.name: each.value for snapshot, each in zip(snapshots, fitted, strict=True)})
        )
        write_table([epoch for each in fitted for epoch in each.epochs], out / "loss.csv")
        table = write_table([each.quality for each in fitted], out / "fit.csv")
        rows, opinions = [], []
        total = sum(shard.num_rollouts for shard in state_shards)
        with Progress(f"true_value {cell}, rollouts", total, "episodes") as progress:
            work = lambda shard: shard.num_rollouts  # noqa: E731
            results = map_shards(states.measure, state_shards, execution.workshop, progress=progress, work=work)
            for shard, found, each in zip(state_shards, results, fitted, strict=True):
                layout = shard.snapshot.state.architecture.value_layout
                vectors = {"value net": shard.snapshot.state.value[0], "true value": each.value}
                nets = {name: true_value.predict(layout, vector, found.obs) for name, vector in vectors.items()}
                of_snapshot, about_nets = states.tabulate(shard, found, nets, params.statistics)
                rows += of_snapshot
                opinions += about_nets
        write_table(rows, out / "states.csv")
        opinion = write_table(opinions, out / "opinion.csv")
        for column in ("explained_variance", "value_net_explained_variance", "median_relative_error"):
            execution.run.log_curve(f"true_value.{column}", table, column, common.timesteps)
        for net, group in opinion.groupby("net"):
            metric = f"true_value.states_{str(net).replace(' ', '_')}_relative_error"
            execution.run.log_curve(metric, group, "relative_error", common.timesteps)
        execution.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    edge.run(main)
