"""What every stage of a pipeline will do: pairs, shards, the work in each, and the bytes that come of it.

Shards come from the functions that the stages themselves plan with, given stand-ins for the snapshots, so that the two
cannot drift apart. Pairs are exact, but where whole episodes or rollouts are run (`approximate`), whose lengths are not
known beforehand: evaluations count as if every episode ran to the time limit. Fits stop early, after some epochs.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import product

import numpy as np
from gymnasium.spaces import Box

from dpg.agent.population import Architecture, Population, initialize
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.envs.examine import check_tasks
from dpg.envs.make import make_vector, time_limit
from dpg.learning import campaign
from dpg.probes import (
    baselines,
    evaluation,
    gain_tables,
    gradient,
    landscape,
    states,
    true_value,
    update_gain,
    update_step,
    value,
)
from dpg.probes.collection import MAX_ENVS, STREAMS_AT_ONCE
from dpg.probes.landscape import Plane
from dpg.probes.stream_blocks import StreamShard
from dpg.probes.survey import Survey, plan_planes, plan_rewards
from dpg.runtime.budgets import nearest
from dpg.runtime.schema import Params
from dpg.runtime.seeding import Seed
from dpg.streams import measurable
from dpg.streams.advantages import horizon
from dpg.tables.baselines import AgentsDifference, BaselineCosine, BaselineDifference
from dpg.tables.checkpoint import Evaluation
from dpg.tables.gradient import Noise, Similarity
from dpg.tables.landscape import Alignment, LandscapePoint, Resolution, SubsampledPoint
from dpg.tables.training import Record
from dpg.tables.true_value import FitEpoch, FitQuality, StateErrors, StateValue
from dpg.tables.update_gain import AgentsGain, SnapshotGain, UpdateGain
from dpg.tables.update_step import UpdateAgreement
from dpg.tables.value import PredictionError

FLOAT = 8  # bytes
PATIENCES = 2.5  # epochs of a fit, in the epochs that it waits for a gain: between 10 and 22 of 60 for Hopper
SHORT_EPISODE = 25  # pairs of an untrained walker's episode, roughly
CHARACTERS = {"float": 19, "bool": 5, "int": 5}  # of a table's values, the comma included; others: 11
FIGURE_BYTES = {"png": 140_000, "pdf": 30_000, "svg": 120_000}
FIGURES_OF_TASK = 12
FIGURES_OF_STAGE = {
    "value": 2,
    "true_value": 2,
    "baselines": 2,
}  # of those, which are not drawn where nothing is measured
FIGURE_STARTS, CALIBRATION_STARTS = 0.45, 8.0
PLOTLY = 4_800_000  # bytes of plotly.js, which the report holds
HEADER = 2700  # bytes, of a snapshot's file

# Amounts by their kind (`dpg.planning.rates` says what each is).
Amounts = Mapping[str, int | float]


@dataclass(frozen=True)
class Load:
    """`count` equal shards, which may run side by side: the work of each, and the pairs that it holds at its peak."""

    count: int
    work: Amounts
    held: Amounts = field(default_factory=dict)


@dataclass(frozen=True)
class StageWork:
    """What one stage does. A round of shards ends before the next begins; bytes are those of a whole execution.

    `held_bytes` is what the stage's own process gathers, `scratch_bytes` what finished shards leave until the stage
    has published. `starts` is what it does beside shards, in times of what its process takes to start, which tells how
    fast the machine is; `trained_as` is the algorithm of a stage that has none in its name.
    """

    stage: str
    env: str | None = None
    algorithm: str | None = None
    trained_as: str | None = None
    pairs: int = 0
    episodes: int = 0
    approximate: bool = False
    rounds: tuple[tuple[Load, ...], ...] = ()
    held_bytes: int = 0
    scratch_bytes: int = 0
    output_bytes: int = 0
    starts: float = 0.0

    @property
    def name(self) -> str:
        """As DVC calls it."""
        cell = [part for part in (self.env, self.algorithm) if part]
        return f"{self.stage}@{'-'.join(cell)}" if cell else self.stage

    @property
    def cell(self) -> tuple[str, str] | None:
        """The task and algorithm whose rates are those of its shards; None if it has no shards of theirs."""
        algorithm = self.algorithm or self.trained_as
        return (self.env, algorithm) if self.env and algorithm else None

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return sum(load.count for loads in self.rounds for load in loads)


@dataclass(frozen=True)
class Task:
    """What of a task decides what it costs, beside its speed."""

    env_id: str
    obs_dim: int
    action_dim: int
    time_limit: int | None


def tasks_of(params: Params) -> dict[str, Task]:
    """The tasks of an experiment.

    Raises:
        ConfigError: a task cannot be used; the message is the one that the stage `params` would give.
    """
    check_tasks(params)
    return {env: _task(env, params.common.modules) for env in params.envs}


def _task(env: str, modules: Sequence[str]) -> Task:
    envs = make_vector(env, 1, modules)
    obs, action = envs.single_observation_space, envs.single_action_space
    envs.close()
    assert isinstance(obs, Box) and isinstance(action, Box)
    return Task(env, obs.shape[0], action.shape[0], time_limit(env, modules))


def population(task: Task, recipe: Recipe, members: int = 1) -> Population:
    """Agents before any experience."""
    common = recipe.common
    sizes = (task.obs_dim, task.action_dim, common.policy_hidden, common.value_hidden)
    architecture = Architecture(*sizes, recipe.config.obs_clip)
    return initialize(architecture, recipe.config.init, [Seed(0) / "stand-in" / index for index in range(members)])


@dataclass(frozen=True)
class Cell:
    """A task and an algorithm under some parameters, before anything has run."""

    params: Params
    task: Task
    algorithm: str

    @cached_property
    def recipe(self) -> Recipe:
        """How the cell is trained."""
        return Recipe.of(self.params, self.task.env_id, self.algorithm, self.params.budget.train.iterations)

    @cached_property
    def trained(self) -> list[int]:
        """Iterations of the snapshots that an iteration starts from: all but the last one, which only ends one."""
        return list(range(0, self.recipe.iterations, self.params.budget.train.snapshot_every))

    @cached_property
    def studied(self) -> list[int]:
        """Iterations that gradients and landscapes are measured at."""
        return nearest(self.params.budget.checkpoint.fractions, self.trained, self.recipe.iterations)

    @cached_property
    def curve(self) -> list[int]:
        """Iterations that curves over training are measured at."""
        return [i for i in self.trained if i % self.params.budget.checkpoint.curve_every == 0]

    @cached_property
    def state(self) -> Population:
        """A stand-in for an agent."""
        return population(self.task, self.recipe)

    @cached_property
    def parameters(self) -> tuple[int, int]:
        """Those of a policy, and of a value net."""
        return self.state.policy.shape[-1], self.state.value.shape[-1]

    @property
    def snapshot_bytes(self) -> int:
        """The size of a snapshot's file: both vectors with Adam's moments, and the normalisers'."""
        return 3 * 4 * sum(self.parameters) + 2 * FLOAT * self.task.obs_dim + HEADER

    def snapshots(self, iterations: Sequence[int], agents: int | None = None) -> list[Snapshot]:
        """Stand-ins for snapshots; their arrays are the same ones, so that thousands take no room."""
        agents = agents or self.params.budget.train.agents
        return [
            Snapshot(agent, self.recipe, replace(self.state, iteration=iteration))
            for agent, iteration in product(range(agents), iterations)
        ]

    def work(self, stage: str, **amounts: object) -> StageWork:
        """The work of a stage of the cell."""
        return StageWork(stage, self.task.env_id, self.algorithm, **amounts)  # pyright: ignore[reportArgumentType]


def stages(params: Params, tasks: Mapping[str, Task]) -> list[StageWork]:
    """Every stage of the pipeline."""
    found = [StageWork("params", output_bytes=len("params.yaml is valid\n"))]
    for env, algorithm in product(params.envs, params.algorithms):
        cell = Cell(params, tasks[env], algorithm)
        without = measurable.unmeasured(params, env, cell.task.time_limit)
        found += [cell.work(stage) if stage in without else count(cell) for stage, count in OF_CELL.items()]
    found += [regimes(params, tasks[env]) for env in params.envs]
    found.append(StageWork("calibrate", starts=CALIBRATION_STARTS, output_bytes=8000))
    count = figures(params, tasks)
    drawn = count * sum(FIGURE_BYTES[each] for each in params.figures.formats)
    found.append(StageWork("figures", starts=count * FIGURE_STARTS, output_bytes=drawn))
    return [*found, StageWork("report", output_bytes=drawn // 2 + PLOTLY)]


def figures(params: Params, tasks: Mapping[str, Task]) -> int:
    """How many there are: of the experiment, of every task, and for every agent whose landscape is measured."""
    budget = params.budget.landscape
    of_cell = budget.agents * (2 + len(budget.update_pairs))
    without = [measurable.unmeasured(params, env, tasks[env].time_limit) for env in params.envs]
    lost = sum(FIGURES_OF_STAGE.get(stage, 0) for stages in without for stage in stages)
    comparison = any("ablation" not in stages for stages in without)
    return 1 + comparison + len(params.envs) * (FIGURES_OF_TASK + len(params.algorithms) * of_cell) - lost


def train(cell: Cell) -> StageWork:
    """Training, and the snapshots that it keeps."""
    budget = cell.params.budget.train
    snapshots = budget.agents * (len(cell.trained) + 1) * cell.snapshot_bytes
    return _training("train", cell, snapshots)


def ablation(cell: Cell) -> StageWork:
    """The same training without a baseline; its snapshots are not kept."""
    common = cell.params.common.model_copy(update={"baseline": "none"})
    return _training("ablation", Cell(cell.params.model_copy(update={"common": common}), cell.task, cell.algorithm), 0)


def _training(stage: str, cell: Cell, snapshots_bytes: int) -> StageWork:
    budget = cell.params.budget.train
    groups = campaign.groups_of(cell.recipe, budget.agents, budget.group_size)
    table = _table(Record, budget.agents * budget.iterations)
    return cell.work(
        stage,
        pairs=sum(group.num_pairs for group in groups),
        rounds=training_rounds(groups, budget.snapshot_every),
        held_bytes=2 * budget.agents * cell.snapshot_bytes + 3 * table,
        scratch_bytes=(len(cell.trained) + 1) * budget.agents * cell.snapshot_bytes + table,
        output_bytes=snapshots_bytes + table,
    )


def regimes(params: Params, task: Task) -> StageWork:
    """Training over sample sizes and learning rates."""
    groups = campaign.regimes(params, task.env_id)
    every = campaign.every_tenth(groups)
    table = _table(Record, sum(group.recipe.iterations * len(group.agents) for group in groups))
    state = Cell(params, task, groups[0].recipe.algorithm).snapshot_bytes
    kept = sum(len(group.agents) * (1 + math.ceil(group.recipe.iterations / every)) for group in groups)
    return StageWork(
        "regimes",
        task.env_id,
        trained_as=groups[0].recipe.algorithm,
        pairs=sum(group.num_pairs for group in groups),
        rounds=training_rounds(groups, every),
        held_bytes=2 * state * sum(len(group.agents) for group in groups) + 3 * table,
        scratch_bytes=table + state * kept,
        output_bytes=table,
    )


def training_rounds(groups: Sequence[campaign.Group], every: int) -> tuple[tuple[Load, ...], ...]:
    """The rounds of `campaign.train`: all groups by `every` iterations, until each has reached its end.

    In the first, agents begin with a stream that nothing is learned from: it costs time, and counts for no pairs.
    """
    rounds = [tuple(_collecting(group, 1) for group in groups)]
    for start in range(0, max(group.recipe.iterations for group in groups), every):
        left = [(group, min(start + every, group.recipe.iterations) - start) for group in groups]
        rounds.append(tuple(_learning(group, iterations) for group, iterations in left if iterations > 0))
    return tuple(rounds)


def _collecting(group: campaign.Group, iterations: int) -> Load:
    timesteps, pairs = group.recipe.common.timesteps, len(group.agents) * group.recipe.common.timesteps
    return Load(1, {"step": iterations * timesteps, "pair": iterations * pairs}, {"raw": pairs})


def _learning(group: campaign.Group, iterations: int) -> Load:
    """Iterations of a group: an update of policies and one of value nets each; a batch is looked through twice."""
    load, size = _collecting(group, iterations), len(group.agents) * group.recipe.common.timesteps
    work = {"prepare": 2 * iterations * size, "policy": iterations, "policy_pair": iterations * size}
    if group.recipe.common.baseline != "none":
        work |= {"value": iterations, "value_pair": iterations * size}
    return Load(1, {**load.work, **work}, {**load.held, "prepare": size, "policy_pair": size})


def checkpoint(cell: Cell) -> StageWork:
    """Whole episodes at the studied snapshots, and copies of those that are measured at."""
    episodes, agents = cell.params.budget.checkpoint.eval_episodes, cell.params.budget.train.agents
    shards = evaluation.plan(cell.snapshots(cell.studied), episodes, cell.params.seed)
    length = cell.task.time_limit or cell.recipe.common.timesteps
    copies = agents * (len(cell.studied) + len(cell.curve))
    policies = agents * (4 * cell.parameters[0] + HEADER)
    return cell.work(
        "checkpoint",
        pairs=len(shards) * episodes * length,
        episodes=len(shards) * episodes,
        approximate=True,
        rounds=((_episodes(len(shards), episodes * length, min(episodes, MAX_ENVS)),),),
        held_bytes=len(shards) // 2 * cell.snapshot_bytes,
        scratch_bytes=len(shards) * episodes * 2 * FLOAT,
        output_bytes=copies * cell.snapshot_bytes + policies + _table(Evaluation, len(shards)),
    )


def _episodes(count: int, pairs: int, envs: int) -> Load:
    return Load(count, {"step": pairs / envs, "pair": pairs})


def gradients(cell: Cell) -> StageWork:
    """Gradient estimates of every size, and the true gradient."""
    budget, snapshots = cell.params.budget.gradient, cell.snapshots(cell.studied)
    shards, alike = gradient.plan(snapshots[:1], budget, cell.params.seed), len(snapshots)
    one_sum = (4 + 2 * cell.parameters[0]) * FLOAT
    sent = _sums_sent(shards)
    groups = len({(part.set_index, part.group) for shard in shards for part in shard.blocks if part.role == "true"})
    rows = 2 * len(budget.sizes)
    return cell.work(
        "gradient",
        pairs=alike * sum(shard.num_pairs for shard in shards),
        rounds=(_estimates(shards, alike, "score"),),
        held_bytes=len(snapshots) * cell.snapshot_bytes
        + one_sum * ((budget.repeats + 1) * len(budget.sizes) + 3 * (groups + 1) + 2 * max(sent)),
        scratch_bytes=alike * sum(sent) * one_sum,
        output_bytes=_table(Similarity, rows * len(snapshots)) + _table(Noise, len(snapshots)),
    )


def _estimates(shards: Sequence[StreamShard], alike: int, kind: str) -> tuple[Load, ...]:
    """The shards of one of so many snapshots that are alike, equal ones together."""
    steps = shards[0].snapshot.recipe.common.timesteps
    return tuple(
        Load(count * alike, {"step": steps, "pair": pairs, kind: pairs}, {"raw": 2 * pairs, kind: pairs})
        for pairs, count in Counter(shard.num_pairs for shard in shards).items()
    )


def _sums_sent(shards: Sequence[StreamShard]) -> list[int]:
    """The sums that each shard sends to its stage; products of a part of the true gradient are as large as two."""
    timesteps = shards[0].snapshot.recipe.common.timesteps
    return [
        sum(len(part.distinct_prefixes(timesteps)) + 2 * (part.role == "true") for part in shard.blocks)
        for shard in shards
    ]


def update_steps(cell: Cell) -> StageWork:
    """Whole updates from every snapshot of the curve."""
    updates_each = cell.params.budget.update_step.updates
    snapshots = cell.snapshots(cell.curve)
    shards = update_step.plan(snapshots, updates_each, cell.params.seed)
    timesteps = cell.recipe.common.timesteps
    policies, obs = updates_each * cell.parameters[0], timesteps * cell.task.obs_dim
    means = updates_each * timesteps * cell.task.action_dim

    def load(shard: update_step.Shard) -> Load:
        size = shard.num_updates * timesteps
        # The states that policies are compared on are collected after the batches.
        work = {"step": timesteps * (1 + (shard.first_update == 0)), "pair": shard.num_pairs, "prepare": size}
        held = {"raw": 2 * size, "prepare": size, "policy_pair": size}
        return Load(1, work | {"policy": 1, "policy_pair": size}, held)

    return cell.work(
        "update_step",
        pairs=sum(shard.num_pairs for shard in shards),
        rounds=(tuple(map(load, shards)),),
        # Steps and means of all the updates from one snapshot, and what their comparison takes in passing.
        held_bytes=len(snapshots) * cell.snapshot_bytes + 3 * (policies + means) * FLOAT + obs * FLOAT,
        scratch_bytes=len(snapshots) * (policies + obs) * FLOAT // 2,
        output_bytes=_table(UpdateAgreement, len(snapshots)),
    )


def update_gains(cell: Cell) -> StageWork:
    """Whole updates of every regime from every studied snapshot, then episodes before and after each.

    Pairs are those of the updates and of what is held out.
    """
    budget, snapshots = cell.params.budget.update_gain, cell.snapshots(cell.studied)
    (regimes,), count = update_gain.plan(snapshots[:1], budget, cell.params.seed), len(snapshots)
    shards = [shard for regime in regimes for shard in regime]
    updates, parameters = len(regimes) * budget.updates, cell.parameters[0]
    policies = np.empty((len(regimes), budget.updates, parameters), np.float32)
    episodes = update_gain.plan_episodes(snapshots[0], policies, budget, cell.params.seed)
    timesteps = cell.recipe.common.timesteps
    length = cell.task.time_limit or timesteps
    rows = len(gain_tables.QUANTITIES) * len(regimes)

    def load(shard: update_gain.UpdateShard) -> Load:
        size = shard.num_pairs // 2
        streams = size // timesteps
        raw = min(streams, STREAMS_AT_ONCE) * timesteps
        work = {"step": 2 * math.ceil(streams / STREAMS_AT_ONCE) * timesteps, "pair": 2 * size, "prepare": 2 * size}
        held = {"raw": 2 * raw, "prepare": raw, "batch": size, "policy_pair": size}
        return Load(count, work | {"policy": 1, "policy_pair": size, "surrogate": 4 * size}, held)

    return cell.work(
        "update_gain",
        pairs=count * sum(shard.num_pairs for shard in shards),
        episodes=count * sum(shard.num_episodes for shard in episodes),
        approximate=True,
        rounds=(
            tuple(map(load, shards)),
            tuple(
                _episodes(count, shard.num_episodes * length, min(update_gain.MAX_ENVS, shard.num_episodes))
                for shard in episodes
            ),
        ),
        # The updated policies of all snapshots, until the last episodes are planned.
        held_bytes=count * (cell.snapshot_bytes + 2 * policies.nbytes),
        scratch_bytes=count * (policies.nbytes + sum(shard.num_episodes for shard in episodes) * 2 * FLOAT),
        output_bytes=_table(UpdateGain, count * updates)
        + _table(SnapshotGain, count * rows)
        + _table(AgentsGain, len(cell.studied) * rows),
    )


def values(cell: Cell) -> StageWork:
    """Errors of the value nets at every snapshot of the curve."""
    budget, timesteps = cell.params.budget.value, cell.recipe.common.timesteps
    shards = [value.Shard(s, budget.heldout_pairs, cell.params.seed) for s in cell.snapshots(cell.curve)]
    length = timesteps + horizon(cell.recipe.common.gamma)
    steps = (1 + math.ceil(budget.heldout_pairs // timesteps / STREAMS_AT_ONCE)) * length
    pairs = shards[0].num_pairs
    work = {"step": steps, "pair": pairs, "prepare": 2 * pairs, "value": 1, "value_pair": timesteps}
    table = _table(PredictionError, 4 * len(shards))
    return cell.work(
        "value",
        pairs=sum(shard.num_pairs for shard in shards),
        rounds=((Load(len(shards), work, {"raw": 2 * pairs, "prepare": pairs}),),),
        held_bytes=len(shards) * cell.snapshot_bytes,
        scratch_bytes=table,
        output_bytes=table,
    )


def true_values(cell: Cell) -> StageWork:
    """A fit at every studied snapshot, and rollouts from states of each, counted as if each ran to the horizon."""
    params, budget, common = cell.params, cell.params.budget.true_value, cell.recipe.common
    snapshots = cell.snapshots(cell.studied)
    fits = [true_value.Shard(s, budget.pairs, params.true_value, params.seed) for s in snapshots]
    checks = [states.Shard(s, budget.states, budget.rollouts, params.seed) for s in snapshots]
    one, check = fits[0], checks[0]
    epochs = min(params.true_value.max_epochs, round(PATIENCES * params.true_value.patience))
    further = horizon(common.gamma)
    sets = (one.num_streams - 2 * one.num_heldout, one.num_heldout, one.num_heldout)
    groups = sum(math.ceil(streams / STREAMS_AT_ONCE) for streams in sets)
    raw = min(one.num_streams, STREAMS_AT_ONCE) * (common.timesteps + further)
    fit = Load(
        len(fits),
        {
            "step": groups * (common.timesteps + further),
            "pair": one.num_pairs,
            "prepare": one.num_pairs,
            "fit": budget.pairs * epochs,
        },
        {"raw": 2 * raw, "prepare": raw, "fit": budget.pairs},
    )
    rolled = check.num_rollouts * (1 + further)
    visits = math.ceil(budget.states / STREAMS_AT_ONCE) * common.timesteps
    rollouts = Load(
        len(checks),
        {
            "step": visits + rolled / min(states.MAX_ENVS, check.num_rollouts),
            "pair": budget.states * common.timesteps + rolled,
        },
        {"raw": 2 * min(budget.states, STREAMS_AT_ONCE) * common.timesteps},
    )
    count, values = len(fits), 4 * cell.parameters[1]
    return cell.work(
        "true_value",
        pairs=sum(shard.num_pairs for shard in fits),
        episodes=sum(shard.num_rollouts for shard in checks),
        approximate=True,
        rounds=((fit,), (rollouts,)),
        held_bytes=count * (cell.snapshot_bytes + values),
        scratch_bytes=count * (values + budget.states * (cell.task.obs_dim + 3 * budget.rollouts) * FLOAT),
        output_bytes=count * values
        + _table(FitQuality, count)
        + _table(FitEpoch, count * epochs)
        + _table(StateValue, count * budget.states)
        + _table(StateErrors, 2 * count),
    )


def baseline_estimates(cell: Cell) -> StageWork:
    """Gradient estimates with every baseline, from the same streams."""
    budget, snapshots = cell.params.budget.baselines, cell.snapshots(cell.studied)
    vector, alike = cell.state.value[0], len(snapshots)
    shards = [shard.streams for shard in baselines.plan(snapshots[:1], [vector], budget, cell.params.seed)]
    variants = len(baselines.VARIANTS)
    one_sum = variants * (4 + 2 * cell.parameters[0]) * FLOAT
    sent = _sums_sent(shards)
    rows = len(budget.sizes) * variants
    return cell.work(
        "baselines",
        pairs=alike * sum(shard.num_pairs for shard in shards),
        rounds=(_estimates(shards, alike, "compare"),),
        held_bytes=len(snapshots) * (cell.snapshot_bytes + vector.nbytes)
        + one_sum * (2 * budget.repeats * len(budget.sizes) + 2 * max(sent)),
        scratch_bytes=alike * sum(sent) * one_sum,
        output_bytes=_table(BaselineCosine, rows * len(snapshots))
        + _table(BaselineDifference, rows * len(snapshots))
        + _table(AgentsDifference, rows * len(cell.studied)),
    )


def landscapes(cell: Cell) -> StageWork:
    """Directions and surrogates, then the returns of whole episodes at every point of the grid, for each regime.

    Pairs of the episodes are what the budget gives a point; their number follows from lengths that are measured first.
    """
    budget, survey = cell.params.budget.landscape, Survey.of(cell.params)
    snapshots = cell.snapshots(cell.studied, budget.agents)
    measured, points, parameters = len(survey.grid.measured), len(survey.grid.points), cell.parameters[0]
    empty = Plane(np.empty(parameters), np.empty(parameters), 0, np.empty(measured))
    # Snapshots are alike, and episodes as if each were one pair long: shards share the pairs out in these proportions.
    planes = plan_planes(survey, snapshots[:1])[0]
    rewards = plan_rewards(survey, planes, [empty] * len(planes), 1.0).rewards
    count, budgets = len(snapshots) * len(planes), len(survey.pair_budgets)
    trajectories = 2 * points * budget.pairs_per_point // SHORT_EPISODE * FLOAT
    directions = FLOAT * (count * (parameters + 2 * measured) + len(snapshots) * parameters)

    def plane(shard: landscape.PlaneShard) -> Load:
        size, timesteps = shard.update_pairs, cell.recipe.common.timesteps
        streams = size // timesteps
        raw = min(streams, STREAMS_AT_ONCE) * timesteps
        work = {"step": math.ceil(streams / STREAMS_AT_ONCE) * timesteps, "pair": size, "prepare": size}
        held = {"raw": 2 * raw, "prepare": raw, "batch": size, "policy_pair": size}
        return Load(
            len(snapshots), work | {"policy": 1, "policy_pair": size, "surrogate": size * len(shard.points)}, held
        )

    return cell.work(
        "landscape",
        pairs=len(snapshots) * (sum(budget.update_pairs) + sum(shard.total_episodes for shard in rewards)),
        approximate=True,
        rounds=(
            tuple(map(plane, planes)),
            tuple(
                _episodes(len(snapshots), each.total_episodes, min(landscape.MAX_ENVS, each.total_episodes))
                for each in rewards
            ),
        ),
        # All planes' directions, and the trajectories of two landscapes.
        held_bytes=len(snapshots) * cell.snapshot_bytes + directions + 2 * trajectories,
        scratch_bytes=directions + count * trajectories,
        output_bytes=directions
        + _table(LandscapePoint, count * points)
        + _table(SubsampledPoint, count * points * budgets)
        + _table(Resolution, count * budgets)
        + _table(Alignment, count),
    )


# What a stage does for each task and algorithm, in the order of the pipeline.
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


def _table(row: type, rows: int) -> int:
    """Bytes of a table as CSV, by the types of its columns."""
    kinds = [getattr(each.type, "__name__", str(each.type)) for each in fields(row)]
    return sum(len(each.name) + 1 for each in fields(row)) + rows * sum(CHARACTERS.get(kind, 11) for kind in kinds)
