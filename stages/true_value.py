"""Fit the true value function at the studied snapshots of one cell, and check it by rollouts (paper, sec. 2.2)."""

from safetensors.numpy import save

from dpg.numerics.ratios import root_ratio
from dpg.probes import state_errors, state_rollouts, true_value
from dpg.tables.true_value import FitQuality, StateErrors
from stages.common import entrypoint
from stages.common.measuring import measuring
from stages.common.scope import Cell


def main(env: str, algorithm: str) -> None:
    """Fit the true value functions of one cell."""
    cell = Cell(env, algorithm)
    with measuring("true_value", cell, cell.studied, cell.arrays("true_value")) as stage:
        params, snapshots, arrays = stage.params, stage.snapshots, stage.outputs[0]
        budget = params.budget.true_value
        shards = true_value.plan(snapshots, budget.pairs, params.true_value, params.seed)
        fits, reasons = true_value.gather(shards, stage.map(true_value.measure, shards, part="fits"))
        stage.leave_reasons([true_value.unmeasurable(snapshots[0], budget.pairs), *reasons], arrays, stage.tables)
        (arrays / "values.safetensors").write_bytes(save({snapshot.name: fit.value for snapshot, fit in fits}))
        rows = true_value.tabulate(fits)

        fitted = [snapshot for snapshot, _ in fits]
        rollouts = state_rollouts.plan(fitted, budget.states, budget.rollouts, params.seed)
        found = stage.map(state_rollouts.measure, rollouts, unit="episodes", part="rollouts")
        checked = state_errors.gather(rollouts, found, [fit.value for _, fit in fits])
        written = stage.write(rows | state_errors.tabulate(checked, params.statistics, params.seed))
        for column in ("explained_variance", "value_net_explained_variance", "median_relative_error"):
            stage.log_curve(f"true_value.{column}", written[FitQuality], column)
        for net, group in written[StateErrors].groupby("net"):
            squares = group.groupby("iteration", as_index=False)[["squared_error", "squared_value"]].mean()
            error = root_ratio(squares["squared_error"].to_numpy(), squares["squared_value"].to_numpy())
            stage.log_curve(f"true_value.states_{net}_relative_error", squares.assign(error=error), "error")


if __name__ == "__main__":
    entrypoint.run(main)
