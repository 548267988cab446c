"""Adam (arXiv:1412.6980) on explicit state, for a population of vectors with a learning rate each.

`torch.optim.Adam` holds its state inside and one learning rate a parameter group; a population needs its state to be a
value, for snapshots, and members with different rates side by side. The arithmetic is PyTorch's.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dpg.agent.population import AdamState, Population
from dpg.agent.recipe import Recipe
from dpg.numerics.pytorch import Tensor, torch

BETA1, BETA2 = 0.9, 0.999


def learning_rate(recipe: Recipe, base: float | Sequence[float], population: Population) -> Float[np.ndarray, " P"]:
    """The rates of this iteration: `base`, or falling linearly to zero over the recipe's iterations."""
    left = 1 - population.iteration / recipe.iterations if recipe.config.anneal else 1.0
    return np.broadcast_to(np.asarray(base, np.float64) * left, population.size)


class Adam:
    """An Adam optimiser at work on (P, D) vectors; `state` is its state as a value."""

    def __init__(self, state: AdamState, lr: Float[np.ndarray, " P"], eps: float) -> None:
        self._first = torch.from_numpy(state.first.copy())
        self._second = torch.from_numpy(state.second.copy())
        self._steps = state.steps
        self._lr = torch.from_numpy(lr.astype(np.float32))[:, None]
        self._eps = eps

    def descend(self, vectors: Float[Tensor, "P D"], gradient: Float[Tensor, "P D"]) -> Float[Tensor, "P D"]:
        """The vectors after one step against `gradient`."""
        self._steps += 1
        self._first.lerp_(gradient, 1 - BETA1)
        self._second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        root = (1 - BETA2**self._steps) ** 0.5
        # m / (1 - beta1^t) / (sqrt(v) / root + eps), with both bias corrections taken out of the long vectors
        step = self._first / self._second.sqrt().add_(self._eps * root)
        return vectors - step.mul_(self._lr * (root / (1 - BETA1**self._steps)))

    @property
    def state(self) -> AdamState:
        """The moments and the number of steps, to go on from."""
        return AdamState(self._first.numpy().copy(), self._second.numpy().copy(), self._steps)
