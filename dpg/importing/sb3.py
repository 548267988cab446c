"""Models of Stable-Baselines3 and sb3-contrib: PPO, TRPO and A2C with separate networks and a Gaussian policy.

The zip's JSON is read without the pickles in it, and its tensors with PyTorch's `weights_only` reader.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from packaging.version import InvalidVersion, Version

from dpg.agent.networks import Activation
from dpg.agent.source import Part, Source
from dpg.importing import archive, sb3_training
from dpg.importing.agent import AdamMoments, Arrays, ForeignAgent, Training, check_networks, numbered, torch_network
from dpg.importing.errors import AgentImportError, one_line

LIBRARY = "Stable-Baselines3"
ACTIVATIONS: dict[str, Activation] = {"Tanh": "tanh", "ReLU": "relu", "ELU": "elu"}
WITHOUT_NORMALIZER = (
    "was trained with VecNormalize, whose statistics are in a file of their own; give it with --vecnormalize FILE, "
    "or say --no-normaliser"
)
# Time limits have bootstrapped since this version; before, they were treated as ends.
FIRST_WITH_TIME_LIMITS = Version("1.3.1a2")
NETWORK = re.compile(r"(log_std|(mlp_extractor\.(policy|value)_net\.\d+|action_net|value_net)\.(weight|bias))")


def read(path: Path, env_id: str, config: dict[str, Any]) -> ForeignAgent:
    """The agent in a model's zip; `config` are the hyperparameters of RL Zoo, if there are any.

    Raises:
        UnsafeFileError: its tensors name code.
        AgentImportError: it is no such agent; the message says what was found.
    """
    content = archive.read(path)
    members = archive.members(content, str(path))
    if missing := {"data", "policy.pth"} - set(members):
        raise AgentImportError(f"{path}: not a whole model of {LIBRARY}: {' and '.join(sorted(missing))} missing")
    data = archive.json_object(members["data"], f"{path}: data")
    algorithm = _algorithm(data, path)
    tensors = archive.tensors(members["policy.pth"], f"{path}: policy.pth")
    _check_policy(data, tensors, path)
    arrays = archive.weights(tensors, f"{path}: policy.pth")
    _check_spaces(data, arrays, path)
    optimizer = members.get("policy.optimizer.pth")
    state = archive.tensors(optimizer, f"{path}: policy.optimizer.pth") if optimizer is not None else {}
    settings = sb3_training.Settings(data, config, state, str(path))
    training, lacks, assumed = sb3_training.training(algorithm, settings)
    version = one_line(members.get("_stable_baselines3_version", b"")[:40].decode("ascii", "replace").strip())
    normalized = str(config.get("normalize") or False).lower() != "false"
    training, lines = _with_time_limit(training, version)
    assumed += lines
    policy, value = networks(arrays)
    check_networks(policy, value, str(path))
    moments = {} if lacks else _moments(algorithm, sb3_training.adam(state, arrays), data, (policy, value))
    wanted: tuple[Part, ...] = ("value_adam",) if algorithm == "TRPO" else ("policy_adam", "value_adam")
    return ForeignAgent(
        source=Source(
            files={path.name: archive.sha256(content)},
            library=LIBRARY,
            version=version,
            algorithm=algorithm,
            assumed=tuple(assumed),
        ),
        env_id=env_id,
        policy=policy,
        value=value,
        activation=_activation(data, path),
        rewards_scaled=False,
        training=training,
        policy_adam=moments.get("policy_adam"),
        value_adam=moments.get("value_adam"),
        lacks=lacks or tuple(part for part in wanted if part not in moments),
        action_bounds=_bounds(data),
        # Such a model holds the last observation from before the normaliser.
        without_normalizer=WITHOUT_NORMALIZER if normalized or data.get("_last_original_obs") is not None else "",
    )


def _algorithm(data: dict[str, Any], path: Path) -> str:
    if "cg_max_steps" in data:
        return "TRPO"
    if "n_epochs" in data and "clip_range" in data:
        return "PPO"
    if {"n_steps", "gae_lambda", "vf_coef"} <= set(data):
        return "A2C"
    kind = "an off-policy agent" if "buffer_size" in data else "another algorithm"
    raise AgentImportError(f"{path}: {kind}; PPO, TRPO and A2C are read")


def _check_policy(data: dict[str, Any], tensors: dict[Any, Any], path: Path) -> None:
    """Refuse policies that are not two separate networks and a vector of log standard deviations."""
    kwargs = _policy_kwargs(data)
    log_std = tensors.get("log_std")
    if data.get("use_sde") or (log_std is not None and getattr(log_std, "ndim", 1) != 1):
        shape = "x".join(map(str, getattr(log_std, "shape", ())))
        raise AgentImportError(
            f"{path}: generalised state-dependent exploration: log_std is a {shape or 'missing'} matrix; "
            "a vector with a number for each action is expected (use_sde=False)"
        )
    if kwargs.get("squash_output"):
        raise AgentImportError(f"{path}: squashed actions (squash_output); an unsquashed Gaussian is expected")
    extractor = str(kwargs.get("features_extractor_class", "FlattenExtractor"))
    foreign = sorted(str(name) for name in tensors if not NETWORK.fullmatch(str(name)))
    if foreign or "FlattenExtractor" not in extractor:
        what = f"tensors {', '.join(foreign[:3])}{', ...' if len(foreign) > 3 else ''}" if foreign else extractor
        raise AgentImportError(
            f"{path}: {what}: a shared or learned feature extractor; separate networks for policy and value "
            "on flat observations are expected (MlpPolicy)"
        )
    if log_std is None:
        raise AgentImportError(f"{path}: no log_std: discrete actions; a Gaussian policy on a Box is expected")
    policy_class = data.get("policy_class")
    module = policy_class.get("__module__", "") if isinstance(policy_class, dict) else ""
    if module and not str(module).startswith(("stable_baselines3.", "sb3_contrib.")):
        raise AgentImportError(f"{path}: a policy class of {module!s:.60}; one of {LIBRARY} is expected")


def _policy_kwargs(data: dict[str, Any]) -> dict[str, Any]:
    found = data.get("policy_kwargs")
    return found if isinstance(found, dict) else {}


def _check_spaces(data: dict[str, Any], arrays: Arrays, path: Path) -> None:
    for name, size in (("observation", None), ("action", len(arrays["log_std"]))):
        space = data.get(f"{name}_space")
        kind = str(space.get(":type:", "")) if isinstance(space, dict) else ""
        if not kind.endswith(".Box'>"):
            raise AgentImportError(
                f"{path}: the {name} space is {kind[:60] or 'not stated'}; a Box of one axis is expected"
            )
        shape = space.get("_shape", space.get("shape")) if isinstance(space, dict) else None
        if not isinstance(shape, list) or len(shape) != 1 or (size is not None and shape != [size]):
            raise AgentImportError(f"{path}: the {name} space has the shape {shape!s:.60}; one axis is expected")


def _bounds(data: dict[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """The bounds of actions, where the JSON has them as text and in full."""
    texts = [str(data["action_space"].get(key, "")) for key in ("low", "high")]
    try:
        low, high = (np.array([float(each) for each in text.strip("[]").split()]) for text in texts)
    except ValueError:
        return None
    return (low, high) if low.size and low.shape == high.shape else None


def _activation(data: dict[str, Any], path: Path) -> Activation:
    named = str(_policy_kwargs(data).get("activation_fn", "Tanh"))
    name = named.rstrip("'>").rpartition(".")[2]
    if name not in ACTIVATIONS:
        raise AgentImportError(f"{path}: the activation {name:.60}; {', '.join(ACTIVATIONS)} are read")
    return ACTIVATIONS[name]


def networks(arrays: Arrays) -> tuple[Arrays, Arrays]:
    """Policy and value network by the laboratory's names, from tensors by those of the library."""
    policy = torch_network(arrays, [*numbered(arrays, "mlp_extractor.policy_net"), "action_net"])
    value = torch_network(arrays, [*numbered(arrays, "mlp_extractor.value_net"), "value_net"])
    return policy | {name: arrays[name] for name in ("log_std",) if name in arrays}, value


def _moments(
    algorithm: str, found: AdamMoments | None, data: dict[str, Any], parameters: tuple[Arrays, Arrays]
) -> dict[Part, AdamMoments]:
    """The moments of both networks, as far as the optimiser has those of all their parameters.

    Those of the value net belong to its loss times a coefficient, which is taken out.
    """
    coefficient = 1.0 if algorithm == "TRPO" else sb3_training.finite(data.get("vf_coef")) or 0.0
    if found is None:
        return {}
    (first, value_first), (second, value_second) = networks(found.first), networks(found.second)
    moments: dict[Part, AdamMoments] = {}
    if first.keys() == parameters[0].keys():
        moments["policy_adam"] = AdamMoments(first, second, found.steps)
    if value_first.keys() == parameters[1].keys() and 1e-6 < coefficient < 1e6:
        value_first = {name: array / coefficient for name, array in value_first.items()}
        value_second = {name: array / coefficient**2 for name, array in value_second.items()}
        moments["value_adam"] = AdamMoments(value_first, value_second, found.steps)
    return moments


def _with_time_limit(training: Training, version: str) -> tuple[Training, list[str]]:
    try:
        bootstraps = Version(version) >= FIRST_WITH_TIME_LIMITS
    except InvalidVersion:
        return training, ["time limits bootstrap: the version is not known"]
    if bootstraps:
        return training, []
    return replace(training, time_limit="terminal"), [f"time limits end episodes, as in {LIBRARY} {version}"]
