"""Measure reward and surrogate on a plane around the studied snapshots of one cell (paper, fig. 6 to 8, 16 to 26)."""

from itertools import islice

import pandas as pd
from safetensors.numpy import save

from dpg.agent.snapshot import load_all
from dpg.probes import landscape
from dpg.probes.landscape import Grid, PlaneShard
from dpg.runtime import config
from dpg.runtime.outputs import read_table, write_table
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from stages import edge
from stages.cell import Cell, tables
from stages.execution import execute


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget, plane_params = params.budget.landscape, params.landscape
    snapshots = [s for s in load_all(cell.studied) if s.agent < budget.agents]
    common = snapshots[0].recipe.common
    lengths = episode_lengths(read_table(tables("checkpoint", cell) / "evaluation.csv"))
    grid = Grid.of(plane_params, budget)
    plane_shards = [PlaneShard(s, grid, budget.update_pairs, plane_params.random_norm, params.seed) for s in snapshots]
    logged = {"seed": params.seed, "landscape": plane_params.model_dump() | budget.model_dump()}
    with execute(
        "landscape",
        cell,
        logged,
        cell.arrays("landscape"),
        tables("landscape", cell),
        modules=common.env_modules,
    ) as execution:
        arrays, out = execution.outputs
        with Progress(f"landscape {cell}, directions", budget.update_pairs * len(snapshots)) as progress:
            work = lambda shard: shard.update_pairs  # noqa: E731
            planes = list(
                map_shards(landscape.measure_plane, plane_shards, execution.workshop, progress=progress, work=work)
            )
        reward_shards = [
            landscape.plan_rewards(
                snapshot,
                landscape.policies(snapshot, grid.points, plane.step, plane.random),
                lengths[snapshot.agent, snapshot.iteration],
                budget.pairs_per_point,
                plane_params.common_random_numbers,
                params.seed,
            )
            for snapshot, plane in zip(snapshots, planes, strict=True)
        ]
        flat = [shard for shards in reward_shards for shard in shards]
        total = sum(len(shard.policies) * shard.num_episodes for shard in flat)
        rows: list[landscape.Point] = []
        with Progress(f"landscape {cell}, rewards", total, "episodes") as progress:
            results = map_shards(
                landscape.measure_rewards,
                flat,
                execution.workshop,
                progress=progress,
                work=lambda shard: len(shard.policies) * shard.num_episodes,
            )
            for plane_shard, plane, shards in zip(plane_shards, planes, reward_shards, strict=True):
                episodes = list(islice(results, len(shards)))
                rows += landscape.tabulate(plane_shard, plane, episodes, plane_params.common_random_numbers)
        table = write_table(rows, out / "landscape.csv")
        directions = {}
        for snapshot, plane in zip(snapshots, planes, strict=True):
            directions |= {f"{snapshot.name}.step": plane.step, f"{snapshot.name}.random": plane.random}
        (arrays / "directions.safetensors").write_bytes(save(directions))
        for iteration, group in table.groupby("iteration"):
            correlation = group["surrogate"].corr(group["reward"], method="spearman")
            execution.run.log_metrics(
                {"landscape.rank_correlation": correlation}, step=int(str(iteration)) * common.timesteps
            )
        execution.run.log_artifacts(out, "tables")


def episode_lengths(evaluation: pd.DataFrame) -> dict[tuple[int, int], float]:
    """Mean length of sampled episodes, by agent and iteration."""
    sampled = evaluation[evaluation["actions"] == "sampled"]
    keys = zip(sampled["agent"], sampled["iteration"], strict=True)
    return dict(zip(keys, sampled["mean_length"], strict=True))


if __name__ == "__main__":
    edge.run(main)
