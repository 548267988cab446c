"""The exchange file: arrays in safetensors, and JSON next to them that describes them (docs/importing.md).

`dpg.agent.export` writes it for the laboratory's agents, and `examples/export_agent.py` for any other.
"""

import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from dpg.agent.networks import Activation
from dpg.agent.source import Source
from dpg.importing import archive, normalizer
from dpg.importing.agent import UPDATE_PARTS, Arrays, ClippedMoments, ForeignAgent, Training, check_networks
from dpg.importing.errors import AgentImportError, first_fault

SUFFIX = ".safetensors"
NETWORK = re.compile(r"(value_)?[wb]\d+")
Clip = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=100, pattern=r"^\P{C}*$")]  # which a terminal can print


class Description(BaseModel):
    """The JSON of an exchange file. What only describes the file is not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[2]
    env: Text
    activation: Activation
    gamma: float
    gae_lambda: float
    timesteps: int
    num_envs: int = 1
    streams: Literal["reset", "continue"] = "continue"
    time_limit: Literal["bootstrap", "terminal"] = "bootstrap"
    clip_actions: bool = True
    obs_clip: Clip | None = None
    reward_clip: Clip | None = None
    value_unit: Literal["raw", "scaled"] | None = None
    algorithm: Text = ""
    library: Text = ""
    version: Text = ""
    pairs: Annotated[int, Field(ge=0)] = 0


def read(path: Path, env_id: str | None) -> ForeignAgent:
    """The agent of an exchange file, named by either of its two files.

    Raises:
        AgentImportError: a file is missing or not whole, or the arrays are not those of an agent.
    """
    if path.suffix == SUFFIX and path.is_file() and not path.with_suffix(".json").exists():
        raise AgentImportError(
            f"{path}: no {path.with_suffix('.json').name} next to it, which an exchange file has; "
            "a snapshot needs no import: name its file itself"
        )
    content, text = (archive.read(path.with_suffix(suffix)) for suffix in (SUFFIX, ".json"))
    about = describe(text, path.with_suffix(".json"))
    source = str(path.with_suffix(SUFFIX))
    arrays = _arrays(content, source)
    policy = _network(arrays, "") | {name: arrays[name] for name in ("log_std",) if name in arrays}
    value = _network(arrays, "value_") or None
    check_networks(policy, value, source)
    _check_pairs(arrays, len(policy["w0"]), len(policy["log_std"]), source)
    if about.obs_clip is not None:  # which an agent without a normaliser may have
        arrays = {"obs_mean": np.zeros(len(policy["w0"])), "obs_std": np.ones(len(policy["w0"]))} | arrays
    digests = (archive.sha256(content), archive.sha256(text))
    return ForeignAgent(
        source=Source(
            files={path.with_suffix(SUFFIX).name: digests[0], path.with_suffix(".json").name: digests[1]},
            library=about.library or "an unnamed library",
            version=about.version,
            algorithm=about.algorithm,
            assumed=("its update cannot be redone: an exchange file has neither settings nor optimizer",),
        ),
        env_id=env_id or about.env,
        policy=policy,
        value=value,
        activation=about.activation,
        obs=_statistics(arrays.get("obs_mean"), arrays.get("obs_std"), about.obs_clip, source),
        reward=_statistics(np.zeros(1), arrays.get("return_std"), about.reward_clip, source),
        rewards_scaled=None if about.value_unit is None else about.value_unit == "scaled",
        training=Training(**about.model_dump(include={field.name for field in fields(Training)} - {"algorithm"})),
        lacks=UPDATE_PARTS,
        action_bounds=(arrays["action_low"], arrays["action_high"]) if "action_low" in arrays else None,
        reward_clip=about.reward_clip,
    )


def describe(text: bytes, path: Path) -> Description:
    """The description in the JSON.

    Raises:
        AgentImportError: a key is missing or has another value than those allowed.
    """
    archive.json_object(text, str(path))
    try:
        return Description.model_validate_json(text)
    except ValidationError as error:
        raise AgentImportError(f"{path}: {first_fault(error)}; docs/importing.md says what is expected") from None


def _arrays(content: bytes, source: str) -> Arrays:
    """The arrays of a file: those of networks in float32, all others in float64."""
    try:
        found = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise AgentImportError(f"{source}: not a whole safetensors file ({error})") from None
    arrays: Arrays = {}
    for name, array in found.items():
        is_network = name == "log_std" or NETWORK.fullmatch(name)
        with np.errstate(over="ignore"):  # what overflows is not finite, and refused
            arrays[name] = array.astype(np.float32 if is_network else np.float64)
        bad = np.isnan(arrays[name]) if name.startswith("action_") else ~np.isfinite(arrays[name])
        if array.dtype.kind != "f" or bad.any():
            raise AgentImportError(f"{source}: {name} must hold finite real numbers")
    return arrays


def _check_pairs(arrays: Arrays, observations: int, actions: int, source: str) -> None:
    """Refuse one of two arrays that come together without the other, or of another size."""
    for first, second, size in (("obs_mean", "obs_std", observations), ("action_low", "action_high", actions)):
        if (first in arrays) != (second in arrays):
            found, missing = (first, second) if first in arrays else (second, first)
            raise AgentImportError(f"{source}: {found} without {missing}; both or neither are expected")
        for name in (first, second) if first in arrays else ():
            if arrays[name].shape != (size,):
                raise AgentImportError(f"{source}: {name} must have {size} numbers, not the shape {arrays[name].shape}")


def _network(arrays: Arrays, prefix: str) -> Arrays:
    """The network whose arrays begin with a prefix."""
    return {name.removeprefix(prefix): arrays[name] for name in arrays if re.fullmatch(rf"{prefix}[wb]\d+", name)}


def _statistics(
    mean: np.ndarray | None, std: np.ndarray | None, clip: float | None, source: str
) -> ClippedMoments | None:
    """A normaliser that is given by its standard deviations, as they divide."""
    if mean is None or std is None:
        return None
    if (std <= 0).any():
        raise AgentImportError(f"{source}: standard deviations must be positive")
    with np.errstate(over="ignore"):  # what overflows is not finite, and refused
        return normalizer.statistics(mean, np.square(std), 0.0, 0.0, clip, source)
