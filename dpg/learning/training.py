"""Training as a generator: one record per iteration, for tables, tracking and progress."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from gymnasium.vector import VectorEnv

from dpg.agent import gaussian, normalization
from dpg.agent.acting import Actor
from dpg.agent.population import Architecture, Population, initialize
from dpg.agent.recipe import Recipe
from dpg.learning import algorithm, contract
from dpg.learning.batch import Batch, distribution, prepare, values
from dpg.learning.update import objective, update_policy
from dpg.learning.value_fit import update_value
from dpg.numerics.pytorch import torch
from dpg.numerics.statistics import explained_variance
from dpg.runtime.errors import UserError
from dpg.runtime.seeding import Seed
from dpg.streams.advantages import return_so_far
from dpg.streams.rollout import Streams, collect, episode_returns
from dpg.tables.training import IterationRecord


class DivergenceError(UserError):
    """An agent's training has diverged; the message names agent and iteration."""


def begin(recipe: Recipe, envs: VectorEnv, agents: list[int]) -> Population:
    """Agents at iteration 0: initial networks, and normalisers that were updated by one warm-up stream of T pairs."""
    obs_space, action_space = envs.single_observation_space, envs.single_action_space
    assert obs_space.shape is not None and action_space.shape is not None
    architecture = Architecture(
        obs_dim=obs_space.shape[0],
        action_dim=action_space.shape[0],
        policy_hidden=recipe.common.policy_hidden,
        value_hidden=recipe.common.value_hidden,
        obs_clip=recipe.config.obs_clip,
    )
    seeds = [recipe.agent_seed(agent) for agent in agents]
    population = initialize(architecture, recipe.config.init, [seed / "init" for seed in seeds])
    warm_up = _collect(population, envs, recipe, [seed / "warm-up" for seed in seeds])
    state = contract.initial_state(algorithm.of(recipe), population, recipe.config)
    return update_normalizers(replace(population, algorithm_state=state), warm_up, recipe)


def _collect(population: Population, envs: VectorEnv, recipe: Recipe, seeds: list[Seed]) -> Streams:
    """One stream of T pairs for each agent."""
    common = recipe.common
    return collect(Actor.of(population), envs, seeds, common.timesteps, clip_actions=common.clip_actions)


def update_normalizers(population: Population, streams: Streams, recipe: Recipe) -> Population:
    """The population with the streams added to its normalisers' statistics."""
    members = population.size
    obs = streams.obs.reshape(members, -1, streams.obs.shape[-1])
    so_far = return_so_far(streams.reward, streams.done, recipe.common.gamma)
    return replace(
        population,
        obs_moments=normalization.update(population.obs_moments, obs),
        return_moments=normalization.update(population.return_moments, so_far.reshape(members, -1, 1)),
    )


def train(
    population: Population,
    envs: VectorEnv,
    recipe: Recipe,
    agents: list[int],
    until: int,
    rates: Sequence[float] | None = None,
) -> Iterator[tuple[Population, list[IterationRecord]]]:
    """Train up to iteration `until`; yield the population after each iteration, with its agents' records.

    `rates` are the agents' policy learning rates, where they are not the recipe's.

    Raises:
        DivergenceError: an agent's parameters are not finite after an update, or moved too far.
    """
    while population.iteration < until:
        seeds = [recipe.iteration_seed(agent, population.iteration) for agent in agents]
        streams = _collect(population, envs, recipe, [seed / "batch" for seed in seeds])
        batch = prepare(population, streams, recipe.common, recipe.config)
        updated = update_value(population, batch, recipe, seeds)
        updated = update_policy(updated, batch, recipe, seeds, rates)
        records = _records(population, updated, streams, batch, recipe, agents)
        _check(updated, records, recipe)
        population = replace(update_normalizers(updated, streams, recipe), iteration=population.iteration + 1)
        yield population, records


def _records(
    before: Population, after: Population, streams: Streams, batch: Batch, recipe: Recipe, agents: list[int]
) -> list[IterationRecord]:
    returns, lengths = episode_returns(streams)
    policy = torch.from_numpy(after.policy)
    mean, log_std = distribution(after, policy, batch.obs)
    columns = {
        "objective": objective(after, policy, batch, recipe),
        "kl": gaussian.kl(batch.old_mean, batch.old_log_std, mean, log_std).mean(-1),
        "entropy": gaussian.entropy(log_std),
    }
    target = batch.value_target.numpy().astype(np.float64)
    predicted = values(after, batch.obs.numpy())
    columns |= {
        "value_loss": ((predicted - target) ** 2).mean(axis=-1),
        "explained_variance": explained_variance(predicted, target),
    }
    return [
        IterationRecord(
            agent=agent,
            iteration=before.iteration,
            pairs=(before.iteration + 1) * recipe.common.timesteps,
            mean_return=float(np.mean(returns[row])) if len(returns[row]) else float("nan"),
            mean_length=float(np.mean(lengths[row])) if len(lengths[row]) else float("nan"),
            num_episodes=len(returns[row]),
            **{name: float(column[row]) for name, column in columns.items()},
        )
        for row, agent in enumerate(agents)
    ]


def _check(population: Population, records: list[IterationRecord], recipe: Recipe) -> None:
    for row, record in enumerate(records):
        where = f"agent {record.agent}, iteration {record.iteration}"
        slower, smaller = "a lower learning rate", "reward_scaling: true, or smaller rewards"
        for what, array, remedy in (
            ("policy's parameters", population.policy, slower),
            ("value net's parameters", population.value, slower),
            ("policy's Adam moments", population.policy_adam.first, slower),
            ("policy's Adam moments", population.policy_adam.second, slower),
            # A second moment that has overflowed leaves the net finite, and never moves it again.
            ("value net's Adam moments", population.value_adam.first, smaller),
            ("value net's Adam moments", population.value_adam.second, smaller),
        ):
            if not np.isfinite(array[row]).all():
                raise DivergenceError(f"{where}: the {what} are not finite; try {remedy}")
        limit = recipe.common.divergence_kl
        if not record.kl <= limit:
            raise DivergenceError(
                f"{where}: the update moved the policy by a mean KL of {record.kl:.3g} nats, more than "
                f"common.divergence_kl ({limit:g}); try a lower learning rate"
            )
