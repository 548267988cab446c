"""What every stage of a pipeline will do: pairs, shards, and the bytes that it writes.

Counts come from the functions that the stages themselves plan with, given stand-ins of the snapshots, so that the two
cannot drift apart. Pairs are exact but for whole episodes, whose lengths nobody knows beforehand: their number is exact
in evaluations, their pairs are not (`approximate`).
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np
from safetensors.numpy import save

from dpg.learning import campaign
from dpg.learning.training import Record
from dpg.planning import stand_ins
from dpg.planning.cell import Cell
from dpg.planning.miniatures import PLANE_ROWS, fit_work, plane_work, policy_updates, states_work, updates
from dpg.planning.stand_ins import Task, table_bytes
from dpg.planning.work import Load, StageWork, counted
from dpg.probes import (
    alignment,
    baselines,
    evaluation,
    gradient,
    landscape,
    states,
    survey,
    true_value,
    update_step,
    value,
)
from dpg.probes.collection import STREAMS_AT_ONCE
from dpg.probes.landscape import Plane
from dpg.probes.survey import Survey
from dpg.runtime.schema import Params
from dpg.streams.advantages import horizon

FLOAT = 8  # bytes
CALIBRATION = 8000  # bytes of its table
SHORT_EPISODE = 25  # pairs of an untrained walker's episode, roughly
RECORD = 11 * FLOAT  # of a training's iteration, as it travels between processes


def stages(params: Params, tasks: dict[str, Task]) -> list[StageWork]:
    """Every stage of the pipeline; what figures and the report take is measured by drawing (`dpg.planning.drawing`)."""
    found = [StageWork("params", output_bytes=len("params.yaml is valid\n"))]
    for env, algorithm in product(params.envs, params.algorithms):
        cell = Cell(params, tasks[env], algorithm)
        found += [train(cell), ablation(cell), checkpoint(cell), gradients(cell)]
        found += [update_steps(cell), values(cell), true_values(cell), baseline_estimates(cell), landscapes(cell)]
    found += [regimes(params, tasks[env]) for env in params.envs]
    return [*found, StageWork("calibrate", output_bytes=CALIBRATION), StageWork("figures"), StageWork("report")]


def train(cell: Cell) -> StageWork:
    """Training, and the snapshots that it keeps."""
    budget = cell.params.budget.train
    files = budget.agents * (len(cell.trained) + 1)
    return _training(
        "train", cell, campaign.groups_of(cell.recipe, budget.agents, budget.group_size), files * cell.snapshot_bytes
    )


def ablation(cell: Cell) -> StageWork:
    """The same training without a baseline; its snapshots are not kept."""
    budget = cell.params.budget.train
    recipe = cell.recipe.model_copy(update={"common": cell.recipe.common.model_copy(update={"baseline": "none"})})
    return _training("ablation", cell, campaign.groups_of(recipe, budget.agents, budget.group_size), 0)


def _training(stage: str, cell: Cell, groups: list[campaign.Group], snapshots_bytes: int) -> StageWork:
    budget = cell.params.budget.train
    rows = budget.agents * budget.iterations
    pairs = sum(group.num_pairs for group in groups)
    return StageWork(
        stage,
        cell.task.env_id,
        cell.algorithm,
        pairs=pairs,
        rounds=training_rounds(groups, budget.snapshot_every),
        held_bytes=2 * budget.agents * cell.snapshot_bytes,
        scratch_bytes=(len(cell.trained) + 1) * budget.agents * cell.snapshot_bytes + rows * RECORD,
        output_bytes=snapshots_bytes + table_bytes(Record, rows, **cell.owner, pairs=pairs // budget.agents // 2),
    )


def regimes(params: Params, task: Task) -> StageWork:
    """PPO over sample sizes and learning rates."""
    budget = params.budget.regimes
    groups = campaign.regimes(params, task.env_id)
    every = campaign.every_tenth(groups)
    rows = sum(group.recipe.iterations * len(group.agents) for group in groups)
    agents = sum(len(group.agents) for group in groups)
    state = stand_ins.snapshot_bytes(task, groups[0].recipe)
    owner = {"env": task.env_id, "algorithm": "ppo", "timesteps": budget.timesteps[0], "lr": budget.rates[-1]}
    return StageWork(
        "regimes",
        task.env_id,
        pairs=sum(group.num_pairs for group in groups),
        rounds=training_rounds(groups, every),
        held_bytes=2 * agents * state,
        scratch_bytes=rows * RECORD
        + state * sum(len(g.agents) * (1 + math.ceil(g.recipe.iterations / every)) for g in groups),
        output_bytes=table_bytes(Record, rows, **owner, pairs=budget.total_pairs // 2),
    )


def training_rounds(groups: Sequence[campaign.Group], every: int) -> tuple[tuple[Load, ...], ...]:
    """The rounds of `campaign.train`: all groups by `every` iterations, until each has reached its end.

    In the first, agents begin with a stream that nothing is learned from: it costs time, and counts for no pairs.
    """
    last = max(group.recipe.iterations for group in groups)
    sizes = [(group.recipe.common.timesteps, len(group.agents)) for group in groups]
    rounds = [counted(Counter(Load("train", 1, (t, members * t, 0), members * t, members) for t, members in sizes))]
    for start in range(0, last, every):
        loads: Counter[Load] = Counter()
        for group in groups:
            iterations = min(start + every, group.recipe.iterations) - start
            if iterations > 0:
                size = len(group.agents) * group.recipe.common.timesteps
                work = (
                    iterations * group.recipe.common.timesteps,
                    iterations * size,
                    iterations * updates(group.recipe),
                )
                loads[Load("train", 1, work, size, len(group.agents))] += 1
        rounds.append(counted(loads))
    return tuple(rounds)


def checkpoint(cell: Cell) -> StageWork:
    """Whole episodes at the studied snapshots, and copies of those that are measured at.

    Pairs are counted as if every episode ran to the task's time limit: the most that they can be.
    """
    budget = cell.params.budget.checkpoint
    shards = evaluation.plan(cell.snapshots(cell.studied), budget.eval_episodes, cell.params.seed)
    length = cell.task.time_limit or cell.recipe.common.timesteps
    load = _episodes(len(shards), budget.eval_episodes * length, min(budget.eval_episodes, evaluation.MAX_ENVS))
    copies = cell.params.budget.train.agents * (len(cell.studied) + len(cell.curve))
    episodes = len(shards) * budget.eval_episodes
    return StageWork(
        "checkpoint",
        cell.task.env_id,
        cell.algorithm,
        pairs=episodes * length,
        episodes=episodes,
        approximate=True,
        rounds=((load,),),
        held_bytes=len(shards) // 2 * cell.snapshot_bytes,
        scratch_bytes=episodes * 2 * FLOAT,
        output_bytes=copies * cell.snapshot_bytes
        + cell.params.budget.train.agents * stand_ins.policy_bytes(cell.task, cell.recipe)
        + table_bytes(evaluation.Evaluation, len(shards), **cell.owner, actions="deterministic"),
    )


def _episodes(count: int, pairs: int, envs: int) -> Load:
    return Load("episodes", count, (pairs / envs, pairs), 0, envs)


def gradients(cell: Cell) -> StageWork:
    """Gradient estimates of every size, and the true gradient."""
    budget = cell.params.budget.gradient
    snapshots = cell.snapshots(cell.studied)
    shards = gradient.plan(snapshots, budget, cell.params.seed)
    timesteps = cell.recipe.common.timesteps
    alike = Counter(shard.num_pairs for shard in shards)
    loads = [Load("gradient", count, (timesteps, pairs), pairs, pairs // timesteps) for pairs, count in alike.items()]
    one_sum = (4 + 2 * snapshots[0].state.policy.shape[-1]) * FLOAT
    # Snapshots are alike: the sums that the shards of the first one send are those of each.
    first = [shard.parts for shard in shards if shard.snapshot is snapshots[0]]
    # The products of a part of the true gradient are as large as two sums.
    sent = [sum(len(part.distinct_shares(timesteps)) + 2 * (part.role == "true") for part in parts) for parts in first]
    groups = len({(part.set_index, part.group) for parts in first for part in parts if part.role == "true"})
    # What estimates have among each other is not corrected for the true gradient's noise: that column is blank.
    blank = {"against": "each other", "corrected_cosine": None}
    rows = len(budget.sizes) * len(snapshots)
    similarity = sum(
        table_bytes(gradient.Similarity, rows, **cell.owner, pairs=10000, share_nonpositive=0.0, **known)
        for known in (blank, {"against": "true"})
    )
    agreement = table_bytes(gradient.Agreement, 2 * len(budget.sizes) * len(cell.studied), **cell.owner, pairs=10000)
    return StageWork(
        "gradient",
        cell.task.env_id,
        cell.algorithm,
        pairs=sum(pairs * count for pairs, count in alike.items()),
        rounds=(tuple(loads),),
        held_bytes=len(snapshots) * cell.snapshot_bytes
        + one_sum * ((budget.repeats + 1) * len(budget.sizes) + 3 * (groups + 1) + 2 * max(sent)),
        scratch_bytes=len(snapshots) * sum(sent) * one_sum,
        output_bytes=similarity + agreement + table_bytes(gradient.Noise, len(snapshots), **cell.owner),
    )


def update_steps(cell: Cell) -> StageWork:
    """Whole updates from every snapshot of the curve."""
    updates_each = cell.params.budget.update_step.updates
    snapshots = cell.snapshots(cell.curve)
    shards = update_step.plan(snapshots, updates_each, cell.params.seed)
    architecture, timesteps = snapshots[0].state.architecture, cell.recipe.common.timesteps
    steps = policy_updates(cell.recipe)
    loads = Counter(
        Load(
            "update",
            1,
            # The states that policies are compared on are collected after the batches.
            (timesteps * (1 + (s.first_update == 0)), s.num_pairs, steps),
            s.num_updates * timesteps,
            s.num_updates,
        )
        for s in shards
    )
    policies, states = updates_each * architecture.policy_layout.size, timesteps * architecture.obs_dim
    means = updates_each * timesteps * architecture.action_dim
    return StageWork(
        "update_step",
        cell.task.env_id,
        cell.algorithm,
        pairs=sum(shard.num_pairs for shard in shards),
        rounds=(counted(loads),),
        # Steps and means of all the updates from one snapshot, and what their comparison takes in passing.
        held_bytes=len(snapshots) * cell.snapshot_bytes + 3 * (policies + means) * FLOAT + states * FLOAT,
        scratch_bytes=len(snapshots) * (policies + states) * FLOAT // 2,
        output_bytes=table_bytes(update_step.Agreement, len(snapshots), **cell.owner, pairs=timesteps),
    )


def values(cell: Cell) -> StageWork:
    """Errors of the value nets at every snapshot of the curve."""
    budget = cell.params.budget.value
    shards = [value.Shard(s, budget.heldout_pairs, cell.params.seed) for s in cell.snapshots(cell.curve)]
    common = cell.recipe.common
    length = common.timesteps + horizon(common.gamma)
    streams = budget.heldout_pairs // common.timesteps
    steps = (1 + math.ceil(streams / STREAMS_AT_ONCE)) * length
    width = min(streams, STREAMS_AT_ONCE)
    loads = Counter(Load("value", 1, (steps, s.num_pairs), s.num_pairs - length, width) for s in shards)
    rows = 4 * len(shards)
    known = {"split": "heldout", "target": "gae", "pairs": common.timesteps}
    return StageWork(
        "value",
        cell.task.env_id,
        cell.algorithm,
        pairs=sum(shard.num_pairs for shard in shards),
        rounds=(counted(loads),),
        held_bytes=len(shards) * cell.snapshot_bytes,
        scratch_bytes=rows * 13 * FLOAT,
        output_bytes=table_bytes(value.PredictionError, rows, **cell.owner, **known),
    )


def true_values(cell: Cell) -> StageWork:
    """A fit at every studied snapshot, and rollouts from states of each.

    Pairs of the rollouts are counted as if each ran to the horizon, and epochs as if none stopped early: the most.
    """
    params, budget = cell.params, cell.params.budget.true_value
    snapshots = cell.snapshots(cell.studied)
    common = cell.recipe.common
    fits = [true_value.Shard(s, budget.pairs, params.true_value, params.seed) for s in snapshots]
    checks = [states.Shard(s, budget.states, budget.rollouts, params.seed) for s in snapshots]
    one, check = fits[0], checks[0]
    rolled = check.num_rollouts * (1 + horizon(common.gamma))
    epochs = params.true_value.max_epochs
    fit_load = Load(
        "fit",
        len(fits),
        *fit_work(cell.recipe, one.num_streams - one.num_heldout, one.num_heldout, epochs),
        min(one.num_streams, 2 * STREAMS_AT_ONCE),
    )
    checked = states_work(common.timesteps, budget.states, check.num_rollouts, rolled)
    arrays = {s.name: s.state.value[0] for s in snapshots}
    rows = sum(
        table_bytes(kind, count, **cell.owner, **known)
        for kind, count, known in (
            (true_value.Quality, len(fits), {"pairs": budget.pairs}),
            (true_value.Epoch, len(fits) * epochs // 2, {}),
            (states.StateValue, len(fits) * budget.states, {}),
            (states.Opinion, 2 * len(fits), {"net": "true value"}),
        )
    )
    values = snapshots[0].state.value.nbytes
    return StageWork(
        "true_value",
        cell.task.env_id,
        cell.algorithm,
        pairs=sum(shard.num_pairs for shard in fits),
        episodes=sum(shard.num_rollouts for shard in checks),
        approximate=True,
        rounds=((fit_load,), (Load("states", len(checks), *checked, budget.states),)),
        held_bytes=len(snapshots) * (cell.snapshot_bytes + values),
        scratch_bytes=len(snapshots) * (values + budget.states * (cell.task.obs_dim + budget.rollouts) * FLOAT),
        output_bytes=len(save(arrays)) + rows,
    )


def baseline_estimates(cell: Cell) -> StageWork:
    """Gradient estimates with every baseline, from the same streams."""
    budget = cell.params.budget.baselines
    snapshots = cell.snapshots(cell.studied)
    values = [snapshot.state.value[0] for snapshot in snapshots]
    shards = [shard.streams for shard in baselines.plan(snapshots, values, budget, cell.params.seed)]
    timesteps = cell.recipe.common.timesteps
    alike = Counter(shard.num_pairs for shard in shards)
    one_sum = len(baselines.VARIANTS) * (4 + 2 * snapshots[0].state.policy.shape[-1]) * FLOAT
    sent = [sum(len(part.distinct_shares(timesteps)) for part in s.parts) for s in shards if s.snapshot is snapshots[0]]
    known = {"baseline": "value net", "other": "zero", "advantage": "returns", "pairs": 10000}
    rows = len(budget.sizes) * len(baselines.VARIANTS)
    tables = (
        (baselines.Comparison, rows * len(snapshots)),
        (baselines.Difference, rows * len(snapshots)),
        (baselines.Gain, rows * len(cell.studied)),
    )
    return StageWork(
        "baselines",
        cell.task.env_id,
        cell.algorithm,
        pairs=sum(pairs * count for pairs, count in alike.items()),
        rounds=(
            tuple(
                Load("baselines", count, (timesteps, pairs), pairs, pairs // timesteps)
                for pairs, count in alike.items()
            ),
        ),
        held_bytes=len(snapshots) * (cell.snapshot_bytes + values[0].nbytes)
        + one_sum * (2 * budget.repeats * len(budget.sizes) + 2 * max(sent)),
        scratch_bytes=len(snapshots) * sum(sent) * one_sum,
        output_bytes=sum(table_bytes(kind, count, **cell.owner, **known) for kind, count in tables),
    )


def landscapes(cell: Cell) -> StageWork:
    """Directions and surrogates, then the returns of whole episodes at every point of the grid, for each regime.

    Pairs of the episodes are what the budget gives a point; their number follows from lengths that are measured first.
    """
    params, budget = cell.params, cell.params.budget.landscape
    snapshots = cell.snapshots(cell.studied, budget.agents)
    wanted = Survey.of(params)
    grid, parameters = wanted.grid, snapshots[0].state.policy.shape[-1]
    empty = Plane(np.empty(parameters), np.empty(parameters), 0, np.empty(len(grid.measured)))
    # Snapshots are alike, and episodes as if each were one pair long: shards share the pairs out in these proportions.
    shards = survey.plan_planes(wanted, snapshots[:1])[0]
    site = survey.plan_rewards(wanted, shards, [empty] * len(shards), 1.0)
    updates = Counter(
        {Load("plane", 1, *plane_work(s.update_pairs, len(grid.measured)), PLANE_ROWS): len(snapshots) for s in shards}
    )
    rewards: Counter[Load] = Counter()
    for shard in site.rewards:
        envs = min(landscape.MAX_ENVS, shard.total_episodes)
        rewards[_episodes(1, shard.total_episodes, envs)] += len(snapshots)
    count, points, budgets = len(snapshots) * len(shards), len(grid.points), len(wanted.pair_budgets)
    episodes = budget.pairs_per_point // SHORT_EPISODE
    directions = count * (parameters + 2 * len(grid.measured)) + len(snapshots) * parameters
    known = {"update_pairs": budget.update_pairs[-1], "pairs": budget.pairs_per_point}
    tables = {
        alignment.Point: (count * points, known | {"common_random_numbers": True}),
        alignment.FewerPairs: (count * points * budgets, known | {"budget_pairs": budget.pairs_per_point}),
        alignment.Resolution: (count * budgets, known | {"budget_pairs": budget.pairs_per_point}),
        alignment.Alignment: (count, known),
    }
    return StageWork(
        "landscape",
        cell.task.env_id,
        cell.algorithm,
        pairs=len(snapshots) * (sum(budget.update_pairs) + sum(shard.total_episodes for shard in site.rewards)),
        approximate=True,
        rounds=(counted(updates), counted(rewards)),
        # All planes' directions, and the trajectories of two landscapes.
        held_bytes=len(snapshots) * cell.snapshot_bytes + FLOAT * directions + 4 * FLOAT * points * episodes,
        scratch_bytes=FLOAT * (directions + count * 2 * points * episodes),
        output_bytes=FLOAT * directions
        + sum(table_bytes(row, rows, **cell.owner, **values) for row, (rows, values) in tables.items()),
    )
