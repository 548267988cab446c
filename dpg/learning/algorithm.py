'''What an algorithm is: a configuration, a surrogate, a policy update, and state of its own if it has any.

An algorithm is one module with a value `ALGORITHM`:

    """The plain policy gradient: one Adam step up the surrogate for each batch."""

    class VanillaConfig(AlgorithmConfig):  # the block in params.yaml: the fields of AlgorithmConfig, and these
        lr: NonNegative

    def surrogate(population, policy, batch, config):
        mean, log_std = distribution(population, policy, batch.obs)
        return surrogate_objective(log_prob(mean, log_std, batch.action), batch.old_log_prob, batch.advantage)

    def update_policy(population, batch, config, step):
        adam = Adam(population.policy, population.policy_adam, step.lr, config.adam_eps, maximize=True)
        _, gradient = ascent(surrogate, population, adam.vectors, batch.normalized(), config)
        adam.step(gradient)
        return replace(population, policy=adam.vectors.numpy(), policy_adam=adam.state)

    ALGORITHM = Algorithm(
        name="vanilla", label="Policy gradient", config_type=VanillaConfig,
        surrogate=surrogate, update_policy=update_policy,
    )

`algorithms: [ppo, vanilla]` and a block `vanilla:` in `params.yaml` run it through the whole pipeline. The module is

- in the project, as `dpg/algorithms/vanilla.py`: a file named after its algorithm is found there;
- next to `params.yaml`, and named there: `modules: [vanilla]`. It may contain several algorithms and tasks;
- in an installed package, whose `pyproject.toml` names it:

      [project.entry-points."dpg.algorithms"]
      vanilla = "my_package.vanilla:ALGORITHM"

A variant is the original with some parts replaced: `replace(ppo.ALGORITHM, name="my_ppo", surrogate=my_surrogate)`.
What an update does to an agent may not depend on the others of its population: which are updated together depends on
the number of workers. Values of parameters are of the kinds in `dpg.runtime.fields`. A parameter called `lr` is the
policy's learning rate: it is annealed where `anneal` says so, and the regimes vary it. Modules that import `torch` from
`dpg.numerics.pytorch` keep the stages and commands quick that never learn.
'''

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.learning.batch import Batch
from dpg.numerics.pytorch import Tensor, torch
from dpg.runtime import registry
from dpg.runtime.registry import AlgorithmError, AlgorithmInfo, short
from dpg.runtime.seeding import Seed


@dataclass(frozen=True)
class Step:
    """The inputs of one update that are not the population, the batch or the configuration.

    `seeds` are the agents' own for this iteration, `lr` their policy learning rates after annealing (NaN where the
    configuration has none), and `progress` is the fraction of the training that is done, from 0 to below 1.
    """

    seeds: list[Seed]
    lr: Float[np.ndarray, " P"]
    progress: float


# (population, policy, batch, config) -> (P,): what is maximised, at any policy vectors (P, D), on a batch of the
# population's, with its advantages unchanged. It must be differentiable in the policy vectors, and its mean over equal
# parts of a batch must be its value on the whole.
Surrogate = Callable[[Population, Any, Batch, Any], Any]
# (population, batch, config, step) -> the population after one policy update, theta_i to theta_{i+1}: with another
# `policy`, and with other `policy_adam` and `algorithm_state` where it uses them. Advantages are not normalised.
UpdatePolicy = Callable[[Population, Batch, Any, Step], Population]
# (population, config) -> state of the algorithm's own before the first iteration: arrays by name, a row for each agent.
InitialState = Callable[[Population, Any], dict[str, np.ndarray]]


def stateless(population: Population, config: Any) -> dict[str, np.ndarray]:  # noqa: ARG001
    """No state of its own."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Algorithm(AlgorithmInfo):
    """An algorithm as a value: its description, and its parts as functions.

    State of its own, from `initial_state`, is kept in `Population.algorithm_state`. `update_policy` returns it updated.
    Snapshots store it, training continues from it bit for bit, and no measurement changes it.
    """

    surrogate: Surrogate
    update_policy: UpdatePolicy
    initial_state: InitialState = stateless

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in ("surrogate", "update_policy", "initial_state"):
            if not callable(getattr(self, part)):
                raise TypeError(f"{self.name}: {part} must be a function, not {short(getattr(self, part))}")


def named(name: str, modules: Sequence[str]) -> Algorithm:
    """The algorithm called `name`, where `modules` are those that `modules` names.

    Raises:
        AlgorithmError: it cannot be found or used.
    """
    found = registry.find(name, modules)
    if not isinstance(found, Algorithm):
        kind = f"{Algorithm.__module__}.{Algorithm.__qualname__}"
        raise AlgorithmError(f"{name} must be a {kind} in order to train, not a {type(found).__qualname__}")
    return found


def of(recipe: Recipe) -> Algorithm:
    """The algorithm that a recipe names.

    Raises:
        AlgorithmError: it cannot be found or used, or the configuration belongs to another one.
    """
    found = named(recipe.algorithm, recipe.modules)
    found.check(recipe.config)
    return found


def ascent(
    surrogate: Surrogate, population: Population, policy: Float[Tensor, "P D"], batch: Batch, config: Any
) -> tuple[Float[Tensor, " P"], Float[Tensor, "P D"]]:
    """A surrogate's value and gradient in the policy vectors, by automatic differentiation.

    Raises:
        AlgorithmError: its value is not one differentiable number for each policy vector.
    """
    with torch.enable_grad():
        theta = policy.detach().requires_grad_()
        value = surrogate(population, theta, batch, config)
        check_value(value, theta)
        if not value.requires_grad:
            raise AlgorithmError(
                "surrogate must be differentiable in the policy vectors, and its value does not depend on them"
            )
        (gradient,) = torch.autograd.grad(value.sum(), theta)
    return value.detach(), gradient


def check_value(value: object, policy: Float[Tensor, "P D"], whose: str = "") -> None:
    """Refuse what is not a surrogate's value: one number for each policy vector.

    Raises:
        AlgorithmError: the message says what it is.
    """
    shape = (len(policy),)
    if not (isinstance(value, torch.Tensor) and value.is_floating_point() and tuple(value.shape) == shape):
        found = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else short(value)
        owner = f"{whose}: " if whose else ""
        raise AlgorithmError(
            f"{owner}surrogate must return a tensor of floats of shape {shape}, one a policy, not {found}"
        )
