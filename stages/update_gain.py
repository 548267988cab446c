"""Measure what whole updates do to reward and surrogate, at the studied snapshots of one cell (paper, sec. 2.3)."""

from dpg.agent.snapshot import load_all
from dpg.probes import gain_tables, update_gain
from dpg.runtime import config
from dpg.tables.table import write_all
from dpg.tables.update_gain import AgentsGain
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell, params = Cell(env, algorithm), config.load()
    budget, statistics = params.budget.update_gain, params.statistics
    snapshots = load_all(cell.studied)
    recipe = snapshots[0].recipe
    shards = update_gain.plan_updates(snapshots, budget, params.seed)
    logged = {"seed": params.seed, "update_gain": budget, "statistics": statistics}
    with run_stage("update_gain", cell, logged, tables("update_gain", cell), modules=recipe.modules) as stage:
        (out,) = stage.outputs
        made = stage.map(update_gain.measure_updates, shards, part="updates")
        updates = list(update_gain.gather_updates(shards, made))
        episodes = update_gain.plan_episodes(updates, budget, params.seed)
        results = stage.map(update_gain.measure_episodes, episodes, unit="episodes", part="rewards")
        rows = gain_tables.tabulate(update_gain.gather(updates, episodes, results), statistics, params.seed)
        means = write_all(rows, out)[AgentsGain]
        for (pairs, quantity), group in means.groupby(["update_pairs", "quantity"]):
            metric = f"update_gain.{quantity}_N{pairs}".replace(" ", "_")
            stage.run.log_curve(metric, group, "mean", recipe.common.timesteps)


if __name__ == "__main__":
    entrypoint.run(main)
