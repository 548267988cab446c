"""Snapshots: all that is needed to go on bit for bit, and to measure, in one safetensors file an agent.

The header is JSON in the file's metadata. It says what the networks are (sizes, activation), which normalisers there
are, how the agent was trained, and what the snapshot lacks. Random numbers need no state: they come from the seed tree
by iteration (`dpg.runtime.seeding`). Nothing is pickled.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dpg.agent.normalization import Moments
from dpg.agent.population import AdamState, Architecture, Population
from dpg.runtime.config import PPO, TRPO, Common
from dpg.runtime.errors import UserError

FORMAT = 1
ARCHITECTURE = TypeAdapter(Architecture)


class SnapshotError(UserError):
    """A file is not a usable snapshot; the message says what was expected and what was found."""


class Recipe(BaseModel):
    """How an agent is trained: all that the probes need in order to redo an iteration from its snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env_id: str
    algorithm: Literal["ppo", "ppo_m", "trpo"]
    common: Common
    config: PPO | TRPO
    iterations: int
    seed: int


@dataclass(frozen=True)
class Snapshot:
    """One agent between two iterations."""

    agent: int
    recipe: Recipe
    state: Population

    @property
    def iteration(self) -> int:
        """The iteration that starts from this snapshot."""
        return self.state.iteration


def filename(agent: int, iteration: int) -> str:
    """`agent00-iteration00150.safetensors`."""
    return f"agent{agent:02d}-iteration{iteration:05d}.safetensors"


def save(snapshot: Snapshot, directory: Path) -> Path:
    """Write a snapshot under its own name; the file appears whole or not at all."""
    if snapshot.state.size != 1:
        raise ValueError(f"a snapshot holds one agent, not {snapshot.state.size}")
    header = {
        "format": FORMAT,
        "agent": snapshot.agent,
        "iteration": snapshot.iteration,
        "architecture": asdict(snapshot.state.architecture),
        "normalizers": ["obs", "return"],
        "lacks": [],
        "adam_steps": {
            "policy": snapshot.state.policy_adam.steps,
            "value": snapshot.state.value_adam.steps,
        },
        "recipe": snapshot.recipe.model_dump(mode="json"),
    }
    path = directory / filename(snapshot.agent, snapshot.iteration)
    partial = path.with_suffix(".partial")
    save_file(_arrays(snapshot.state), partial, metadata={"dpg": json.dumps(header, sort_keys=True)})
    os.replace(partial, path)
    return path


def load(path: Path) -> Snapshot:
    """Read and check a snapshot.

    Raises:
        SnapshotError: the file is missing, truncated, of another format, or its arrays do not fit its header.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise SnapshotError(f"{path}: there is no such snapshot") from None
    except (SafetensorError, OSError) as error:
        raise SnapshotError(f"{path}: not a whole safetensors file ({error})") from None
    if "dpg" not in metadata:
        raise SnapshotError(f"{path}: a dpg header is expected in the metadata; found {sorted(metadata)}")
    header: dict[str, Any] = json.loads(metadata["dpg"])
    if header.get("format") != FORMAT:
        raise SnapshotError(f"{path}: format {FORMAT} is expected; found {header.get('format')}")
    try:
        architecture = ARCHITECTURE.validate_python(header["architecture"])
        recipe = Recipe.model_validate_json(json.dumps(header["recipe"]))
    except ValidationError as error:
        raise SnapshotError(f"{path}: the header does not hold what this version expects:\n{error}") from None
    _check_arrays(path, arrays, architecture)
    steps = header["adam_steps"]
    state = Population(
        architecture=architecture,
        policy=arrays["policy"],
        value=arrays["value"],
        policy_adam=AdamState(arrays["policy_adam.first"], arrays["policy_adam.second"], steps["policy"]),
        value_adam=AdamState(arrays["value_adam.first"], arrays["value_adam.second"], steps["value"]),
        obs_moments=_moments(arrays, "obs_moments"),
        return_moments=_moments(arrays, "return_moments"),
        iteration=header["iteration"],
    )
    return Snapshot(header["agent"], recipe, state)


def load_all(directory: Path) -> list[Snapshot]:
    """Every snapshot of a directory, by agent and iteration.

    Raises:
        SnapshotError: there is none, or one cannot be used.
    """
    snapshots = [load(path) for path in sorted(directory.glob("*.safetensors"))]
    if not snapshots:
        raise SnapshotError(f"{directory} holds no snapshots: run `dvc repro` to make them")
    return snapshots


def _arrays(state: Population) -> dict[str, np.ndarray]:
    arrays = {
        "policy": state.policy,
        "value": state.value,
        "policy_adam.first": state.policy_adam.first,
        "policy_adam.second": state.policy_adam.second,
        "value_adam.first": state.value_adam.first,
        "value_adam.second": state.value_adam.second,
    }
    for name, moments in (("obs_moments", state.obs_moments), ("return_moments", state.return_moments)):
        for part in ("count", "mean", "variance"):
            arrays[f"{name}.{part}"] = getattr(moments, part)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _moments(arrays: dict[str, np.ndarray], name: str) -> Moments:
    return Moments(arrays[f"{name}.count"], arrays[f"{name}.mean"], arrays[f"{name}.variance"])


def _check_arrays(path: Path, arrays: dict[str, np.ndarray], architecture: Architecture) -> None:
    policy = (1, architecture.policy_layout.size)
    value = (1, architecture.value_layout.size)
    expected = {
        "policy": policy,
        "policy_adam.first": policy,
        "policy_adam.second": policy,
        "value": value,
        "value_adam.first": value,
        "value_adam.second": value,
    }
    for name, features in (("obs_moments", architecture.obs_dim), ("return_moments", 1)):
        expected |= {f"{name}.count": (1,), f"{name}.mean": (1, features), f"{name}.variance": (1, features)}
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
        details = "; ".join(f"{name}: {expected.get(name)} expected, {found.get(name)} found" for name in wrong)
        raise SnapshotError(f"{path}: {details}")
