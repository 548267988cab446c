"""Pick the snapshots of one cell that are studied, evaluate them on whole episodes, and export the final policies."""

import shutil

from dpg.agent.export import export
from dpg.agent.snapshot import filename, listing, load
from dpg.envs.make import action_space_of
from dpg.probes import evaluation
from dpg.runtime import config
from dpg.tables.checkpoint import Evaluation
from dpg.tables.table import write_all
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import Cell, tables


def main(env: str, algorithm: str) -> None:
    """Choose, evaluate and export the checkpoints of one cell."""
    cell, params = Cell(env, algorithm), config.load()
    budget, statistics = params.budget.checkpoint, params.statistics
    found = listing(cell.snapshots)
    recipe = load(cell.snapshots / filename(*found[0])).recipe
    # Every snapshot but the last starts an iteration.
    available = sorted({iteration for _, iteration in found if iteration < recipe.iterations})
    agents, last = sorted({agent for agent, _ in found}), max(iteration for _, iteration in found)
    action_space = action_space_of(recipe.env_id, recipe.modules)
    studied = budget.studied(available, recipe.iterations)
    curve = budget.curve(available)
    snapshots = [load(cell.snapshots / filename(agent, iteration)) for agent in agents for iteration in studied]
    shards = evaluation.plan(snapshots, budget.eval_episodes, params.seed)
    logged = {"seed": params.seed, "checkpoint": budget, "statistics": statistics}
    folders = cell.studied, cell.curve, cell.policies, tables("checkpoint", cell)
    with run_stage("checkpoint", cell, logged, *folders, modules=recipe.modules) as stage:
        studied_out, curve_out, policies_out, out = stage.outputs
        for iterations, folder in ((studied, studied_out), (curve, curve_out)):
            for name in (filename(agent, iteration) for agent in agents for iteration in iterations):
                shutil.copyfile(cell.snapshots / name, folder / name)
        for agent in agents:
            export(load(cell.snapshots / filename(agent, last)), action_space, policies_out)
        results = stage.map(evaluation.measure, shards, unit="episodes")
        table = write_all(evaluation.tabulate(shards, results, statistics), out)[Evaluation]
        for actions, group in table.groupby("actions"):
            stage.run.log_curve(f"evaluation.{actions}_return", group, "mean_return", recipe.common.timesteps)


if __name__ == "__main__":
    entrypoint.run(main)
