"""Measure reward and surrogate on planes around the studied snapshots of one cell (paper, fig. 6 to 8, 16 to 26)."""

import pandas as pd
from safetensors.numpy import save

from dpg.probes import alignment, landscape, landscape_plan
from dpg.probes.landscape_plan import EvaluationMeans, LandscapeSpec
from dpg.runtime.outputs import read_table
from dpg.tables.landscape import Alignment
from stages.common import entrypoint
from stages.common.measuring import measuring
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    means = evaluation_means(read_table(tables("checkpoint", cell) / "evaluation.csv"))
    with measuring("landscape", cell, cell.studied, cell.arrays("landscape")) as stage:
        params, spec = stage.params, LandscapeSpec.of(stage.params)
        snapshots = [snapshot for snapshot in stage.snapshots if snapshot.agent < params.budget.landscape.agents]
        evaluated = [means[snapshot.agent, snapshot.iteration] for snapshot in snapshots]
        shards = landscape_plan.plan_planes(spec, snapshots)
        planes = stage.map(landscape.measure_plane, shards, part="directions")
        plans = landscape_plan.plan_rewards(spec, shards, planes, evaluated)
        landscapes = landscape_plan.measure(
            plans, lambda rewards, part: stage.map(landscape.measure_rewards, rewards, unit="episodes", part=part)
        )
        rows, directions = alignment.tabulate(landscapes, params.statistics)
        table = stage.write(rows)[Alignment]
        (stage.outputs[0] / "directions.safetensors").write_bytes(save(directions))
        for pairs, group in table.groupby("update_pairs"):
            for column in ("grid_correlation", "step_correlation", "gain"):
                stage.log_curve(f"landscape.{column}_N{pairs}", group, column)


def evaluation_means(evaluation: pd.DataFrame) -> dict[tuple[int, int], EvaluationMeans]:
    """Means over sampled episodes, by agent and iteration."""
    sampled = evaluation[evaluation["actions"] == "sampled"]
    keys = zip(sampled["agent"], sampled["iteration"], strict=True)
    means = map(EvaluationMeans, sampled["mean_length"], sampled["mean_return"])
    return dict(zip(keys, means, strict=True))


if __name__ == "__main__":
    entrypoint.run(main)
