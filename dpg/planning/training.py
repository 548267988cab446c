"""The work of the stages that train."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, groupby, pairwise, zip_longest
from math import ceil
from operator import attrgetter

from dpg.learning import campaign
from dpg.planning.cells import TaskSpec, UntrainedCell
from dpg.planning.work import ROW, ShardGroup, StageWork, rollouts
from dpg.runtime.schema import Params


def train(cell: UntrainedCell) -> StageWork:
    """Training, and the snapshots that it keeps."""
    budget = cell.budget.train
    groups = campaign.groups_of(cell.recipe, budget.agents, budget.group_size)
    kept = budget.agents * (len(cell.trained) + 1)
    return _campaign("train", cell, groups, budget.snapshot_every, kept)


def ablation(cell: UntrainedCell) -> StageWork:
    """The same training without a baseline; its snapshots are not kept."""
    budget = cell.budget.train
    groups = campaign.groups_of(cell.recipe_with(baseline="none"), budget.agents, budget.group_size)
    return _campaign("ablation", cell, groups, budget.snapshot_every)


def regimes(params: Params, task: TaskSpec, workers: int = 1) -> StageWork:
    """Training over sample sizes and learning rates."""
    groups = campaign.regimes(params, task.env_id)
    cell = UntrainedCell(params, task, groups[0].recipe.algorithm, workers)
    work = _campaign("regimes", cell, groups)
    return replace(work, algorithm=None, rates_of=cell.algorithm)


def _campaign(
    stage: str, cell: UntrainedCell, groups: Sequence[campaign.Group], every: int | None = None, kept: int = 0
) -> StageWork:
    """The training of some groups; `kept` snapshots remain."""
    agents = sum(len(group.agents) for group in groups)
    rows = sum(len(group.agents) * group.recipe.iterations for group in groups)
    return StageWork(
        stage,
        cell.task.env_id,
        cell.algorithm,
        training_shards(populations(groups, cell.workers), every, cell.snapshot_bytes),
        gathered_bytes=2 * agents * cell.snapshot_bytes + 3 * rows * ROW,
        output_bytes=kept * cell.snapshot_bytes + rows * ROW,
    )


def populations(groups: Sequence[campaign.Group], workers: int) -> list[campaign.Group]:
    """The agents that train together on some workers, of which each has its share: none is idle for a larger group."""
    size = min(max(len(group.agents) for group in groups), ceil(sum(len(group.agents) for group in groups) / workers))
    found: list[campaign.Group] = []
    for recipe, same in groupby(groups, key=attrgetter("recipe")):
        agents = tuple(chain.from_iterable(group.agents for group in same))
        found += [campaign.Group(recipe, agents[first : first + size]) for first in range(0, len(agents), size)]
    return found


def training_shards(
    groups: Sequence[campaign.Group], every: int | None, snapshot_bytes: int
) -> tuple[tuple[ShardGroup, ...], ...]:
    """The shards of `campaign.train`: the first of every agent, then the second, until each has reached its end.

    In the first round agents collect a stream without learning, which takes time and counts no pairs.
    """
    chains = [
        [_training(group, stop - start, snapshot_bytes) for start, stop in pairwise([0, *campaign.stops(group, every)])]
        for group in groups
    ]
    return tuple(tuple(filter(None, shards)) for shards in zip_longest(*chains))


def _training(group: campaign.Group, iterations: int, snapshot_bytes: int) -> ShardGroup:
    """Iterations of a group: a shard for each agent, which has its share of what the group takes as one population.

    An iteration has an update of policies and one of value nets; a batch is processed twice.
    """
    agents, size = len(group.agents), group.recipe.common.timesteps
    work, held = rollouts(max(1, iterations) * size, agents), {"raw": agents * size}
    if iterations:
        work |= {"prepare": 2 * iterations * size, "policy": iterations / agents, "policy_pair": iterations * size}
        held |= {"prepare": agents * size, "policy_pair": agents * size}
    if iterations and group.recipe.common.baseline != "none":
        work |= {"value": iterations / agents, "value_pair": iterations * size}
    return ShardGroup(agents, work, held, iterations * size, result_bytes=snapshot_bytes + iterations * ROW)
