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

from dpg.importing import inert_pickle
from dpg.importing.errors import AgentImportError, UnsafeFileError

MAX_BYTES = 1 << 29
MAX_TEXT = 1 << 24  # of JSON, whose objects take some twenty times its size
MAX_YAML = 1 << 15  # whose reader takes a minute for a megabyte
MAX_MEMBERS = 10_000
ZIP_MAGIC, ZIP_ENTRY = b"PK\x03\x04", b"PK\x01\x02"
SERIALIZED = ":serialized:"  # the pickles in the JSON of Stable-Baselines3
ORDERED_DICT = "tag:yaml.org,2002:python/object/apply:collections.OrderedDict"
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
TENSOR_PART = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_(tensor(_v2)?|parameter)|torch\.(cuda\.)?\w+Storage"
)
TUPLE = "tag:yaml.org,2002:python/tuple"


def read(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The content of a file.

    Raises:
        AgentImportError: there is none, or it is too large.
    """
    try:
        if path.exists() and not path.is_file():
            raise AgentImportError(f"{path}: a file is expected")
        check_size(path.stat().st_size, limit, str(path))
        return path.read_bytes()
    except FileNotFoundError:
        raise AgentImportError(f"{path}: there is no such file") from None
    except OSError as error:
        raise AgentImportError(f"{path}: cannot be read ({error.strerror})") from None


def check_size(size: int, limit: int, source: str) -> None:
    """Refuse what is too large."""
    if size > limit:
        raise AgentImportError(f"{source}: has {size:,} bytes; at most {limit:,} are read")


def sha256(data: bytes) -> str:
    """The digest that names a file's content."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _opened(data: bytes, source: str, kind: str, limit: int = MAX_BYTES) -> Generator[zipfile.ZipFile]:
    """A zip in memory; nothing is extracted, so that names cannot lead anywhere.

    Raises:
        AgentImportError: it is not a whole zip, or its members are too many, too large, or packed in another way than
            agents are.
    """
    try:
        if (entries := data.count(ZIP_ENTRY)) > MAX_MEMBERS:
            raise AgentImportError(f"{source}: has {entries:,} members; at most {MAX_MEMBERS:,} are read")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist())
            if size > limit:
                raise AgentImportError(f"{source}: unpacks to {size:,} bytes; at most {limit:,} are read")
            if any(info.compress_type not in PACKED for info in archive.infolist()):
                raise AgentImportError(f"{source}: is packed by another method than deflate")
            yield archive
    except AgentImportError:
        raise
    except Exception as error:  # a broken or encrypted zip raises whatever its decoder does
        raise AgentImportError(f"{source}: not a whole {kind} ({error})") from None


def members(data: bytes, source: str, limit: int = MAX_BYTES) -> dict[str, bytes]:
    """The members of a zip by name.

    Raises:
        AgentImportError: it is not a whole zip, or its members are too large.
    """
    with _opened(data, source, "zip file", limit) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}


def is_model(path: Path) -> bool:
    """Whether a file is a model of Stable-Baselines3, to judge by the names in it."""
    try:
        with _opened(read(path), str(path), "zip file") as archive:
            return {"data", "policy.pth"} <= set(archive.namelist())
    except AgentImportError:
        return False


def json_object(data: bytes, source: str) -> dict[str, Any]:
    """A JSON object without what it holds in pickles.

    Raises:
        AgentImportError: it is not a JSON object.
    """
    check_size(len(data), MAX_TEXT, source)

    def without_pickles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if key != SERIALIZED}

    try:
        found: object = json.loads(data, object_pairs_hook=without_pickles)
    except (ValueError, RecursionError) as error:
        raise AgentImportError(f"{source}: not valid JSON ({error})") from None
    return _mapping(found, source, "JSON object")


class _DataConstructor(SafeConstructor):
    """Reads the tags that RL Zoo writes as the mappings and lists that they are.

    Mappings are not merged (`<<`): each of thirty that merges the one before it twice doubles the memory.
    """

    def flatten_mapping(self, node: Any) -> None:
        """Leave the key `<<`, which then has no constructor."""


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
        found: object = reader.load(read(path, MAX_YAML).decode())
    except ConstructorError as error:
        if tag := re.search(r"python/[\w/]+:?([\w.]*)", str(error)):
            raise UnsafeFileError(f"{path}: names {tag[1] or tag[0]}; refused, and nothing of it was run") from None
        raise AgentImportError(f"{path}: not plain YAML ({_first_line(error)})") from None
    except (YAMLError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise AgentImportError(f"{path}: not valid YAML ({_first_line(error)})") from None
    return {str(key): value for key, value in _mapping(found, str(path), "YAML mapping").items()}


def tensors(data: bytes, source: str) -> dict[Any, Any]:
    """A dictionary saved by PyTorch, read with its `weights_only` reader: tensors and plain values.

    That reader runs no code of the file, but calls the functions that it allows with whatever numbers the file says.
    So only those that tensors need may be named.

    Raises:
        UnsafeFileError: it names anything else.
        AgentImportError: it is not such a file, or not whole.
    """
    try:
        names = {name for program in _programs(data, source) for name in inert_pickle.survey(program, source)}
        if foreign := sorted(name for name in names if not TENSOR_PART.fullmatch(name)):
            raise UnsafeFileError(
                f"{source}: names {foreign[0]}, which tensors have no use for; refused, and nothing of it was run"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the reader cannot read it also refuses
            found: object = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except AgentImportError:
        raise
    except UnpicklingError as error:
        reason = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
        raise AgentImportError(
            f"{source}: not a file of tensors ({reason[1] if reason else _first_line(error)})"
        ) from None
    except Exception as error:  # a truncated file raises whatever PyTorch's reader does
        raise AgentImportError(f"{source}: not a whole file of PyTorch ({_first_line(error)})") from None
    return _mapping(found, source, "dictionary of tensors")


def _programs(data: bytes, source: str) -> Generator[io.BytesIO]:
    """The pickles that PyTorch's reader runs: one in a zip, or five in a row in the format before version 1.6."""
    if data.startswith(ZIP_MAGIC):
        with _opened(data, source, "file of PyTorch") as archive:
            pickles = [archive.read(info) for info in archive.infolist() if info.filename.lower().endswith("data.pkl")]
        yield from map(io.BytesIO, pickles)
        return
    stream = io.BytesIO(data)
    for _ in range(5):
        if stream.tell() < len(data):
            yield stream


def weights(found: dict[Any, Any], source: str) -> dict[str, np.ndarray]:
    """The tensors of a dictionary in float32.

    Raises:
        AgentImportError: something in it is not a dense tensor of finite numbers, or they are too many.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, value in found.items():
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            raise AgentImportError(f"{source}: {name} must be a tensor of real numbers, not a {type(value).__name__}")
        # A view or an older file can claim any number of elements.
        check_size(4 * value.numel() + sum(array.nbytes for array in arrays.values()), MAX_BYTES, f"{source}: {name}")
        array = numbers(value)
        if array is None or not np.isfinite(array).all():
            raise AgentImportError(f"{source}: {name} must be a dense tensor of finite numbers")
        arrays[str(name)] = array
    return arrays


def numbers(tensor: torch.Tensor) -> np.ndarray | None:
    """A copy of a dense tensor's elements in float32; None for a tensor of another kind."""
    try:
        return tensor.detach().to(torch.float32).numpy().copy()
    except (RuntimeError, TypeError, NotImplementedError):
        return None


def _mapping(found: object, source: str, expected: str) -> dict[Any, Any]:
    if not isinstance(found, dict):
        raise AgentImportError(f"{source}: a {expected} is expected, not a {type(found).__name__}")
    return found


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(". ")[:160] if lines else type(error).__name__
