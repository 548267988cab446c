"""Fit the true value function at the studied snapshots of one cell, and check it by rollouts (paper, sec. 2.2)."""

from operator import attrgetter

from safetensors.numpy import save

from dpg.agent.snapshot import load_all
from dpg.numerics.ratios import root_ratio
from dpg.probes import state_errors, state_rollouts, true_value
from dpg.runtime import config
from dpg.tables.table import write_all
from dpg.tables.true_value import FitQuality, StateErrors
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Fit the true value functions of one cell."""
    cell, params = Cell(env, algorithm), config.load()
    budget, statistics = params.budget.true_value, params.statistics
    snapshots = load_all(cell.studied)
    recipe = snapshots[0].recipe
    shards = true_value.plan(snapshots, budget.pairs, params.true_value, params.seed)
    logged = {
        "seed": params.seed,
        "true_value": params.true_value.model_dump() | budget.model_dump(),
        "statistics": statistics,
    }
    folders = cell.arrays("true_value"), tables("true_value", cell)
    with run_stage("true_value", cell, logged, *folders, modules=recipe.modules) as stage:
        arrays, out = stage.outputs
        results = stage.map(true_value.measure, shards, attrgetter("num_pairs"), part="fits")
        fits, reasons = true_value.gather(shards, results)
        stage.leave_reasons([true_value.unmeasurable(snapshots[0], budget.pairs), *reasons], arrays, out)
        (arrays / "values.safetensors").write_bytes(save({snapshot.name: fit.value for snapshot, fit in fits}))
        rows = true_value.tabulate(fits)

        fitted = [snapshot for snapshot, _ in fits]
        rollouts = state_rollouts.plan(fitted, budget.states, budget.rollouts, params.seed)
        found = stage.map(
            state_rollouts.measure, rollouts, attrgetter("num_episodes"), unit="episodes", part="rollouts"
        )
        checked = state_errors.gather(rollouts, found, [fit.value for _, fit in fits])
        written = write_all(rows | state_errors.tabulate(checked, statistics, params.seed), out)
        for column in ("explained_variance", "value_net_explained_variance", "median_relative_error"):
            stage.run.log_curve(f"true_value.{column}", written[FitQuality], column, recipe.common.timesteps)
        for net, group in written[StateErrors].groupby("net"):
            metric = f"true_value.states_{str(net).replace(' ', '_')}_relative_error"
            squares = group.groupby("iteration", as_index=False)[["squared_error", "squared_value"]].mean()
            error = root_ratio(squares["squared_error"].to_numpy(), squares["squared_value"].to_numpy())
            stage.run.log_curve(metric, squares.assign(error=error), "error", recipe.common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
