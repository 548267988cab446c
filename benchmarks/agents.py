"""The agents to time: settings from `params.yaml`, whose defaults are the paper's Table 1."""

from functools import cache
from pathlib import Path

from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.learning.campaign import Group, TrainingShard, run_shard
from dpg.runtime import config
from dpg.runtime.schema import Params

PARAMS = Path(__file__).parent.parent / "params.yaml"


@cache
def params() -> Params:
    """The parameters in the project's root."""
    return config.load(PARAMS)


def recipe(env_id: str, algorithm: str) -> Recipe:
    """The recipe of the paper's scale."""
    found = params()
    iterations = found.scales["paper"].train.iterations
    return Recipe(
        env_id=env_id,
        algorithm=algorithm,
        common=found.common,
        config=found.algorithm(algorithm),
        iterations=iterations,
        seed=found.seed,
    )


def snapshot(env_id: str, iterations: int) -> Snapshot:
    """A PPO agent after some training, about a second per iteration.

    Training lengthens episodes, on which the probes' ratios depend: compare ratios of the same agents only.
    """
    trained = run_shard(TrainingShard(Group(recipe(env_id, "ppo"), (0,)), None, iterations))
    return Snapshot(0, trained.group.recipe, trained.population)
