"""Measure reward and surrogate on planes around the studied snapshots of one cell (paper, fig. 6 to 8, 16 to 26)."""

import pandas as pd
from safetensors.numpy import save

from dpg.agent.snapshot import load_all
from dpg.probes import alignment
from dpg.probes.survey import Survey, explore
from dpg.runtime import config
from dpg.runtime.outputs import read_table
from dpg.tables.landscape import Alignment
from dpg.tables.table import write
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Measure one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget = params.budget.landscape
    snapshots = [s for s in load_all(cell.studied) if s.agent < budget.agents]
    common = snapshots[0].recipe.common
    measured = episode_lengths(read_table(tables("checkpoint", cell) / "evaluation.csv"))
    lengths = [measured[snapshot.agent, snapshot.iteration] for snapshot in snapshots]
    logged = {
        "seed": params.seed,
        "landscape": params.landscape.model_dump() | budget.model_dump(),
        "statistics": params.statistics.model_dump(),
    }
    with run_stage(
        "landscape",
        cell,
        logged,
        cell.arrays("landscape"),
        tables("landscape", cell),
        modules=snapshots[0].recipe.modules,
    ) as stage:
        arrays, out = stage.outputs
        found = explore(Survey.of(params), snapshots, lengths, stage.context, f"landscape {cell}")
        rows, directions = alignment.tabulate(found, params.statistics)
        written = {kind: write(kind, some, out) for kind, some in rows.items()}
        (arrays / "directions.safetensors").write_bytes(save(directions))
        for pairs, table in written[Alignment].groupby("update_pairs"):
            for column in ("grid_correlation", "step_correlation", "gain"):
                stage.run.log_curve(f"landscape.{column}_N{pairs}", table, column, common.timesteps)
        stage.run.log_artifacts(out, "tables")


def episode_lengths(evaluation: pd.DataFrame) -> dict[tuple[int, int], float]:
    """Mean length of sampled episodes, by agent and iteration."""
    sampled = evaluation[evaluation["actions"] == "sampled"]
    keys = zip(sampled["agent"], sampled["iteration"], strict=True)
    return dict(zip(keys, sampled["mean_length"], strict=True))


if __name__ == "__main__":
    entrypoint.run(main)
