"""Agents acting: frozen policies of a population, in NumPy, for a vector environment.

Batches of a few observations cost PyTorch more in dispatch than in arithmetic, so agents act in NumPy, through the
network function that they learn with.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Float

from dpg.agent import gaussian, networks, normalization
from dpg.agent.networks import Activation
from dpg.agent.normalization import Moments
from dpg.agent.population import Population


@dataclass(frozen=True)
class Actor:
    """P frozen policies with their observation normalisers. Environment `k` of a vector belongs to member `k // E`."""

    arrays: dict[str, np.ndarray]
    obs_moments: Moments
    obs_clip: float | None
    activation: Activation

    @classmethod
    def of(cls, population: Population) -> Self:
        """A copy of a population's policies."""
        arrays = population.architecture.policy_layout.unflatten(population.policy)
        # Copies: matmul is faster on contiguous weights, and `set_policy` must not change the population.
        copies = {name: np.array(array) for name, array in arrays.items()}
        moments = population.obs_moments
        own = replace(moments, count=moments.count.copy(), mean=moments.mean.copy(), variance=moments.variance.copy())
        return cls(copies, own, population.architecture.obs_clip, population.architecture.activation)

    @property
    def size(self) -> int:
        """P, the number of policies."""
        return len(self.obs_moments.count)

    def set_policy(self, index: int, other: "Actor", member: int) -> None:
        """Replace policy `index`, in place, by policy `member` of another actor."""
        for name, array in self.arrays.items():
            array[index] = other.arrays[name][member]
        for name in ("count", "mean", "variance"):
            getattr(self.obs_moments, name)[index] = getattr(other.obs_moments, name)[member]

    def act(self, obs: Float[np.ndarray, "PE O"], noise: Float[np.ndarray, "PE A"] | None) -> Float[np.ndarray, "PE A"]:
        """Actions in float32 for raw observations: sampled from standard normal `noise`, or the means without it."""
        grouped = obs.reshape(self.size, -1, obs.shape[-1])
        normalized = normalization.normalize(self.obs_moments, grouped, self.obs_clip)
        mean = networks.mlp(self.arrays, normalized, self.activation)
        if noise is not None:
            mean = gaussian.sample(mean, self.arrays["log_std"], noise.reshape(mean.shape))
        return mean.reshape(len(obs), -1)
