"""An agent as read from the files of any library, and its conversion to a snapshot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from dpg.agent import normalization
from dpg.agent.networks import Activation
from dpg.agent.normalization import Moments
from dpg.agent.population import AdamState, Architecture, Population
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.agent.source import Part, Source
from dpg.importing.errors import AgentImportError, first_fault
from dpg.numerics.vectors import Layout

Arrays = dict[str, np.ndarray]  # w0, b0, w1, ...: weights are (inputs, outputs)
REWARD_CLIP = 10.0  # of scaled rewards, in Gymnasium's and Stable-Baselines3's wrappers
UPDATE_PARTS: tuple[Part, ...] = ("policy_adam", "value_adam", "policy_update", "value_update")


class ClippedMoments(NamedTuple):
    """A normaliser, clipped to +-`clip`."""

    moments: Moments
    clip: float | None


class AdamMoments(NamedTuple):
    """The moments of Adam for named arrays, and its steps."""

    first: Arrays
    second: Arrays
    steps: int


@dataclass(frozen=True)
class Training:
    """How an agent was trained, as far as the laboratory can redo it.

    A batch has `num_envs` streams of `timesteps` pairs; `pairs` have been seen of `total_pairs`. `update` holds the
    fields of the configuration of `algorithm` that are known.
    """

    timesteps: int
    gamma: float
    gae_lambda: float
    num_envs: int = 1
    streams: str = "continue"
    time_limit: str = "bootstrap"
    clip_actions: bool = True
    algorithm: str = "ppo"
    update: dict[str, Any] = field(default_factory=dict)
    pairs: int = 0
    total_pairs: int = 0
    seed: int = 0

    @property
    def batch_pairs(self) -> int:
        """Pairs of a batch; at least one, whatever was given."""
        return max(1, self.timesteps * self.num_envs)


@dataclass(frozen=True)
class ForeignAgent:
    """What a reader found. `rewards_scaled` is what the file says of the value net's unit; None: it says nothing.

    `reward_clip` bounds scaled rewards where their statistics are lost. `without_normalizer` says what to do if there
    is no normaliser, but was one in training; empty if there may be none.
    """

    source: Source
    env_id: str
    policy: Arrays
    value: Arrays | None
    activation: Activation
    rewards_scaled: bool | None
    training: Training
    obs: ClippedMoments | None = None
    reward: ClippedMoments | None = None
    policy_adam: AdamMoments | None = None
    value_adam: AdamMoments | None = None
    lacks: tuple[Part, ...] = ()
    action_bounds: tuple[np.ndarray, np.ndarray] | None = None
    without_normalizer: str = ""
    reward_clip: float | None = REWARD_CLIP

    def assuming(self, *lines: str) -> "ForeignAgent":
        """The same agent with more that is taken for granted."""
        return replace(self, source=self.source.assuming(*lines))


# What a configuration holds that no import can know or that the laboratory decides; readers replace what they know.
_CONFIG: dict[str, Any] = {
    "value_lr": 0.0,
    "value_epochs": 0,
    "value_minibatches": 1,
    "adam_eps": 1e-5,
    "reward_scaling": False,
    "reward_clip": None,
    "init": "orthogonal",
    "anneal": False,
    "value_clip": None,
}
_PPO: dict[str, Any] = {"lr": 0.0, "epochs": 1, "minibatches": 1, "clip_eps": 0.2, "entropy_coef": 0.0}
_TRPO: dict[str, Any] = {
    "max_kl": 0.01,
    "cg_steps": 10,
    "cg_damping": 0.1,
    "fisher_fraction": 1.0,
    "backtracks": 10,
    "accept_ratio": 0.0,
}
NO_DIVERGENCE_KL = 1e6  # imported agents are not trained on


def torch_network(tensors: Arrays, layers: Sequence[str]) -> Arrays:
    """A network of PyTorch's layers in order; a weight or a bias that is missing is left out."""
    parts = [("w", "weight"), ("b", "bias")]
    return {
        f"{letter}{index}": np.ascontiguousarray(tensors[f"{layer}.{part}"].T)
        for index, layer in enumerate(layers)
        for letter, part in parts
        if f"{layer}.{part}" in tensors
    }


def numbered(tensors: Arrays, prefix: str) -> list[str]:
    """The layers of a `Sequential` of PyTorch, in order."""
    numbers = {int(name.removeprefix(prefix).split(".")[1]) for name in tensors if name.startswith(f"{prefix}.")}
    return [f"{prefix}.{number}" for number in sorted(numbers)]


def check_networks(policy: Arrays, value: Arrays | None, source: str) -> None:
    """Refuse networks whose layers do not fit each other, the standard deviations (in `policy`), or a single value.

    Raises:
        AgentImportError: the message names the layer, or both numbers.
    """
    observed, *_, means = sizes(policy, f"{source}: the policy network")
    if "log_std" not in policy or policy["log_std"].shape != (means,):
        found = f"of shape {policy['log_std'].shape}" if "log_std" in policy else "missing"
        raise AgentImportError(f"{source}: log_std is {found}; one number for each of {means} means is expected")
    if value is None:
        return
    inputs, *_, outputs = sizes(value, f"{source}: the value network")
    if (inputs, outputs) != (observed, 1):
        raise AgentImportError(
            f"{source}: the value network maps {inputs} numbers to {outputs}; {observed} to one is expected"
        )


def sizes(arrays: Arrays, what: str) -> list[int]:
    """The inputs, the hidden sizes and the outputs of a network.

    Raises:
        AgentImportError: its layers do not fit each other.
    """
    depth = sum(name.startswith("w") for name in arrays)
    if not depth:
        raise AgentImportError(f"{what}: no layer was found")
    found: list[int] = []
    for index in range(depth):
        if f"w{index}" not in arrays or f"b{index}" not in arrays:
            raise AgentImportError(f"{what}: layer {index} lacks its weights or its biases")
        weight, bias = arrays[f"w{index}"], arrays[f"b{index}"]
        if weight.ndim != 2 or bias.shape != weight.shape[1:] or found[-1:] not in ([], [len(weight)]):
            after = f" after {found[-1]} outputs" if found else ""
            raise AgentImportError(f"{what}: layer {index} has weights {weight.shape} and biases {bias.shape}{after}")
        found += weight.shape[1:] if found else weight.shape
    return found


def snapshot_of(agent: ForeignAgent, modules: tuple[str, ...]) -> Snapshot:
    """The snapshot, whose value net is taken to predict raw rewards.

    Raises:
        AgentImportError: a value of the recipe is not one that the laboratory takes.
    """
    value = agent.value or {"w0": np.zeros((len(agent.policy["w0"]), 1), np.float32), "b0": np.zeros(1, np.float32)}
    obs_dim, *hidden, action_dim = sizes(agent.policy, "policy")
    value_hidden = tuple(sizes(value, "value")[1:-1])
    clip = agent.obs.clip if agent.obs else None
    architecture = Architecture(obs_dim, action_dim, tuple(hidden), value_hidden, clip, agent.activation)
    policy_layout, value_layout = architecture.policy_layout, architecture.value_layout
    training = agent.training
    recipe = _recipe(agent, architecture, modules)

    def adam(found: AdamMoments | None, layout: Layout) -> AdamState:
        if found is None:
            return AdamState.zeros(1, layout.size)
        return AdamState(layout.flatten(found.first)[None], layout.flatten(found.second)[None], found.steps)

    def moments(found: ClippedMoments | None, features: int) -> Moments:
        return found.moments if found else replace(normalization.identity(1, features), epsilon=0.0)

    state = Population(
        architecture=architecture,
        policy=policy_layout.flatten(agent.policy)[None].astype(np.float32),
        value=value_layout.flatten(value)[None].astype(np.float32),
        policy_adam=adam(agent.policy_adam, policy_layout),
        value_adam=adam(agent.value_adam, value_layout),
        obs_moments=moments(agent.obs, architecture.obs_dim),
        return_moments=moments(agent.reward, 1),
        iteration=training.pairs // training.batch_pairs,
    )
    lacks = agent.lacks if agent.value else (*agent.lacks, "value_net")
    return Snapshot(0, recipe, state, agent.source, tuple(dict.fromkeys(lacks)))


def _recipe(agent: ForeignAgent, architecture: Architecture, modules: tuple[str, ...]) -> Recipe:
    training = agent.training
    defaults = _TRPO if training.algorithm == "trpo" else _PPO
    same = ("timesteps", "gamma", "gae_lambda", "time_limit", "clip_actions")
    common = {name: getattr(training, name) for name in same} | {
        "policy_hidden": architecture.policy_hidden,
        "value_hidden": architecture.value_hidden,
        "baseline": "value",
        "value_target": "gae",
        "divergence_kl": NO_DIVERGENCE_KL,
    }
    recipe = {
        "env_id": agent.env_id,
        "algorithm": training.algorithm,
        "modules": modules,
        "common": common,
        "config": _CONFIG | defaults | {"obs_clip": architecture.obs_clip} | training.update,
        "iterations": max(1, math.ceil(max(training.total_pairs, training.pairs) / training.batch_pairs)),
        "seed": training.seed,
        "num_envs": training.num_envs,
        "streams": training.streams,
    }
    try:
        return Recipe.model_validate(recipe)
    except ValidationError as error:
        raise AgentImportError(f"{next(iter(agent.source.files))}: {first_fault(error)}") from None
