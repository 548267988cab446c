"""Train the agents of one cell, and keep a snapshot of each every `snapshot_every` iterations."""

from itertools import chain

from dpg.agent import snapshot
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.learning import campaign
from dpg.runtime import config
from dpg.tables.training import History, IterationRecord
from stages.common import entrypoint
from stages.common.scope import Cell
from stages.common.training import log_agents, rounds, training, write_history


def main(env: str, algorithm: str) -> None:
    """Train one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget = params.budget.train
    recipe = Recipe.of(params, env, algorithm, budget.iterations)
    groups = campaign.groups_of(recipe, budget.agents, budget.group_size)
    with training("train", cell, params, recipe, budget, cell.snapshots) as stage:
        run, (snapshots, out) = stage.run, stage.outputs
        children = [run.child(f"{cell} agent {agent}", {"agent": str(agent)}) for agent in range(budget.agents)]
        history: list[IterationRecord] = []
        for results in rounds(stage, groups, budget.snapshot_every):
            for result in results:
                for position, agent in enumerate(result.group.agents):
                    snapshot.save(Snapshot(agent, recipe, result.population.member(position)), snapshots)
            records = list(chain.from_iterable(result.records for result in results))
            log_agents(run, children, records)
            history += records
        write_history(History, [(cell.tags, record) for record in history], out)


if __name__ == "__main__":
    entrypoint.run(main)
