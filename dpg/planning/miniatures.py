"""Miniatures of the shards of every kind: the probes' own functions, at a size that takes a fraction of a second.

A miniature of t timesteps has the proportions of the true one of T: minibatches are fewer and as large, estimates'
sizes are cut alike, and the horizon beyond a stream's end is as long a part of it.
"""

import math
from dataclasses import replace

import numpy as np

from dpg.agent.population import Architecture, initialize
from dpg.agent.snapshot import Recipe, Snapshot
from dpg.envs.make import make_vector
from dpg.planning.measurement import SAMPLE_SEED, Amounts, Kind, Request, Run, Shape
from dpg.runtime.schema import PPO
from dpg.runtime.seeding import Seed

PLANE_ROWS = 16  # of two points: as many points as the surrogate takes at once
FEW_EPOCHS = 4
UNTRAINED_LENGTH = 25  # pairs of an untrained walker's episode, roughly


def prepare(kind: Kind, request: Request) -> Run:
    """What runs shards of a kind; only now is imported what they need."""
    prepared = {
        "episodes": _episodes,
        "train": _training,
        "gradient": _gradient,
        "update": _update,
        "value": _value,
        "fit": _fit,
        "states": _states,
        "baselines": _baselines,
        "plane": _plane,
    }
    return prepared[kind](request)


def shrink(recipe: Recipe, timesteps: int, *, finer: bool = False) -> Recipe:
    """The recipe for fewer pairs an iteration: as many fewer minibatches, or (`finer`) as many, of fewer pairs."""
    share = timesteps / recipe.common.timesteps
    config = recipe.config
    changes: dict[str, int] = {}
    for name in ("minibatches", "value_minibatches"):
        if (count := getattr(config, name, None)) is not None:
            changes[name] = min(timesteps, count if finer else max(1, round(count * share)))
    common = recipe.common.model_copy(
        update={"timesteps": timesteps, "gamma": recipe.common.gamma ** (1 / share), "divergence_kl": 1e9}
    )
    return recipe.model_copy(update={"common": common, "config": config.model_copy(update=changes)})


def updates(recipe: Recipe) -> int:
    """Gradient steps of an iteration, policy and value net together."""
    config = recipe.config
    fitted = 0 if recipe.common.baseline == "none" else config.value_epochs * config.value_minibatches
    return fitted + policy_updates(recipe)


def policy_updates(recipe: Recipe) -> int:
    """Gradient steps of the policy in an iteration."""
    config = recipe.config
    return config.epochs * config.minibatches if isinstance(config, PPO) else config.cg_steps


def _snapshot(recipe: Recipe) -> Snapshot:
    envs = make_vector(recipe.env_id, 1, recipe.common.env_modules)
    obs, action = envs.single_observation_space.shape, envs.single_action_space.shape
    envs.close()
    assert obs is not None and action is not None
    common = recipe.common
    architecture = Architecture(obs[0], action[0], common.policy_hidden, common.value_hidden, recipe.config.obs_clip)
    return Snapshot(0, recipe, initialize(architecture, recipe.config.init, [Seed(SAMPLE_SEED) / "miniature"]))


def _episodes(request: Request) -> Run:
    """Work: steps of a vector of environments, and pairs."""
    from dpg.probes import evaluation

    snapshot = _snapshot(request.recipe)

    def run(shape: Shape) -> tuple[Amounts, int]:
        episodes = max(1, shape.timesteps // UNTRAINED_LENGTH) * shape.width
        result = evaluation.measure(evaluation.Shard(snapshot, "sampled", episodes, SAMPLE_SEED))
        pairs = int(result.length.sum())
        return (pairs / shape.width, pairs), 0

    return run


def _training(request: Request) -> Run:
    """Work: steps of a vector of environments, pairs, and gradient steps."""
    from dpg.learning import campaign

    def run(shape: Shape) -> tuple[Amounts, int]:
        recipe = shrink(request.recipe, shape.timesteps, finer=shape.finer)
        group = campaign.Group(recipe, tuple(range(shape.width)))
        # One shard from the beginning: a stream to warm up with, and an iteration.
        campaign.run_shard(campaign.Shard(group, None, 1))
        return (2 * shape.timesteps, 2 * shape.width * shape.timesteps, updates(recipe)), shape.width * shape.timesteps

    return run


def _gradient(request: Request) -> Run:
    """Work: steps of a vector of environments, and pairs."""
    from dpg.probes import gradient

    snapshot = _snapshot(request.recipe)

    def run(shape: Shape) -> tuple[Amounts, int]:
        recipe = shrink(request.recipe, shape.timesteps)
        share = shape.timesteps / request.recipe.common.timesteps
        sizes = tuple(max(1, round(size * share)) for size in request.sizes)
        part = gradient.Part("estimate", 0, 0, shape.width, sizes)
        shard = gradient.Shard(replace(snapshot, recipe=recipe), (part,), SAMPLE_SEED)
        gradient.measure(shard)
        return (shape.timesteps, shard.num_pairs), shard.num_pairs

    return run


def _update(request: Request) -> Run:
    """Work: steps of a vector of environments, pairs, and gradient steps of the policy."""
    from dpg.probes import update_step

    snapshot = _snapshot(request.recipe)

    def run(shape: Shape) -> tuple[Amounts, int]:
        recipe = shrink(request.recipe, shape.timesteps, finer=shape.finer)
        # Not the first updates, which collect states for later as well.
        shard = update_step.Shard(replace(snapshot, recipe=recipe), shape.width, shape.width, SAMPLE_SEED)
        update_step.measure(shard)
        return (shape.timesteps, shard.num_pairs, policy_updates(recipe)), shard.num_pairs

    return run


def _value(request: Request) -> Run:
    """Work: steps of a vector of environments, and pairs."""
    from dpg.probes import value
    from dpg.streams.advantages import horizon

    snapshot = _snapshot(request.recipe)

    def run(shape: Shape) -> tuple[Amounts, int]:
        recipe = shrink(request.recipe, shape.timesteps)
        shard = value.Shard(replace(snapshot, recipe=recipe), shape.width * shape.timesteps, SAMPLE_SEED)
        value.measure(shard)
        length = shape.timesteps + horizon(recipe.common.gamma)
        return (2 * length, shard.num_pairs), shard.num_pairs - length

    return run


def fit_work(recipe: Recipe, fitted: int, heldout: int, epochs: int) -> tuple[Amounts, int]:
    """Work and pairs held of a fit: steps of a vector of environments, pairs, and pairs times the most epochs.

    Streams are held raw, some at a time, and normalised, all of them: that takes a quarter.
    """
    from dpg.probes.collection import STREAMS_AT_ONCE
    from dpg.streams.advantages import horizon

    length = recipe.common.timesteps + horizon(recipe.common.gamma)
    steps = sum(math.ceil(part / STREAMS_AT_ONCE) for part in (fitted, heldout)) * length
    kept = (fitted + heldout) * recipe.common.timesteps
    return (steps, (fitted + heldout) * length, kept * epochs), min(fitted, STREAMS_AT_ONCE) * length + kept // 4


def _fit(request: Request) -> Run:
    """Work: as `fit_work` counts it; all epochs are run."""
    from dpg.probes import true_value

    snapshot, fit = _snapshot(request.recipe), request.fit
    assert fit is not None

    def run(shape: Shape) -> tuple[Amounts, int]:
        recipe = shrink(request.recipe, shape.timesteps)
        all_epochs = fit.model_copy(update={"max_epochs": FEW_EPOCHS, "patience": FEW_EPOCHS})
        pairs = max(2, shape.width) * shape.timesteps
        shard = true_value.Shard(replace(snapshot, recipe=recipe), pairs, all_epochs, SAMPLE_SEED)
        true_value.measure(shard)
        return fit_work(recipe, shard.num_streams - shard.num_heldout, shard.num_heldout, FEW_EPOCHS)

    return run


def _states(request: Request) -> Run:
    """Work: steps of a vector of environments, and pairs."""
    from dpg.probes import states

    snapshot = _snapshot(request.recipe)

    def run(shape: Shape) -> tuple[Amounts, int]:
        recipe = shrink(request.recipe, shape.timesteps)
        shard = states.Shard(replace(snapshot, recipe=recipe), shape.width, 4, SAMPLE_SEED)
        rolled = int(states.measure(shard).length.sum())
        return states_work(shape.timesteps, shape.width, shard.num_rollouts, rolled)

    return run


def states_work(timesteps: int, states: int, rollouts: int, rolled: int) -> tuple[Amounts, int]:
    """Work and pairs held of a snapshot's states, whose rollouts have `rolled` pairs together."""
    from dpg.probes.collection import STREAMS_AT_ONCE
    from dpg.probes.states import MAX_ENVS

    steps = math.ceil(states / STREAMS_AT_ONCE) * timesteps + rolled / min(MAX_ENVS, rollouts)
    return (steps, states * timesteps + rolled), min(states, STREAMS_AT_ONCE) * timesteps


def _baselines(request: Request) -> Run:
    """Work: steps of a vector of environments, and pairs."""
    from dpg.probes import baselines, gradient

    snapshot = _snapshot(request.recipe)

    def run(shape: Shape) -> tuple[Amounts, int]:
        recipe = shrink(request.recipe, shape.timesteps)
        share = shape.timesteps / request.recipe.common.timesteps
        sizes = tuple(max(1, round(size * share)) for size in request.baseline_sizes)
        part = gradient.Part("baselines", 0, 0, shape.width, sizes)
        streams = gradient.Shard(replace(snapshot, recipe=recipe), (part,), SAMPLE_SEED)
        baselines.measure(baselines.Shard(streams, snapshot.state.value[0]))
        return (shape.timesteps, streams.num_pairs), streams.num_pairs

    return run


def plane_work(pairs: int, points: int) -> tuple[Amounts, int]:
    """Work and pairs of a plane: pairs, and pairs times points; the update's batch is held."""
    return (pairs, pairs * points), pairs


def _plane(request: Request) -> Run:
    """Work: pairs, and pairs times points of the plane."""
    from dpg.probes import landscape

    snapshot = _snapshot(request.recipe)

    def run(shape: Shape) -> tuple[Amounts, int]:
        recipe = shrink(request.recipe, shape.timesteps)
        points = np.zeros((2 * shape.width, 2))
        landscape.measure_plane(
            landscape.PlaneShard(replace(snapshot, recipe=recipe), points, shape.timesteps, 1.0, SAMPLE_SEED)
        )
        return plane_work(shape.timesteps, len(points))

    return run
