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
Clip = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Description(BaseModel):
    """The JSON of an exchange file. What only describes the file is not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[2]
    env: str
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
    algorithm: str = ""
    library: str = ""
    version: str = ""
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
    try:
        arrays = {name: np.asarray(array) for name, array in load(content).items()}
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise AgentImportError(f"{source}: not a whole safetensors file ({error})") from None
    for name, array in arrays.items():
        if array.dtype.kind != "f" or (not np.isfinite(array).all() and not name.startswith("action_")):
            raise AgentImportError(f"{source}: {name} must hold finite real numbers")
    policy = network(arrays, "") | {name: arrays[name].astype(np.float32) for name in ("log_std",) if name in arrays}
    value = network(arrays, "value_") if "value_w0" in arrays else None
    check_networks(policy, value, source)
    if "obs_mean" in arrays and len(np.atleast_1d(arrays["obs_mean"])) != len(policy["w0"]):
        raise AgentImportError(f"{source}: obs_mean must have {len(policy['w0'])} numbers, as many as observations")
    digests = (archive.sha256(content), archive.sha256(text))
    bounds = arrays.get("action_low"), arrays.get("action_high")
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
        action_bounds=None if bounds[0] is None or bounds[1] is None else (bounds[0], bounds[1]),
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


def network(arrays: Arrays, prefix: str) -> Arrays:
    """The network whose arrays begin with a prefix, in float32."""
    own = {name.removeprefix(prefix): name for name in arrays if re.fullmatch(rf"{prefix}[wb]\d+", name)}
    return {name: arrays[whole].astype(np.float32) for name, whole in own.items()}


def _statistics(
    mean: np.ndarray | None, std: np.ndarray | None, clip: float | None, source: str
) -> ClippedMoments | None:
    """A normaliser that is given by its standard deviations, as they divide."""
    if mean is None or std is None:
        return None
    return normalizer.statistics(mean, np.square(std.astype(np.float64)), 0.0, 0.0, clip, source)
