"""Pick the snapshots of one cell that are studied, evaluate them on whole episodes, and export the final policies."""

import shutil

from dpg.agent.export import export
from dpg.agent.snapshot import filename, listing, load
from dpg.envs.make import action_space_of
from dpg.probes import evaluation
from dpg.runtime import config
from dpg.runtime.budgets import CheckpointBudget
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from dpg.tables.checkpoint import Evaluation
from dpg.tables.table import write
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Choose, evaluate and export the checkpoints of one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget: CheckpointBudget = params.budget.checkpoint
    found = listing(cell.snapshots)
    recipe = load(cell.snapshots / filename(*found[0])).recipe
    # An iteration starts from every snapshot but the last, which only ends one.
    available = sorted({iteration for _, iteration in found if iteration < recipe.iterations})
    agents, last = sorted({agent for agent, _ in found}), max(iteration for _, iteration in found)
    action_space = action_space_of(recipe.env_id, recipe.common.modules)
    studied = budget.studied(available, recipe.iterations)
    curve = budget.curve(available)
    snapshots = [load(cell.snapshots / filename(agent, iteration)) for agent in agents for iteration in studied]
    shards = evaluation.plan(snapshots, budget.eval_episodes, params.seed)
    logged = {"seed": params.seed, "checkpoint": budget.model_dump(), "statistics": params.statistics.model_dump()}
    with (
        run_stage(
            "checkpoint",
            cell,
            logged,
            cell.studied,
            cell.curve,
            cell.policies,
            tables("checkpoint", cell),
            modules=recipe.modules,
        ) as stage,
        Progress(f"checkpoint {cell}", len(shards) * budget.eval_episodes, "episodes") as progress,
    ):
        studied_out, curve_out, policies_out, out = stage.outputs
        for iterations, folder in ((studied, studied_out), (curve, curve_out)):
            for agent in agents:
                for iteration in iterations:
                    shutil.copyfile(cell.snapshots / filename(agent, iteration), folder / filename(agent, iteration))
        for agent in agents:
            export(load(cell.snapshots / filename(agent, last)), action_space, policies_out)
        work = lambda shard: shard.num_episodes  # noqa: E731
        results = map_shards(evaluation.measure, shards, stage.context, progress=progress, work=work)
        rows = [
            evaluation.tabulate(shard, result, params.statistics) for shard, result in zip(shards, results, strict=True)
        ]
        table = write(Evaluation, rows, out)
        for actions, group in table.groupby("actions"):
            stage.run.log_curve(f"evaluation.{actions}_return", group, "mean_return", recipe.common.timesteps)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
