"""The other formats that agents' files are in, read so that nothing in them can run or fill the memory."""

import hashlib
import io
import json
import re
import warnings
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import YAMLError

from dpg.importing.errors import AgentImportError, UnsafeFileError

MAX_BYTES = 1 << 29
SERIALIZED = ":serialized:"  # the pickles in the JSON of Stable-Baselines3
ORDERED_DICT = "tag:yaml.org,2002:python/object/apply:collections.OrderedDict"
TUPLE = "tag:yaml.org,2002:python/tuple"


def read(path: Path) -> bytes:
    """The content of a file.

    Raises:
        AgentImportError: there is none, or it is too large.
    """
    try:
        if path.exists() and not path.is_file():
            raise AgentImportError(f"{path}: a file is expected")
        if path.stat().st_size > MAX_BYTES:
            raise AgentImportError(f"{path}: has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")
        return path.read_bytes()
    except FileNotFoundError:
        raise AgentImportError(f"{path}: there is no such file") from None
    except OSError as error:
        raise AgentImportError(f"{path}: cannot be read ({error.strerror})") from None


def sha256(data: bytes) -> str:
    """The digest that names a file's content."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _opened(data: bytes, source: str, kind: str) -> Generator[zipfile.ZipFile]:
    """A zip in memory; nothing is extracted, so that names cannot lead anywhere.

    Raises:
        AgentImportError: it is not a whole zip, or its members are too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if (size := sum(info.file_size for info in archive.infolist())) > MAX_BYTES:
                raise AgentImportError(f"{source}: unpacks to {size:,} bytes; at most {MAX_BYTES:,} are read")
            yield archive
    except AgentImportError:
        raise
    except Exception as error:  # a broken or encrypted zip raises whatever its decoder does
        raise AgentImportError(f"{source}: not a whole {kind} ({error})") from None


def members(data: bytes, source: str) -> dict[str, bytes]:
    """The members of a zip by name.

    Raises:
        AgentImportError: it is not a whole zip, or its members are too large.
    """
    with _opened(data, source, "zip file") as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}


def is_model(path: Path) -> bool:
    """Whether a file is a model of Stable-Baselines3, to judge by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"data", "policy.pth"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def json_object(data: bytes, source: str) -> dict[str, Any]:
    """A JSON object without what it holds in pickles.

    Raises:
        AgentImportError: it is not a JSON object.
    """

    def without_pickles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if key != SERIALIZED}

    try:
        found: object = json.loads(data, object_pairs_hook=without_pickles)
    except (ValueError, RecursionError) as error:
        raise AgentImportError(f"{source}: not valid JSON ({error})") from None
    return _mapping(found, source, "JSON object")


class _DataConstructor(SafeConstructor):
    """Reads the tags that RL Zoo writes as the mappings and lists that they are."""


def _ordered_dict(loader: Any, node: Any) -> dict[Any, Any]:
    (pairs,) = loader.construct_sequence(node, deep=True) or [[]]
    return {pair[0]: pair[1] for pair in pairs}


def _tuple(loader: Any, node: Any) -> list[Any]:
    return loader.construct_sequence(node, deep=True)


_DataConstructor.add_constructor(ORDERED_DICT, _ordered_dict)
_DataConstructor.add_constructor(TUPLE, _tuple)


def yaml_mapping(path: Path) -> dict[str, Any]:
    """A YAML mapping; the tag of an ordered dictionary is read as data.

    Raises:
        UnsafeFileError: it has another tag that names Python code.
        AgentImportError: it is not a YAML mapping.
    """
    reader = YAML(typ="safe", pure=True)
    reader.Constructor = _DataConstructor
    try:
        found: object = reader.load(read(path).decode())
    except ConstructorError as error:
        if tag := re.search(r"python/[\w/]+:?([\w.]*)", str(error)):
            raise UnsafeFileError(f"{path}: names {tag[1] or tag[0]}; refused, and nothing of it was run") from None
        raise AgentImportError(f"{path}: not plain YAML ({_first_line(error)})") from None
    except (YAMLError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise AgentImportError(f"{path}: not valid YAML ({_first_line(error)})") from None
    return {str(key): value for key, value in _mapping(found, str(path), "YAML mapping").items()}


def tensors(data: bytes, source: str) -> dict[Any, Any]:
    """A dictionary saved by PyTorch, read with its `weights_only` reader: tensors and plain values.

    Raises:
        UnsafeFileError: it names anything else.
        AgentImportError: it is not such a file, or not whole.
    """
    if zipfile.is_zipfile(io.BytesIO(data)):
        with _opened(data, source, "file of PyTorch"):
            pass  # its size is checked
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the reader cannot read it also refuses
            found: object = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        if name := re.search(r"(?:GLOBAL|global|[Cc]lass|[Ff]unction)[ :`']+([\w]+(?:\.[\w]+)+)", str(error)):
            raise UnsafeFileError(
                f"{source}: names {name[1]}, which tensors have no use for; refused, and nothing of it was run"
            ) from None
        reason = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
        raise AgentImportError(
            f"{source}: not a file of tensors ({reason[1] if reason else _first_line(error)})"
        ) from None
    except Exception as error:  # a truncated file raises whatever PyTorch's reader does
        raise AgentImportError(f"{source}: not a whole file of PyTorch ({_first_line(error)})") from None
    return _mapping(found, source, "dictionary of tensors")


def weights(found: dict[Any, Any], source: str) -> dict[str, np.ndarray]:
    """The tensors of a dictionary in float32.

    Raises:
        AgentImportError: something in it is not a dense tensor of finite numbers.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, value in found.items():
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided or not value.is_floating_point():
            raise AgentImportError(f"{source}: {name} must be a tensor of real numbers, not a {type(value).__name__}")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise AgentImportError(f"{source}: {name} claims more numbers than the file has")
        arrays[str(name)] = value.detach().to(torch.float32).numpy().copy()
        if not np.isfinite(arrays[str(name)]).all():
            raise AgentImportError(f"{source}: {name} has numbers that are not finite")
    return arrays


def _mapping(found: object, source: str, expected: str) -> dict[Any, Any]:
    if not isinstance(found, dict):
        raise AgentImportError(f"{source}: a {expected} is expected, not a {type(found).__name__}")
    return found


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(". ")[:160] if lines else type(error).__name__
