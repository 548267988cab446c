"""Measure what whole updates do to reward and surrogate, at the studied snapshots of one cell (paper, sec. 2.3)."""

from dpg.probes import gain_tables, update_gain
from dpg.tables.update_gain import AgentsGain
from stages.common import entrypoint
from stages.common.measuring import measuring
from stages.common.scope import Cell


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    with measuring("update_gain", cell, cell.studied) as stage:
        params, budget = stage.params, stage.params.budget.update_gain
        shards = update_gain.plan_updates(stage.snapshots, budget, params.seed)
        made = stage.map(update_gain.measure_updates, shards, part="updates")
        updates = list(update_gain.gather_updates(shards, made))
        episodes = update_gain.plan_episodes(updates, budget, params.seed)
        results = stage.map(update_gain.measure_episodes, episodes, unit="episodes", part="rewards")
        gains = update_gain.gather(updates, episodes, results)
        means = stage.write(gain_tables.tabulate(gains, params.statistics, params.seed))[AgentsGain]
        for (pairs, quantity), group in means.groupby(["update_pairs", "quantity"]):
            stage.log_curve(f"update_gain.{quantity}_N{pairs}", group, "mean")


if __name__ == "__main__":
    entrypoint.run(main)
