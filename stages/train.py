"""Train the agents of one cell, and keep a snapshot of each every `snapshot_every` iterations."""

from dataclasses import asdict, dataclass
from itertools import chain

import pandas as pd

from dpg.agent import snapshot
from dpg.agent.population import Population
from dpg.agent.snapshot import Recipe, Snapshot
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.learning.training import Record
from dpg.runtime import config, tracking
from dpg.runtime.outputs import publish, write_table
from dpg.runtime.progress import Progress
from dpg.runtime.schema import AlgorithmName
from dpg.runtime.shards import map_shards
from stages import edge
from stages.cell import Cell


@dataclass(frozen=True)
class Shard:
    """A group of agents and the iterations to run: from the population, or from the start without one."""

    recipe: Recipe
    agents: tuple[int, ...]
    population: Population | None
    until: int

    @property
    def num_pairs(self) -> int:
        """Pairs that the shard trains on."""
        start = self.population.iteration if self.population else 0
        return (self.until - start) * len(self.agents) * self.recipe.common.timesteps


def run_shard(shard: Shard) -> tuple[Population, list[Record]]:
    """Train one group up to `until`."""
    envs = make_vector(shard.recipe.env_id, len(shard.agents))
    agents = list(shard.agents)
    population = shard.population or training.begin(shard.recipe, envs, agents)
    records: list[Record] = []
    for trained, rows in training.train(population, envs, shard.recipe, agents, shard.until):
        population = trained
        records += rows
    envs.close()
    return population, records


def main(env: str, algorithm: AlgorithmName) -> None:
    """Train one cell."""
    cell = Cell(env, algorithm)
    params = config.load()
    budget = params.budget.train
    recipe = Recipe(
        env_id=env,
        algorithm=algorithm,
        common=params.common,
        config=params.algorithm(algorithm),
        iterations=budget.iterations,
        seed=params.seed,
    )
    groups = [
        tuple(range(first, min(first + budget.group_size, budget.agents)))
        for first in range(0, budget.agents, budget.group_size)
    ]
    logged = {
        "seed": params.seed,
        "scale": params.scale,
        "common": params.common.model_dump(),
        algorithm: recipe.config.model_dump(),
        "train": budget.model_dump(),
    }
    total = budget.agents * budget.iterations * params.common.timesteps
    with (
        tracking.stage_run("train", logged, cell.tags, cell.record("train")) as run,
        publish(cell.snapshots, cell.tables("train")) as (snapshots, tables),
        Progress(f"train {cell}", total) as progress,
    ):
        children = [run.child(f"agent {agent}", {"agent": str(agent)}) for agent in range(budget.agents)]
        populations: list[Population | None] = [None] * len(groups)
        history: list[Record] = []
        for until in range(0, budget.iterations + 1, budget.snapshot_every):
            shards = [
                Shard(recipe, group, population, until) for group, population in zip(groups, populations, strict=True)
            ]
            results = list(map_shards(run_shard, shards, progress=progress, work=lambda shard: shard.num_pairs))
            populations = [population for population, _ in results]
            records = list(chain.from_iterable(rows for _, rows in results))
            for group, (population, _) in zip(groups, results, strict=True):
                for position, agent in enumerate(group):
                    snapshot.save(Snapshot(agent, recipe, population.member(position)), snapshots)
            log(run, children, records)
            history += records
        table = pd.DataFrame([{**cell.tags, **asdict(record)} for record in history])
        write_table(table.sort_values(["agent", "iteration"], kind="stable"), tables / "history.csv")
        run.log_artifacts(tables, "tables")
        for child in children:
            child.end("FINISHED")


def log(run: tracking.Run, children: list[tracking.Run], records: list[Record]) -> None:
    """Every agent's metrics on its own run and their means on the cell's, by environment steps."""
    if not records:
        return
    identity = {"agent", "iteration", "pairs"}
    for record in records:
        metrics = {name: value for name, value in asdict(record).items() if name not in identity}
        children[record.agent].log_metrics(metrics, step=record.pairs)
    means = pd.DataFrame([asdict(record) for record in records]).groupby("pairs").mean()
    for pairs, row in means.iterrows():
        run.log_metrics({name: row[name] for name in means.columns if name not in identity}, step=int(str(pairs)))
    for each in (run, *children):
        each.flush()


if __name__ == "__main__":
    edge.run(main)
