"""A population of agents: the state of P agents that differ in seed, on a leading axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
from jaxtyping import Float, Int

from dpg.agent import networks, normalization
from dpg.agent.networks import Activation, Init
from dpg.agent.normalization import Moments
from dpg.numerics.vectors import Layout
from dpg.runtime.seeding import Seed


@dataclass(frozen=True)
class Architecture:
    """The networks' sizes, activation and inputs."""

    obs_dim: int
    action_dim: int
    policy_hidden: tuple[int, ...]
    value_hidden: tuple[int, ...]
    obs_clip: float | None
    activation: Activation = "tanh"

    @cached_property
    def policy_layout(self) -> Layout:
        """The policy vector: the mean network, then the log standard deviations."""
        sizes = (self.obs_dim, *self.policy_hidden, self.action_dim)
        return networks.layout(sizes, extra=(("log_std", (self.action_dim,)),))

    @cached_property
    def value_layout(self) -> Layout:
        """The value vector."""
        return networks.layout((self.obs_dim, *self.value_hidden, 1))


@dataclass(frozen=True)
class AdamState:
    """Adam's moments (arXiv:1412.6980) for a population of vectors, and the number of steps taken."""

    first: Float[np.ndarray, "P D"]
    second: Float[np.ndarray, "P D"]
    steps: int

    @classmethod
    def zeros(cls, members: int, size: int) -> Self:
        """The state before the first step."""
        return cls(np.zeros((members, size), np.float32), np.zeros((members, size), np.float32), 0)


@dataclass(frozen=True)
class Population:
    """P agents between two iterations: everything their next iteration depends on, except configuration and seeds.

    `algorithm_state` is the training algorithm's own: arrays by name, with one row for each agent.
    """

    architecture: Architecture
    policy: Float[np.ndarray, "P D"]
    value: Float[np.ndarray, "P Dv"]
    policy_adam: AdamState
    value_adam: AdamState
    obs_moments: Moments
    return_moments: Moments
    iteration: int
    algorithm_state: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])

    def __post_init__(self) -> None:
        expected = (self.architecture.policy_layout.size, self.architecture.value_layout.size)
        found = (self.policy.shape[-1], self.value.shape[-1])
        if expected != found:
            raise ValueError(f"policy and value vectors must have sizes {expected}, not {found}")
        parts = (self.policy, self.value, self.obs_moments.mean, self.return_moments.mean)
        members = {array.shape[:1] for array in (*parts, *self.algorithm_state.values())}
        if len(members) != 1:
            raise ValueError(f"parts of a population disagree on its size: {sorted(members)}")

    @property
    def size(self) -> int:
        """P, the number of agents."""
        return len(self.policy)

    def select(self, members: Int[np.ndarray, " M"]) -> "Population":
        """The population of these members, which may repeat."""
        return _map_arrays(self, function=lambda array: array[members])

    def member(self, index: int) -> "Population":
        """The population of one agent."""
        return self.select(np.array([index]))

    def copies(self, count: int) -> "Population":
        """The population of `count` copies of the first member."""
        return self.select(np.zeros(count, np.int64))

    @classmethod
    def concatenate(cls, populations: Sequence[Self]) -> Self:
        """The members of several populations of the same architecture, steps and iteration, in order."""
        return _map_arrays(populations[0], *populations[1:], function=lambda *arrays: np.concatenate(arrays))

    def with_policy(self, policy: Float[np.ndarray, "P D"]) -> "Population":
        """The same agents with other policy vectors."""
        return replace(self, policy=policy.astype(np.float32))

    def normalize_obs(self, obs: Float[np.ndarray, "P B O"]) -> Float[np.ndarray, "P B O"]:
        """Observations as the networks see them."""
        return normalization.normalize(self.obs_moments, obs, self.architecture.obs_clip)


Node = TypeVar("Node", bound=Population | AdamState | Moments)


def _map_arrays(node: Node, *others: Node, function: Callable[..., np.ndarray]) -> Node:
    """`function` on every array of a tree of dataclasses, and the arrays at the same place in others."""
    changed: dict[str, Any] = {}
    for part in fields(node):
        value, *rest = (getattr(each, part.name) for each in (node, *others))
        if isinstance(value, np.ndarray):
            changed[part.name] = function(value, *rest)
        elif isinstance(value, AdamState | Moments):
            changed[part.name] = _map_arrays(value, *rest, function=function)
        elif isinstance(value, dict):
            changed[part.name] = {
                name: function(array, *(each[name] for each in rest)) for name, array in value.items()
            }
        elif any(each != value for each in rest):
            raise ValueError(f"populations with {part.name} {value} and {rest} cannot be one")
    return replace(node, **changed)


def initialize(architecture: Architecture, scheme: Init, seeds: list[Seed]) -> Population:
    """Agents before any experience, one for each seed.

    The gains are those of the PPO release: hidden layers sqrt 2, the policy's output 0.01, the value's output 1;
    log standard deviations start at 0.
    """
    policies, values = [], []
    for seed in seeds:
        a = architecture
        policy_rng, value_rng = (seed / "policy").generator(), (seed / "value").generator()
        policy_sizes = (a.obs_dim, *a.policy_hidden, a.action_dim)
        policy = networks.init_mlp(policy_rng, policy_sizes, scheme, np.sqrt(2), 0.01)
        policy["log_std"] = np.zeros(a.action_dim, np.float32)
        value = networks.init_mlp(value_rng, (a.obs_dim, *a.value_hidden, 1), scheme, np.sqrt(2), 1.0)
        policies.append(a.policy_layout.flatten(policy))
        values.append(a.value_layout.flatten(value))
    members = len(seeds)
    return Population(
        architecture=architecture,
        policy=np.stack(policies),
        value=np.stack(values),
        policy_adam=AdamState.zeros(members, architecture.policy_layout.size),
        value_adam=AdamState.zeros(members, architecture.value_layout.size),
        obs_moments=normalization.identity(members, architecture.obs_dim),
        return_moments=normalization.identity(members, 1),
        iteration=0,
    )
