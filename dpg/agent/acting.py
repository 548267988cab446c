"""Agents acting: frozen policies of a population, in NumPy, for a vector environment.

Batches of a few observations cost PyTorch more in dispatch than in arithmetic, so agents act in NumPy, through the
network function that they learn with.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float

from dpg.agent import networks, normalization
from dpg.agent.networks import Activation
from dpg.agent.population import Population


@dataclass(frozen=True)
class Actor:
    """P frozen policies with their observation normalisers. Environment `k` of a vector belongs to member `k // E`.

    `arrays` have one row for each policy: the mean network's, `action_std`, and the normaliser's `obs_mean`, `obs_std`.
    """

    arrays: dict[str, np.ndarray]
    obs_clip: float | None
    activation: Activation

    @classmethod
    def of(cls, population: Population) -> Self:
        """A copy of a population's policies."""
        arrays = population.architecture.policy_layout.unflatten(population.policy)
        moments = population.obs_moments
        derived = {"action_std": np.exp(arrays.pop("log_std")), "obs_mean": moments.mean, "obs_std": moments.std}
        # Copies: matmul is faster on contiguous weights, and `set_policy` must not change the population.
        copies = {name: np.array(array) for name, array in (arrays | derived).items()}
        return cls(copies, population.architecture.obs_clip, population.architecture.activation)

    @property
    def size(self) -> int:
        """P, the number of policies."""
        return len(self.arrays["obs_mean"])

    def set_policy(self, index: int, other: "Actor", member: int) -> None:
        """Replace policy `index`, in place, by policy `member` of another actor."""
        for name, array in self.arrays.items():
            array[index] = other.arrays[name][member]

    def act(self, obs: Float[np.ndarray, "PE O"], noise: Float[np.ndarray, "PE A"] | None) -> Float[np.ndarray, "PE A"]:
        """Actions in float32 for raw observations: sampled from standard normal `noise`, or the means without it."""
        arrays = self.arrays
        grouped = obs.reshape(self.size, -1, obs.shape[-1])
        normalized = normalization.standardize(grouped, arrays["obs_mean"], arrays["obs_std"], self.obs_clip)
        action = networks.mlp(arrays, normalized, self.activation)
        if noise is not None:
            action += arrays["action_std"][:, None] * noise.reshape(action.shape)
        return action.reshape(len(obs), -1)
