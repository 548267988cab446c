"""Weighted sums of the score function, grad_theta log pi(a|s), over many pairs at once.

Every estimate of a policy gradient is such a sum, and estimates of many sample sizes, baselines and normalisations
differ in the weights alone. The gradient of log pi with respect to a layer's weights is an outer product, of the
layer's input and of the back-propagated error of its output (Goodfellow, arXiv:1510.01799): one forward and one
backward pass give the two factors for every pair, and each further set of weights costs one matrix product a layer.
In float64.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dpg.agent import networks
from dpg.agent.population import Architecture
from dpg.numerics.vectors import Layout


@dataclass(frozen=True)
class Score:
    """The factors of the scores of N streams of T pairs under one policy."""

    layout: Layout
    inputs: tuple[Float[np.ndarray, "N T _"], ...]
    errors: tuple[Float[np.ndarray, "N T _"], ...]
    log_std: Float[np.ndarray, "N T A"]

    @classmethod
    def of(
        cls,
        architecture: Architecture,
        policy: Float[np.ndarray, " D"],
        obs: Float[np.ndarray, "N T O"],
        action: Float[np.ndarray, "N T A"],
    ) -> "Score":
        """The factors at normalised observations."""
        arrays = architecture.policy_layout.unflatten(policy.astype(np.float64))
        inputs, mean = networks.layer_inputs(arrays, obs.astype(np.float64))
        inverse_std = np.exp(-arrays["log_std"])
        scaled = (action - mean) * inverse_std
        # d log pi / d mean = (a - mean) / std^2 and d log pi / d log_std = ((a - mean) / std)^2 - 1
        errors = [scaled * inverse_std]
        for index in range(len(inputs) - 1, 0, -1):
            hidden = inputs[index]
            errors.insert(0, (errors[0] @ arrays[f"w{index}"].T) * (1 - hidden * hidden))
        return cls(architecture.policy_layout, tuple(inputs), tuple(errors), scaled * scaled - 1)

    def sum(self, weights: Float[np.ndarray, "N n"]) -> Float[np.ndarray, "N D"]:
        """sum_t weights_t grad log pi(a_t|s_t) of each stream, over its first n pairs."""
        pairs = weights.shape[1]
        column = weights[:, :, None]
        arrays: dict[str, np.ndarray] = {}
        for index, (inputs, errors) in enumerate(zip(self.inputs, self.errors, strict=True)):
            weighted = errors[:, :pairs] * column
            arrays[f"w{index}"] = np.swapaxes(inputs[:, :pairs], 1, 2) @ weighted
            arrays[f"b{index}"] = weighted.sum(axis=1)
        arrays["log_std"] = (self.log_std[:, :pairs] * column).sum(axis=1)
        return self.layout.flatten(arrays)
