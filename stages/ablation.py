"""Train the agents of one cell once more, without a baseline (paper, section 2.2)."""

from itertools import chain

from dpg.agent.recipe import Recipe
from dpg.learning import campaign
from dpg.learning.training import DivergenceError
from dpg.runtime import config
from dpg.streams import measurable
from dpg.tables.training import AblationHistory, IterationRecord
from stages.common import entrypoint
from stages.common.scope import Cell
from stages.common.training import diverged, log_means, rounds, training, write_history


def main(env: str, algorithm: str) -> None:
    """Train one cell with b = 0, on the budget of its training with the value net."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget = params.budget.train
    recipe = Recipe.of(params, env, algorithm, budget.iterations, baseline="none")
    reason = measurable.ablation(params, algorithm)
    groups = [] if reason else campaign.groups_of(recipe, budget.agents, budget.group_size)
    with training("ablation", cell, params, recipe, budget) as stage:
        history: list[IterationRecord] = []
        try:
            for results in rounds(stage, groups, budget.snapshot_every):
                records = list(chain.from_iterable(result.records for result in results))
                log_means(stage.run, records)
                history += records
        except DivergenceError as error:  # the agents that everything else is measured on are others
            history, reason = [], diverged(error)
        write_history(AblationHistory, [(cell.tags, record) for record in history], stage.tables)
        stage.leave_reasons([reason])


if __name__ == "__main__":
    entrypoint.run(main)
