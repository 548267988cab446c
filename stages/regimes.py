"""Train PPO agents over sample sizes and learning rates, with equal total pairs (paper, fig. 3)."""

from dpg.learning import campaign
from dpg.runtime import config, tracking
from dpg.runtime.outputs import publish
from dpg.runtime.progress import Progress
from stages import edge
from stages.cell import DATA
from stages.training import log_means, logged, recipe_for, write_history

CHUNKS = 10  # of the longest training: how often progress is told


def main(env: str) -> None:
    """Train one task's regimes: the rates of one sample size are members of one population."""
    params = config.load()
    budget = params.budget.regimes
    groups = [
        group
        for timesteps in budget.timesteps
        for group in campaign.groups_of(
            recipe_for(params, env, "ppo", budget.total_pairs // timesteps, timesteps=timesteps),
            budget.agents,
            budget.group_size,
            budget.rates,
        )
    ]
    every = max(1, max(group.recipe.iterations for group in groups) // CHUNKS)
    tags = {"env": env, "algorithm": "ppo"}
    with (
        tracking.stage_run(
            "regimes",
            logged(params, groups[0].recipe, budget) | {"ppo": params.ppo.model_dump(exclude={"lr"})},
            tags,
            DATA / "runs" / "regimes" / f"{env}.json",
        ) as run,
        publish(DATA / "tables" / "regimes" / env) as (tables,),
        Progress(f"regimes {env}", sum(group.num_pairs for group in groups)) as progress,
    ):
        rows = []
        for results in campaign.train(groups, every, progress):
            for result in results:
                rates = result.group.rates or ()
                for index, record in enumerate(result.records):
                    owner = {**tags, "timesteps": result.group.recipe.common.timesteps, "lr": rates[index % len(rates)]}
                    rows.append((owner, record))
        table = write_history(rows, tables)
        for (timesteps, lr), _ in table.groupby(["timesteps", "lr"]):
            records = [record for owner, record in rows if (owner["timesteps"], owner["lr"]) == (timesteps, lr)]
            log_means(run, records, prefix=f"T{timesteps}/lr{lr:g}/")
        run.log_artifacts(tables, "tables")


if __name__ == "__main__":
    edge.run(main)
