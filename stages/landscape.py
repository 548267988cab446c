"""Measure reward and surrogate on planes around the studied snapshots of one cell (paper, fig. 6 to 8, 16 to 26)."""

import pandas as pd
from safetensors.numpy import save

from dpg.agent.snapshot import load_all
from dpg.probes import alignment, landscape, landscape_plan
from dpg.probes.landscape_plan import EvaluationMeans, LandscapeSpec
from dpg.runtime import config
from dpg.runtime.outputs import read_table
from dpg.tables.landscape import Alignment
from dpg.tables.table import write_all
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell, params = Cell(env, algorithm), config.load()
    budget, statistics, spec = params.budget.landscape, params.statistics, LandscapeSpec.of(params)
    snapshots = [snapshot for snapshot in load_all(cell.studied) if snapshot.agent < budget.agents]
    recipe = snapshots[0].recipe
    measured = evaluation_means(read_table(tables("checkpoint", cell) / "evaluation.csv"))
    evaluated = [measured[snapshot.agent, snapshot.iteration] for snapshot in snapshots]
    shards = landscape_plan.plan_planes(spec, snapshots)
    logged = {
        "seed": params.seed,
        "landscape": params.landscape.model_dump() | budget.model_dump(),
        "statistics": statistics,
    }
    folders = cell.arrays("landscape"), tables("landscape", cell)
    with run_stage("landscape", cell, logged, *folders, modules=recipe.modules) as stage:
        arrays, out = stage.outputs
        planes = stage.map(landscape.measure_plane, shards, part="directions")
        plans = landscape_plan.plan_rewards(spec, shards, planes, evaluated)
        landscapes = landscape_plan.measure(
            plans, lambda rewards, part: stage.map(landscape.measure_rewards, rewards, unit="episodes", part=part)
        )
        rows, directions = alignment.tabulate(landscapes, statistics)
        table = write_all(rows, out)[Alignment]
        (arrays / "directions.safetensors").write_bytes(save(directions))
        for pairs, group in table.groupby("update_pairs"):
            for column in ("grid_correlation", "step_correlation", "gain"):
                stage.run.log_curve(f"landscape.{column}_N{pairs}", group, column, recipe.common.timesteps)


def evaluation_means(evaluation: pd.DataFrame) -> dict[tuple[int, int], EvaluationMeans]:
    """Means over sampled episodes, by agent and iteration."""
    sampled = evaluation[evaluation["actions"] == "sampled"]
    keys = zip(sampled["agent"], sampled["iteration"], strict=True)
    means = map(EvaluationMeans, sampled["mean_length"], sampled["mean_return"])
    return dict(zip(keys, means, strict=True))


if __name__ == "__main__":
    entrypoint.run(main)
