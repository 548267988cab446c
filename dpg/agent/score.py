"""Weighted sums of the score function, grad_theta log pi(a|s), over many pairs at once.

Every policy gradient is such a sum. Training's and a measurement's, estimates of many sizes, baselines and
normalisations: they differ in the weights alone. The gradient of log pi with respect to a layer's weights is an outer
product, of the layer's input and of the back-propagated error of its output (Goodfellow, arXiv:1510.01799).

`Likelihood` is the forward pass, after which each set of weights costs a backward pass: training has one set. `Score`
includes the backward pass, after which each set costs one matrix product per layer: measurements have many. NumPy and
PyTorch alike; on training's small batches a third cheaper than automatic differentiation.
"""

from dataclasses import dataclass
from typing import Any

from dpg.agent import gaussian, networks
from dpg.agent.networks import Arrays
from dpg.agent.population import Architecture
from dpg.numerics.arrays import namespace
from dpg.numerics.vectors import Layout


@dataclass(frozen=True)
class Likelihood:
    """log pi(a|s) at B pairs, (..., B), and what its gradient is made of: leading axes are streams or a population.

    `mean_slope` and `log_std_slope` (..., B, A) are its derivatives in the head's mean and log standard deviation.
    """

    architecture: Architecture
    arrays: Arrays
    inputs: list[Any]
    mean_slope: Any
    log_std_slope: Any
    log_prob: Any

    @classmethod
    def of(cls, architecture: Architecture, arrays: Arrays, obs: Any, action: Any) -> "Likelihood":
        """Of actions (..., B, A) at normalised observations (..., B, O), under the policies of these named arrays."""
        inputs, mean = networks.layer_inputs(arrays, obs, architecture.activation)
        log_std = arrays["log_std"]
        inverse_std = namespace(log_std).exp(-log_std)[..., None, :]
        scaled = (action - mean) * inverse_std
        squared = scaled * scaled
        # d log pi / d mean = (a - mean) / std^2 and d log pi / d log_std = ((a - mean) / std)^2 - 1
        log_prob = gaussian.log_prob_of_squares(squared, log_std)
        return cls(architecture, arrays, inputs, scaled * inverse_std, squared - 1, log_prob)

    def gradient(self, weights: Any) -> Any:
        """sum_t weights_t grad log pi(a_t|s_t), (..., D), for one set of weights (..., B)."""
        column = weights[..., None]
        errors = self._errors(self.mean_slope * column)
        return _sum(self.architecture.policy_layout, self.inputs, errors, self.log_std_slope * column)

    def score(self) -> "Score":
        """The factors of the gradient, pair by pair."""
        layout, errors = self.architecture.policy_layout, self._errors(self.mean_slope)
        return Score(layout, self.inputs, errors, self.log_std_slope, self.log_prob)

    def _errors(self, error: Any) -> list[Any]:
        return networks.layer_errors(self.arrays, self.inputs, error, self.architecture.activation)


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
        return Likelihood.of(architecture, architecture.policy_layout.unflatten(policy), obs, action).score()

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
        return _sum(self.layout, inputs, errors, self.log_std[..., :pairs, :] * column)


def _sum(layout: Layout, inputs: list[Any], errors: list[Any], log_std: Any) -> Any:
    """The vector (..., D) of the weighted errors of every layer and of the log standard deviations."""
    return layout.flatten(networks.gradient(inputs, errors) | {"log_std": log_std.sum(-2)})
