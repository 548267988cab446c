"""Train the agents of one cell once more, without a baseline (paper, section 2.2)."""

from itertools import chain

from dpg.agent.snapshot import Recipe
from dpg.learning import campaign
from dpg.learning.training import DivergenceError, Record
from dpg.runtime import config
from dpg.runtime.progress import Progress
from dpg.runtime.schema import AlgorithmName
from dpg.streams import measurable
from stages import edge
from stages.cell import Cell, tables
from stages.execution import execute, leave_reasons
from stages.training import diverged, log_means, logged, write_history


def main(env: str, algorithm: AlgorithmName) -> None:
    """Train one cell with b = 0, on the budget of its training with the value net."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget = params.budget.train
    recipe = Recipe.of(params, env, algorithm, budget.iterations, baseline="none")
    reason = measurable.value_net(params.common)
    groups = [] if reason else campaign.groups_of(recipe, budget.agents, budget.group_size)
    with (
        execute(
            "ablation",
            cell,
            logged(params, recipe, budget),
            tables("ablation", cell),
            modules=params.common.env_modules,
        ) as execution,
        Progress(f"ablation {cell}", sum(group.num_pairs for group in groups)) as progress,
    ):
        history: list[Record] = []
        try:
            for results in campaign.train(groups, budget.snapshot_every, execution.workshop, progress):
                records = list(chain.from_iterable(result.records for result in results))
                log_means(execution.run, records)
                history += records
        except DivergenceError as error:  # the agents that everything else is measured on are others
            history, reason = [], diverged(error)
        (out,) = execution.outputs
        write_history([(cell.tags, record) for record in history], out)
        leave_reasons(f"ablation {cell}", [reason], out)
        execution.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    edge.run(main)
