"""The work of every stage of a pipeline.

Shards come from the functions that the stages themselves plan with, applied to dummy snapshots: the two cannot drift
apart. Pairs are exact except for whole episodes and rollouts, whose lengths are unknown beforehand (`approximate`):
evaluations count as if every episode ran to the time limit. Fits stop early, after an assumed number of epochs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from dpg.agent.snapshot import Snapshot
from dpg.planning.cells import SNAPSHOT_HEADER, TaskSpec, UntrainedCell
from dpg.planning.training import ablation, regimes, train
from dpg.planning.work import FLOAT, ROW, ShardGroup, StageWork, collected_streams, rollouts, whole_episodes
from dpg.probes import (
    baselines,
    evaluation,
    gain_tables,
    gradient,
    landscape,
    landscape_plan,
    state_rollouts,
    true_value,
    update_gain,
    update_step,
    value,
)
from dpg.probes.collection import MAX_ENVS, MAX_ENVS_OF_POLICIES
from dpg.probes.stream_blocks import StreamShard
from dpg.runtime.schema import Params
from dpg.streams import measurable

PATIENCES = 2.5  # epochs of a fit, relative to its patience: between 10 and 22 of 60 for Hopper
SHORT_EPISODE = 25  # pairs, of an untrained walker
FIGURE_BYTES = {"png": 140_000, "pdf": 30_000, "svg": 120_000}
PLOTLY = 4_800_000  # bytes of plotly.js, which the report contains
FIGURES_OF_EXPERIMENT, FIGURES_OF_TASK = 2, 12  # fewer where a stage measures nothing
FIGURE_STARTS, CALIBRATION_STARTS = 0.45, 8.0


def stages(params: Params, tasks: Mapping[str, TaskSpec], workers: int = 1) -> list[StageWork]:
    """Every stage of the pipeline; on more workers, fewer agents train together."""
    found = [StageWork("params", output_bytes=len("params.yaml is valid\n"))]
    for env, algorithm in product(params.envs, params.algorithms):
        cell = UntrainedCell(params, tasks[env], algorithm, workers)
        without = measurable.not_measured(params, env, cell.task.time_limit, algorithm)
        found += [StageWork(name, env, algorithm) if name in without else of(cell) for name, of in OF_CELL.items()]
    found += [
        StageWork("regimes", env) if measurable.regimes(params, env) else regimes(params, tasks[env], workers)
        for env in params.envs
    ]
    found.append(StageWork("calibrate", starts=CALIBRATION_STARTS, output_bytes=8000))
    count = figures(params)
    drawn = count * sum(FIGURE_BYTES[each] for each in params.figures.formats)
    found.append(StageWork("figures", starts=count * FIGURE_STARTS, output_bytes=drawn))
    return [*found, StageWork("report", output_bytes=drawn // 2 + PLOTLY)]


def figures(params: Params) -> int:
    """The number of figures: of the experiment, of each task, and of each agent whose landscape is measured."""
    budget = params.budget.landscape
    of_cell = budget.agents * (2 + len(budget.update_pairs))
    return FIGURES_OF_EXPERIMENT + len(params.envs) * (FIGURES_OF_TASK + len(params.algorithms) * of_cell)


def checkpoint(cell: UntrainedCell) -> StageWork:
    """Whole episodes at the studied snapshots, and copies of the snapshots that are measured at."""
    snapshots, agents = cell.snapshots(cell.studied), cell.budget.train.agents
    shards = evaluation.plan(snapshots, cell.budget.checkpoint.eval_episodes, cell.params.seed)
    each = whole_episodes(cell, len(shards), shards[0].num_episodes, MAX_ENVS)
    copies = agents * (len(cell.studied) + len(cell.curve)) * cell.snapshot_bytes
    policies = agents * (4 * cell.policy_size + SNAPSHOT_HEADER)
    rounds = ((replace(each, pairs=each.episodes * cell.episode_length),),)
    return _probe("checkpoint", cell, snapshots, rounds, arrays=copies + policies, rows=len(shards), approximate=True)


def gradients(cell: UntrainedCell) -> StageWork:
    """Gradient estimates of every size, and the true gradient."""
    budget, snapshots = cell.budget.gradient, cell.snapshots(cell.studied)
    shards = gradient.plan(snapshots[:1], budget, cell.params.seed)
    one_sum = (4 + 2 * cell.policy_size) * FLOAT
    groups = len({(part.set_index, part.group) for shard in shards for part in shard.blocks if part.role == "true"})
    sums = (budget.repeats + 1) * len(budget.sizes) + 3 * (groups + 1) + 2 * max(map(_num_sums, shards))
    rows = (2 * len(budget.sizes) + 1) * len(snapshots)
    estimates = _estimates(cell, len(snapshots), shards, "score", one_sum)
    return _probe("gradient", cell, snapshots, (estimates,), gathered=sums * one_sum, rows=rows)


def baseline_estimates(cell: UntrainedCell) -> StageWork:
    """Gradient estimates with every baseline, from the same streams."""
    budget, snapshots, vector = cell.budget.baselines, cell.snapshots(cell.studied), cell.state.value[0]
    shards = baselines.plan(snapshots[:1], [vector], budget, cell.params.seed)
    variants, sizes = len(baselines.VARIANTS), len(budget.sizes)
    one_sum = variants * (4 + 2 * cell.policy_size) * FLOAT
    sums = 2 * budget.repeats * sizes + 2 * max(map(_num_sums, shards))
    rows = sizes * variants * (2 * len(snapshots) + len(cell.studied))
    estimates = _estimates(cell, len(snapshots), shards, "compare", one_sum)
    return _probe("baselines", cell, snapshots, (estimates,), gathered=sums * one_sum, rows=rows)


def _estimates(
    cell: UntrainedCell, snapshots: int, shards: Sequence[StreamShard], kind: str, one_sum: int
) -> tuple[ShardGroup, ...]:
    """The shards of one of several equal snapshots, grouped by size."""
    timesteps = cell.recipe.common.timesteps
    sizes = Counter((shard.num_pairs // timesteps, _num_sums(shard)) for shard in shards)
    return tuple(
        collected_streams(cell, count * snapshots, [streams], {kind: 1}, result_bytes=sums * one_sum)
        for (streams, sums), count in sizes.items()
    )


def _num_sums(shard: StreamShard) -> int:
    """The sums that a shard sends to its stage; products of a part of the true gradient are as large as two."""
    timesteps = shard.snapshot.recipe.common.timesteps
    return sum(len(part.distinct_prefixes(timesteps)) + 2 * (part.role == "true") for part in shard.blocks)


def update_steps(cell: UntrainedCell) -> StageWork:
    """Whole updates from every snapshot of the curve."""
    updates, snapshots = cell.budget.update_step.updates, cell.snapshots(cell.curve)
    timesteps, task = cell.recipe.common.timesteps, cell.task

    def group(shard: update_step.UpdateStepShard) -> ShardGroup:
        # The states that policies are compared on are collected after the batches, in a stream of their own.
        size, further = shard.num_updates * timesteps, shard.num_streams - shard.num_updates
        result = 4 * (shard.num_updates * cell.policy_size + further * timesteps * task.obs_dim)
        sets = [shard.num_updates, further]
        return collected_streams(cell, len(snapshots), sets, {"prepare": 1}, updated=size, result_bytes=result)

    rounds = (tuple(map(group, update_step.plan(snapshots[:1], updates, cell.params.seed))),)
    # Steps and means of all the updates from one snapshot, and temporaries of their comparison.
    compared = 3 * updates * (cell.policy_size + timesteps * task.action_dim) + timesteps * task.obs_dim
    return _probe("update_step", cell, snapshots, rounds, gathered=compared * FLOAT, rows=len(snapshots))


def update_gains(cell: UntrainedCell) -> StageWork:
    """Whole updates of every regime from every studied snapshot, then episodes before and after each.

    Pairs are those of the updates and of the held-out batches.
    """
    budget, snapshots, seed = cell.budget.update_gain, cell.snapshots(cell.studied), cell.params.seed
    count = len(snapshots)

    def made(updates: int) -> update_gain.Updates:
        policy, none = np.empty((updates, cell.policy_size), np.float32), np.empty(updates)
        return update_gain.Updates(policy, none, none, np.empty(updates, np.int64))

    of_regimes = dict(zip(budget.update_pairs, map(made, budget.updates), strict=True))
    updates = update_gain.SnapshotUpdates(snapshots[0], of_regimes)
    rewards = update_gain.plan_episodes([updates], budget, seed)

    def group(shard: update_gain.UpdateShard) -> ShardGroup:
        size, result = shard.num_pairs // 2, 4 * shard.num_updates * cell.policy_size
        sets = 2 * [size // cell.recipe.common.timesteps]
        return collected_streams(cell, count, sets, {"prepare": 1, "surrogate": 2}, updated=size, result_bytes=result)

    rounds = (
        tuple(map(group, update_gain.plan_updates(snapshots[:1], budget, seed))),
        tuple(whole_episodes(cell, count, shard.num_episodes, MAX_ENVS_OF_POLICIES) for shard in rewards),
    )
    tests = len(gain_tables.QUANTITIES) * (count + len(cell.studied))
    # The updated policies of all snapshots, until the last episodes are planned.
    gathered = 2 * count * sum(policy.nbytes for policy in updates.policies)
    rows = count * sum(budget.updates) + len(budget.update_pairs) * tests
    return _probe("update_gain", cell, snapshots, rounds, gathered=gathered, rows=rows, approximate=True)


def values(cell: UntrainedCell) -> StageWork:
    """Errors of the value nets at every snapshot of the curve."""
    snapshots, heldout = cell.snapshots(cell.curve), cell.budget.value.heldout_pairs // cell.recipe.common.timesteps
    length = value.recorded_pairs(snapshots[0])
    group = collected_streams(cell, len(snapshots), [1, heldout], {"prepare": 2}, length=length, result_bytes=4 * ROW)
    held = {"raw": 2 * group.pairs, "prepare": group.pairs}  # no stream is let go
    work = {**group.work, "value": 1, "value_pair": cell.recipe.common.timesteps}
    return _probe("value", cell, snapshots, ((replace(group, work=work, held=held),),), rows=4 * len(snapshots))


def true_values(cell: UntrainedCell) -> StageWork:
    """A fit at every studied snapshot, and rollouts from states of each, as if each ran to the horizon."""
    budget, settings, timesteps = cell.budget.true_value, cell.params.true_value, cell.recipe.common.timesteps
    snapshots = cell.snapshots(cell.studied)
    count, length = len(snapshots), value.recorded_pairs(snapshots[0])
    fit = true_value.FitShard(snapshots[0], budget.pairs, settings, cell.params.seed)
    check = state_rollouts.RolloutShard(snapshots[0], budget.states, budget.rollouts, cell.params.seed)
    epochs = min(settings.max_epochs, round(PATIENCES * settings.patience))
    sets = [fit.num_streams - 2 * fit.num_heldout, fit.num_heldout, fit.num_heldout]
    fits = collected_streams(cell, count, sets, {"prepare": 1}, length=length, result_bytes=4 * cell.value_size)
    fits = replace(fits, work={**fits.work, "fit": budget.pairs * epochs}, held={**fits.held, "fit": budget.pairs})
    visits, rolled = collected_streams(cell, count, [budget.states], {}), check.num_episodes * (1 + length - timesteps)
    running = rollouts(rolled, min(MAX_ENVS, check.num_episodes))
    checks = ShardGroup(
        count,
        {kind: visits.work[kind] + amount for kind, amount in running.items()},
        visits.held,
        episodes=check.num_episodes,
        result_bytes=budget.states * (cell.task.obs_dim + 3 * budget.rollouts) * FLOAT,
    )
    arrays, rows = 4 * count * cell.value_size, count * (3 + epochs + budget.states)
    rounds = ((fits,), (checks,))
    return _probe("true_value", cell, snapshots, rounds, gathered=arrays, arrays=arrays, rows=rows, approximate=True)


def landscapes(cell: UntrainedCell) -> StageWork:
    """Directions and surrogates, then the returns of whole episodes at every point of the grid, for each regime.

    Pairs of the episodes are the budget of a point; their number depends on lengths that are measured first.
    """
    budget = cell.budget.landscape
    # One round of all the episodes, which a target error may leave out in part.
    settings = replace(landscape_plan.LandscapeSpec.of(cell.params), target_error=None)
    snapshots, points = cell.snapshots(cell.studied, budget.agents), settings.grid.points
    planes = landscape_plan.plan_planes(settings, snapshots[:1])
    count, total = len(snapshots), len(snapshots) * len(planes)
    empty = landscape.Plane(np.empty(cell.policy_size), np.empty(cell.policy_size), 0, np.empty(len(points)))
    # As if every episode were one pair long: shards then divide the pairs in the right proportions.
    (plan,) = landscape_plan.plan_rewards(
        settings, planes, [empty] * len(planes), [landscape_plan.EvaluationMeans(1.0, 0.0)]
    )
    # Planes whose episodes are held: the two that are tabulated, and all between rounds.
    held = 2 if cell.params.landscape.target_error is None else 2 + total
    plane_bytes = FLOAT * (2 * cell.policy_size + len(points))

    def plane(shard: landscape.PlaneShard) -> ShardGroup:
        size, further = shard.update_pairs, {"prepare": 1, "surrogate": len(shard.points)}
        sets = [size // cell.recipe.common.timesteps]
        return collected_streams(cell, count, sets, further, updated=size, result_bytes=plane_bytes)

    def reward(shard: landscape.RewardShard) -> ShardGroup:
        pairs = shard.num_episodes
        result = 2 * FLOAT * pairs // SHORT_EPISODE
        return ShardGroup(count, rollouts(pairs, min(MAX_ENVS_OF_POLICIES, pairs)), {}, pairs, result_bytes=result)

    return _probe(
        "landscape",
        cell,
        snapshots,
        (tuple(map(plane, planes)), tuple(map(reward, plan.rewards))),
        gathered=total * plane_bytes + held * 2 * FLOAT * len(points) * budget.pairs_per_point // SHORT_EPISODE,
        arrays=FLOAT * (total * (cell.policy_size + len(points)) + count * cell.policy_size),
        rows=total * (len(points) * (1 + len(settings.pair_budgets)) + len(settings.pair_budgets) + 1),
        approximate=True,
    )


# The stages of a task and algorithm, in the order of the pipeline.
OF_CELL = {
    "train": train,
    "ablation": ablation,
    "checkpoint": checkpoint,
    "gradient": gradients,
    "update_step": update_steps,
    "update_gain": update_gains,
    "value": values,
    "true_value": true_values,
    "baselines": baseline_estimates,
    "landscape": landscapes,
}


def _probe(
    stage: str,
    cell: UntrainedCell,
    snapshots: Sequence[Snapshot],
    rounds: tuple[tuple[ShardGroup, ...], ...],
    *,
    rows: int,
    gathered: int = 0,
    arrays: int = 0,
    approximate: bool = False,
) -> StageWork:
    """A stage that loads snapshots; its outputs are arrays and the rows of its tables."""
    return StageWork(
        stage,
        cell.task.env_id,
        cell.algorithm,
        rounds,
        approximate=approximate,
        gathered_bytes=len(snapshots) * cell.snapshot_bytes + gathered,
        output_bytes=arrays + rows * ROW,
    )
