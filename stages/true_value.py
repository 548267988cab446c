"""Fit the true value function at the studied snapshots of one cell, and check it by rollouts (paper, sec. 2.2)."""

from safetensors.numpy import save

from dpg.agent.snapshot import load_all
from dpg.numerics.ratios import root_ratio
from dpg.probes import states, true_value
from dpg.runtime import config
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from dpg.tables.table import write
from dpg.tables.true_value import FitEpoch, FitQuality, StateErrors, StateValue
from stages.common import entrypoint
from stages.common.execution import leave_reasons, run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Fit one cell's."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget, fit = params.budget.true_value, params.true_value
    snapshots = load_all(cell.studied)
    reason = true_value.unmeasurable(snapshots[0], budget.pairs)
    recipe = snapshots[0].recipe
    common = recipe.common
    shards = [] if reason else [true_value.Shard(each, budget.pairs, fit, params.seed) for each in snapshots]
    logged = {
        "seed": params.seed,
        "true_value": fit.model_dump() | budget.model_dump(),
        "statistics": params.statistics.model_dump(),
    }
    with run_stage(
        "true_value",
        cell,
        logged,
        cell.arrays("true_value"),
        tables("true_value", cell),
        modules=recipe.modules,
    ) as stage:
        arrays, out = stage.outputs
        with Progress(f"true_value {cell}, fits", sum(shard.num_pairs for shard in shards)) as progress:
            work = lambda shard: shard.num_pairs  # noqa: E731
            found = list(map_shards(true_value.measure, shards, stage.context, progress=progress, work=work))
        # Of a snapshot whose returns are too seldom known there is a reason in the place of a fit.
        leave_reasons(f"true_value {cell}", [reason, *(each for each in found if isinstance(each, str))], arrays, out)
        fitted = [
            (shard.snapshot, each) for shard, each in zip(shards, found, strict=True) if not isinstance(each, str)
        ]
        values = {snapshot.name: each.value for snapshot, each in fitted}
        (arrays / "values.safetensors").write_bytes(save(values))
        write(FitEpoch, [epoch for _, each in fitted for epoch in each.epochs], out)
        table = write(FitQuality, [each.quality for _, each in fitted], out)
        state_shards = [states.Shard(each, budget.states, budget.rollouts, params.seed) for each, _ in fitted]
        rows, state_errors = [], []
        total = sum(shard.num_rollouts for shard in state_shards)
        with Progress(f"true_value {cell}, rollouts", total, "episodes") as progress:
            work = lambda shard: shard.num_rollouts  # noqa: E731
            results = map_shards(states.measure, state_shards, stage.context, progress=progress, work=work)
            for shard, drawn, (_, each) in zip(state_shards, results, fitted, strict=True):
                architecture = shard.snapshot.state.architecture
                vectors = {"value net": shard.snapshot.state.value[0], "true value": each.value}
                nets = {name: true_value.predict(architecture, vector, drawn.obs) for name, vector in vectors.items()}
                of_snapshot, of_nets = states.tabulate(shard, drawn, nets, params.statistics)
                rows += of_snapshot
                state_errors += of_nets
        write(StateValue, rows, out)
        errors = write(StateErrors, state_errors, out)
        for column in ("explained_variance", "value_net_explained_variance", "median_relative_error"):
            stage.run.log_curve(f"true_value.{column}", table, column, common.timesteps)
        for net, group in errors.groupby("net"):
            metric = f"true_value.states_{str(net).replace(' ', '_')}_relative_error"
            squares = group.groupby("iteration", as_index=False)[["squared_error", "squared_value"]].mean()
            error = root_ratio(squares["squared_error"].to_numpy(), squares["squared_value"].to_numpy())
            stage.run.log_curve(metric, squares.assign(error=error), "error", common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
