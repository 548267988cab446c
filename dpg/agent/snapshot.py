"""Snapshots: everything needed to continue bit for bit, and to measure, in one safetensors file per agent.

The header is JSON in the file's metadata. It says what the networks are (sizes, activation), which normalisers there
are, how the agent was trained, and what the snapshot lacks. Random numbers need no state: they come from the seed tree
by iteration (`dpg.runtime.seeding`). Nothing is pickled.
"""

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from dpg.agent.normalization import EPSILON, Moments
from dpg.agent.population import AdamState, Architecture, Population
from dpg.agent.recipe import Recipe
from dpg.agent.source import DESCRIPTIONS, PARTS, Part, Source
from dpg.runtime import project, registry
from dpg.runtime.errors import UserError, file_errors
from dpg.runtime.modules import ModuleError
from dpg.runtime.registry import AlgorithmError

STATE = "algorithm_state."  # before the names of the arrays that are an algorithm's own


class SnapshotError(UserError):
    """A file is not a usable snapshot; the message says what was expected and what was found."""


class MissingPartError(UserError):
    """A snapshot of an agent that was trained elsewhere lacks what a measurement needs."""


Epsilon = Annotated[float, Field(ge=0, exclude_if=lambda epsilon: epsilon == EPSILON)]


class Header(BaseModel):
    """The JSON header of a snapshot's file.

    Format 2 adds the source of agents that were trained elsewhere, the module of an algorithm that is none of ours, and
    the names of the arrays that are an algorithm's own state. An agent that needs none of them is written in format 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1, 2] = 1
    agent: int
    iteration: int
    architecture: Architecture
    normalizers: tuple[str, ...] = ("obs", "return")
    lacks: tuple[Part, ...] = ()
    policy_adam_steps: int
    value_adam_steps: int
    recipe: Recipe
    source: Annotated[Source | None, Field(exclude_if=lambda source: source is None)] = None
    algorithm_module: Annotated[str | None, Field(exclude_if=lambda module: module is None)] = None
    algorithm_state: Annotated[tuple[str, ...], Field(exclude_if=lambda names: not names)] = ()
    obs_epsilon: Epsilon = EPSILON
    return_epsilon: Epsilon = EPSILON


@dataclass(frozen=True)
class Snapshot:
    """One agent between two iterations; `source` and `lacks` are those of one that was trained elsewhere."""

    agent: int
    recipe: Recipe
    state: Population
    source: Source | None = None
    lacks: tuple[Part, ...] = ()

    @property
    def iteration(self) -> int:
        """The iteration that starts from this snapshot."""
        return self.state.iteration

    @property
    def algorithm(self) -> str:
        """What trained it, in lower case; the recipe's stands for it where its update is not known."""
        if self.source is None or "policy_update" not in self.lacks:
            return self.recipe.algorithm
        return re.sub(r"[^a-z0-9]+", "-", self.source.algorithm.lower())[:30].strip("-") or "unknown"

    def with_common(self, **changes: Any) -> "Snapshot":
        """The agent with other values of `common` in its recipe; they are not checked."""
        common = self.recipe.common.model_copy(update=changes)
        return replace(self, recipe=self.recipe.model_copy(update={"common": common}))

    @property
    def name(self) -> str:
        """What arrays that belong to it are called: `agent00-iteration00150`."""
        return filename(self.agent, self.iteration).removesuffix(".safetensors")

    def __str__(self) -> str:
        return f"{self.recipe.env_id} {self.algorithm} agent {self.agent} iteration {self.iteration}"


def filename(agent: int, iteration: int) -> str:
    """`agent00-iteration00150.safetensors`."""
    return f"agent{agent:02d}-iteration{iteration:05d}.safetensors"


def require(snapshot: Snapshot, purpose: str, *parts: Part) -> None:
    """Refuse a snapshot that lacks one of the parts that a measurement needs.

    Raises:
        MissingPartError: the message names all parts that are missing.
    """
    missing = [DESCRIPTIONS[part] for part in PARTS if part in parts and part in snapshot.lacks]
    if missing:
        raise MissingPartError(f"{snapshot}: {purpose} needs {' and '.join(missing)}, which the agent came without")


def save(snapshot: Snapshot, directory: Path) -> Path:
    """Write a snapshot under its own name, as `write` does."""
    return write(snapshot, directory / filename(snapshot.agent, snapshot.iteration))


def write(snapshot: Snapshot, path: Path) -> Path:
    """Write a snapshot; the file appears whole or not at all.

    Raises:
        FileError: it cannot be written.
    """
    state = snapshot.state
    if state.size != 1:
        raise ValueError(f"a snapshot holds one agent, not {state.size}")
    origin = registry.locate(snapshot.recipe.algorithm, snapshot.recipe.modules)
    header = Header(
        format=1 if snapshot.source is None and origin.built_in and not state.algorithm_state else 2,
        agent=snapshot.agent,
        iteration=snapshot.iteration,
        architecture=state.architecture,
        policy_adam_steps=state.policy_adam.steps,
        value_adam_steps=state.value_adam.steps,
        recipe=snapshot.recipe,
        lacks=snapshot.lacks,
        source=snapshot.source,
        algorithm_module=None if origin.built_in else origin.module,
        algorithm_state=tuple(sorted(state.algorithm_state)),
        obs_epsilon=state.obs_moments.epsilon,
        return_epsilon=state.return_moments.epsilon,
    )
    partial = path.with_suffix(".partial")
    try:
        with file_errors(path):
            partial.write_bytes(to_safetensors(_arrays(state), metadata={"dpg": _to_json(header)}))
            os.replace(partial, path)
    finally:
        with suppress(OSError):  # where nothing can be written there is nothing to remove
            partial.unlink(missing_ok=True)
    return path


def load(path: Path) -> Snapshot:
    """Read and check a snapshot; the modules that its recipe names may lie in its project.

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
    header = _header(path, metadata["dpg"])
    _check_arrays(path, arrays, header)
    state = Population(
        architecture=header.architecture,
        policy=arrays["policy"],
        value=arrays["value"],
        policy_adam=AdamState(arrays["policy_adam.first"], arrays["policy_adam.second"], header.policy_adam_steps),
        value_adam=AdamState(arrays["value_adam.first"], arrays["value_adam.second"], header.value_adam_steps),
        obs_moments=_moments(arrays, "obs_moments", header.obs_epsilon),
        return_moments=_moments(arrays, "return_moments", header.return_epsilon),
        iteration=header.iteration,
        algorithm_state={name: arrays[f"{STATE}{name}"] for name in header.algorithm_state},
    )
    return Snapshot(header.agent, header.recipe, state, header.source, header.lacks)


def _to_json(header: Header) -> str:
    raw = header.model_dump(mode="json")
    recipe = raw["recipe"]
    # In files the user's own modules are `common.env_modules`, last but one.
    last = recipe["common"].popitem()
    recipe["common"] |= {"env_modules": recipe.pop("modules"), last[0]: last[1]}
    return to_json(raw).decode()


def _header(path: Path, text: str) -> Header:
    """The header in a file's metadata.

    Raises:
        SnapshotError: it is of another format, or its algorithm is not known here.
    """
    module = None
    try:
        raw = json.loads(text)
        module = raw.get("algorithm_module")
        raw["recipe"]["modules"] = raw["recipe"]["common"].pop("env_modules")
        if raw["recipe"]["modules"]:  # for an agent of ours alone, no code of the file's folder can be imported
            project.make_importable(project.around(path))
        return Header.model_validate_json(json.dumps(raw))
    except (AlgorithmError, ModuleError) as error:
        hint = f"; this agent's is in the module {module}: install it, or put it next to params.yaml" if module else ""
        raise SnapshotError(f"{path}: {error}{hint}") from None
    except (ValueError, AttributeError, KeyError, TypeError) as error:  # errors of JSON and of pydantic are ValueErrors
        raise SnapshotError(f"{path}: the header is not what this version expects: {error!r}") from None


def listing(directory: Path) -> list[tuple[int, int]]:
    """Agent and iteration of every snapshot in a directory, sorted; the files are not opened.

    Raises:
        SnapshotError: there is none.
    """
    names = (re.fullmatch(r"agent(\d+)-iteration(\d+)\.safetensors", path.name) for path in directory.glob("*"))
    found = sorted((int(name[1]), int(name[2])) for name in names if name)
    if not found:
        raise SnapshotError(f"{directory} holds no snapshots: run `dvc repro` to make them")
    return found


def load_all(directory: Path) -> list[Snapshot]:
    """Every snapshot of a directory, by agent and iteration.

    Raises:
        SnapshotError: there is none, or one cannot be used.
    """
    return [load(directory / filename(agent, iteration)) for agent, iteration in listing(directory)]


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
    arrays |= {f"{STATE}{name}": array for name, array in state.algorithm_state.items()}
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _moments(arrays: dict[str, np.ndarray], name: str, epsilon: float) -> Moments:
    return Moments(arrays[f"{name}.count"], arrays[f"{name}.mean"], arrays[f"{name}.variance"], epsilon)


def _check_arrays(path: Path, arrays: dict[str, np.ndarray], header: Header) -> None:
    architecture = header.architecture
    policy = ((1, architecture.policy_layout.size), "float32")
    value = ((1, architecture.value_layout.size), "float32")
    expected: dict[str, tuple[tuple[int, ...], str]] = {
        f"policy{part}": policy for part in ("", "_adam.first", "_adam.second")
    }
    expected |= {f"value{part}": value for part in ("", "_adam.first", "_adam.second")}
    for name, features in (("obs_moments", architecture.obs_dim), ("return_moments", 1)):
        expected[f"{name}.count"] = ((1,), "float64")
        expected |= {f"{name}.{part}": ((1, features), "float64") for part in ("mean", "variance")}
    found = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    for name in (f"{STATE}{name}" for name in header.algorithm_state):  # whose shape the algorithm knows
        shape, dtype = found.get(name, ((), "any"))
        expected[name] = ((1, *shape[1:]), dtype)
    if found != expected:
        wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
        details = "; ".join(f"{name}: {expected.get(name)} expected, {found.get(name)} found" for name in wrong)
        raise SnapshotError(f"{path}: {details}")
