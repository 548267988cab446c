"""Which files of a folder are the agent's: RL Zoo's, the hub's, a callback's checkpoints, or a single file's."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dpg.importing import archive, cleanrl
from dpg.importing.errors import AgentImportError

CHECKPOINT = re.compile(r"(?P<prefix>.+)_(?P<steps>\d+)_steps")
YAML_FILES = {"arguments": "args", "config": "config", "env_kwargs": "env_kwargs"}
NORMALIZERS = ("vecnormalize.pkl", "vec_normalize.pkl")


@dataclass(frozen=True)
class AgentFiles:
    """The file with the networks, the normaliser if there is one, and RL Zoo's arguments and hyperparameters."""

    model: Path
    normalizer: Path | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    env_kwargs: dict[str, Any] = field(default_factory=dict)


def find(path: Path) -> AgentFiles:
    """The files that belong to a model, or to the one that a folder holds.

    Of several models in a folder the one that training ended with is taken, or else the last checkpoint.

    Raises:
        UnsafeFileError: a YAML file names code.
        AgentImportError: there is no model, or there are several.
    """
    if not path.exists():
        raise AgentImportError(f"{path}: there is no such file or folder")
    model = _model(path) if path.is_dir() else path
    # RL Zoo keeps what belongs to ENV.zip in the folder ENV next to it; the hub keeps all in one.
    folders = [model.with_suffix(""), model.parent]
    if path.is_dir():
        folders += sorted(each for each in path.iterdir() if each.is_dir() and each not in folders)
    found = {field: _yaml(folders, f"{name}.yml") for field, name in YAML_FILES.items()}
    return AgentFiles(model, _normalizer(model, folders), **found)


def _model(folder: Path) -> Path:
    files = sorted(each for each in folder.iterdir() if each.is_file())
    models = [each for each in files if each.suffix == ".zip" and archive.is_model(each)]
    models += [each for each in files if each.suffix in cleanrl.SUFFIXES]
    arrays = [each for each in files if each.suffix == ".safetensors"]
    models += [each for each in arrays if each.with_suffix(".json") in files]
    models = models or arrays  # snapshots, which are no models to import: alone, they are refused with what to do
    checkpoints = {each: int(found["steps"]) for each in models if (found := CHECKPOINT.fullmatch(each.stem))}
    final = [each for each in models if each not in checkpoints and each.stem != "best_model"]
    if len(final) > 1:
        more = f" and {len(final) - 3} more" if len(final) > 3 else ""
        raise AgentImportError(f"{folder}: holds {', '.join(each.name for each in final[:3])}{more}; name one of them")
    if final:
        return final[0]
    if checkpoints:
        return max(checkpoints, key=lambda each: checkpoints[each])
    if models:
        return models[0]
    zips = ", ".join(each.name for each in files if each.suffix == ".zip")
    raise AgentImportError(
        f"{folder}: holds no agent; a .zip of Stable-Baselines3, a state dictionary or an exchange file is expected"
        + (f" ({zips} is not whole, or something else)" if zips else "")
    )


def _normalizer(model: Path, folders: list[Path]) -> Path | None:
    if found := CHECKPOINT.fullmatch(model.stem):
        own = model.with_name(f"{found['prefix']}_vecnormalize_{found['steps']}_steps.pkl")
        if own.is_file():
            return own
    candidates = (folder / name for folder in folders for name in NORMALIZERS)
    return next((each for each in candidates if each.is_file()), None)


def _yaml(folders: list[Path], name: str) -> dict[str, Any]:
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    return archive.yaml_mapping(found) if found else {}
