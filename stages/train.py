"""Train the agents of one cell, and keep a snapshot of each every `snapshot_every` iterations."""

from itertools import chain

from dpg.agent import snapshot
from dpg.agent.snapshot import Snapshot
from dpg.learning import campaign, training
from dpg.runtime import config, tracking
from dpg.runtime.outputs import publish
from dpg.runtime.progress import Progress
from dpg.runtime.schema import AlgorithmName
from stages import edge
from stages.cell import Cell
from stages.training import log_agents, logged, recipe_for, write_history


def main(env: str, algorithm: AlgorithmName) -> None:
    """Train one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget = params.budget.train
    recipe = recipe_for(params, env, algorithm, budget.iterations)
    groups = campaign.groups_of(recipe, budget.agents, budget.group_size)
    with (
        tracking.stage_run("train", logged(params, recipe, budget), cell.tags, cell.record("train")) as run,
        publish(cell.snapshots, cell.tables("train")) as (snapshots, tables),
        Progress(f"train {cell}", sum(group.num_pairs for group in groups)) as progress,
    ):
        children = [run.child(f"{cell} agent {agent}", {"agent": str(agent)}) for agent in range(budget.agents)]
        history: list[training.Record] = []
        for results in campaign.train(groups, budget.snapshot_every, progress):
            for result in results:
                for position, agent in enumerate(result.group.agents):
                    snapshot.save(Snapshot(agent, recipe, result.population.member(position)), snapshots)
            records = list(chain.from_iterable(result.records for result in results))
            log_agents(run, children, records)
            history += records
        write_history([(cell.tags, record) for record in history], tables)
        run.log_artifacts(tables, "tables")
        for child in children:
            child.end("FINISHED")


if __name__ == "__main__":
    edge.run(main)
