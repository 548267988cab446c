"""Batches of any size from a snapshot, one for each of several updates, and the surrogate gains on them.

Memory beyond the batches themselves does not grow with their size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.learning.batch import Batch, prepare
from dpg.learning.update import objective_over
from dpg.probes.collection import STREAMS_AT_ONCE, fresh_streams
from dpg.runtime.seeding import Seed

PAIRS_AT_ONCE = 256  # of a batch, when the surrogate of some policies is evaluated


def fresh_batch(snapshot: Snapshot, seeds: Sequence[Seed], pairs: int) -> tuple[Batch, Int[np.ndarray, " U"]]:
    """A batch of `pairs` fresh pairs for each of U copies of a snapshot, and the complete episodes in it.

    Copy u has the streams below `seeds[u]`, T pairs each. Raw streams are not kept.
    """
    recipe = snapshot.recipe
    population = snapshot.state.copies(len(seeds))
    num_streams = pairs // recipe.common.timesteps
    at_once = max(1, STREAMS_AT_ONCE // len(seeds))
    batches: list[Batch] = []
    trajectories = np.zeros(len(seeds), np.int64)
    for first in range(0, num_streams, at_once):
        numbers = range(first, min(first + at_once, num_streams))
        streams = fresh_streams(snapshot, [seed / f"stream={number}" for seed in seeds for number in numbers])
        batches.append(prepare(population, streams, recipe.common, recipe.config))
        trajectories += streams.num_episodes.reshape(len(seeds), -1).sum(axis=1)
    return Batch.concatenate(batches), trajectories


@torch.no_grad()
def surrogate_gain(
    population: Population, policy: Float[np.ndarray, "U D"], batch: Batch, recipe: Recipe
) -> Float[np.ndarray, " U"]:
    """What the algorithm maximises, at each member's new policy less at its own, on its own batch of its streams."""
    new, old = (
        objective_over(population, torch.from_numpy(theta), batch, recipe, PAIRS_AT_ONCE)
        for theta in (policy, population.policy)
    )
    return (new - old).numpy()
