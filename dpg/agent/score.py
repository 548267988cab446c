"""Weighted sums of the score function, grad_theta log pi(a|s), over many pairs at once.

Every policy gradient is such a sum. Training's and a measurement's, estimates of many sizes, baselines and
normalisations: they differ in the weights alone. The gradient of log pi with respect to a layer's weights is an outer
product, of the layer's input and of the back-propagated error of its output (Goodfellow, arXiv:1510.01799): one forward
and one backward pass give the two factors for every pair, and each set of weights costs one matrix product a layer.
NumPy and PyTorch alike; on training's small batches a fifth cheaper than automatic differentiation.
"""

from dataclasses import dataclass
from typing import Any

from dpg.agent import gaussian, networks
from dpg.agent.population import Architecture
from dpg.numerics.arrays import namespace
from dpg.numerics.vectors import Layout


@dataclass(frozen=True)
class Score:
    """The factors of the scores of B pairs, (..., B, features): leading axes are streams or a population.

    `log_prob` (..., B) is computed along with them, in the precision of the inputs.
    """

    layout: Layout
    inputs: list[Any]
    errors: list[Any]
    log_std: Any
    log_prob: Any

    @classmethod
    def of(cls, architecture: Architecture, policy: Any, obs: Any, action: Any) -> "Score":
        """The scores under policies (..., D) at normalised observations (..., B, O), for actions (..., B, A).

        One policy (D,) may serve several streams (N, B, O).
        """
        arrays = architecture.policy_layout.unflatten(policy)
        inputs, mean = networks.layer_inputs(arrays, obs, architecture.activation)
        log_std = arrays["log_std"]
        inverse_std = namespace(log_std).exp(-log_std)[..., None, :]
        scaled = (action - mean) * inverse_std
        squared = scaled * scaled
        return cls(
            layout=architecture.policy_layout,
            inputs=inputs,
            # d log pi / d mean = (a - mean) / std^2 and d log pi / d log_std = ((a - mean) / std)^2 - 1
            errors=networks.layer_errors(arrays, inputs, scaled * inverse_std, architecture.activation),
            log_std=squared - 1,
            log_prob=gaussian.log_prob_of_squares(squared, log_std),
        )

    def select(self, rows: slice) -> "Score":
        """The scores of some rows of the first leading axis."""
        return Score(
            self.layout,
            [x[rows] for x in self.inputs],
            [error[rows] for error in self.errors],
            self.log_std[rows],
            self.log_prob[rows],
        )

    def sum(self, weights: Any) -> Any:
        """sum_t weights_t grad log pi(a_t|s_t) over the first n pairs, (..., D), for weights (..., n)."""
        pairs = weights.shape[-1]
        column = weights[..., None]
        inputs = [x[..., :pairs, :] for x in self.inputs]
        errors = [error[..., :pairs, :] * column for error in self.errors]
        arrays = networks.gradient(inputs, errors)
        arrays["log_std"] = (self.log_std[..., :pairs, :] * column).sum(-2)
        return self.layout.flatten(arrays)
