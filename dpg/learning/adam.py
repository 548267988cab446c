"""Adam (arXiv:1412.6980) on explicit state, for a population of vectors with a learning rate each.

`torch.optim.Adam` keeps its state inside, with one learning rate for each parameter group. Snapshots need the state as
a value, and members of a population may have different rates. The arithmetic is PyTorch's fused kernel.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from dpg.agent.population import AdamState, Population
from dpg.agent.recipe import Recipe
from dpg.numerics.pytorch import torch

BETA1, BETA2 = 0.9, 0.999


def learning_rate(recipe: Recipe, base: float | Sequence[float], population: Population) -> Float[np.ndarray, " P"]:
    """The rates of this iteration: `base`, or falling linearly to zero over the recipe's iterations."""
    left = 1 - population.iteration / recipe.iterations if recipe.config.anneal else 1.0
    return np.broadcast_to(np.asarray(base, np.float64) * left, population.size)


class Adam:
    """An Adam optimiser of (P, D) vectors: `vectors`, its own copy, change in place with every step."""

    def __init__(
        self,
        vectors: Float[np.ndarray, "P D"],
        state: AdamState,
        lr: Float[np.ndarray, " P"],
        eps: float,
        *,
        maximize: bool = False,
    ) -> None:
        self.vectors = torch.from_numpy(vectors.copy())
        self._first = torch.from_numpy(state.first.copy())
        self._second = torch.from_numpy(state.second.copy())
        self._steps = torch.tensor(float(state.steps))
        # The kernel takes one rate: neighbours of one rate share a call.
        bounds = [0, *(np.flatnonzero(np.diff(lr)) + 1).tolist(), len(lr)]
        self._runs = [(slice(start, stop), float(lr[start])) for start, stop in pairwise(bounds)]
        self._options = {
            "eps": eps,
            "maximize": maximize,
            "beta1": BETA1,
            "beta2": BETA2,
            "weight_decay": 0.0,
            "amsgrad": False,
        }

    def step(self, gradient: Float[Any, "P D"]) -> None:
        """Move `vectors` one step against `gradient`, or along it to `maximize`."""
        self._steps += 1
        gradient = torch.as_tensor(gradient)
        for rows, lr in self._runs:
            # One tensor for each member: the kernel rounds the end of a tensor differently from the rest.
            tensors = [list(each[rows]) for each in (self.vectors, gradient, self._first, self._second)]
            steps = [self._steps] * len(tensors[0])
            # What `torch.optim.adam.adam` calls when it is fused, after checks that take as long.
            torch._fused_adam_(*tensors, [], steps, lr=lr, **self._options)  # pyright: ignore

    @property
    def state(self) -> AdamState:
        """The moments and the number of steps, to go on from."""
        return AdamState(self._first.numpy().copy(), self._second.numpy().copy(), int(self._steps))
