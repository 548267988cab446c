"""Train agents of one algorithm over sample sizes and learning rates, with equal total pairs (paper, fig. 3)."""

from dpg.learning import campaign
from dpg.learning.training import DivergenceError
from dpg.runtime import config
from dpg.streams import measurable
from dpg.tables.training import RegimeHistory
from stages.common import entrypoint
from stages.common.scope import TaskScope
from stages.common.training import diverged, log_means, train, training, write_history


def main(env: str) -> None:
    """Train one task's regimes."""
    params = config.load()
    budget = params.budget.regimes
    groups = campaign.regimes(params, env)
    recipe = groups[0].recipe
    task = TaskScope(env, recipe.algorithm)
    reason = measurable.regimes(params, env)
    with training("regimes", task, params, recipe, budget, vary="lr") as stage:
        rows = []
        try:
            for result in [] if reason else train(stage, groups):
                for lr in result.group.rates or ():  # one rate: a result is one agent's
                    key = {**task.tags, "timesteps": result.group.recipe.common.timesteps, "lr": lr}
                    rows += [(key, record) for record in result.records]
        except DivergenceError as error:  # the agents that everything else is measured on are others
            rows, reason = [], diverged(error)
        table = write_history(RegimeHistory, rows, stage.tables)
        stage.leave_reasons([reason])
        for (timesteps, lr), _ in table.groupby(["timesteps", "lr"]):
            records = [record for key, record in rows if (key["timesteps"], key["lr"]) == (timesteps, lr)]
            log_means(stage.run, records, prefix=f"T{timesteps}/lr{lr:g}/")


if __name__ == "__main__":
    entrypoint.run(main)
