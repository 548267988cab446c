"""Shard inputs and results as bytes, without pickle: reading a file runs no code of the file's choice.

Arrays form a safetensors file; the structure around them is JSON in its metadata. The round trip preserves types,
dtypes and every bit of arrays.
"""

import hashlib
import json
import sys
from dataclasses import fields, is_dataclass
from functools import partial
from types import NoneType
from typing import Any

import numpy as np
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.numpy import load, save

HEADER = 8  # bytes at the start of a safetensors file: the length of its JSON header
PLAIN = (NoneType, bool, int, float, str)


class SerializationError(ValueError):
    """A value cannot be serialized, or bytes cannot be deserialized."""


def to_bytes(tree: Any) -> bytes:
    """Serialize None, bools, numbers, strings, tuples, lists, dicts, arrays, and records of these.

    A record is a dataclass, a named tuple or a pydantic model. Trees of equal content in equal order give equal bytes.

    Raises:
        SerializationError: the tree contains a value of another type.
    """
    arrays: dict[str, np.ndarray] = {}
    structure = _structure(tree, arrays)
    try:
        return save(arrays, metadata={"tree": json.dumps(structure)})
    except SafetensorError as error:
        raise SerializationError(f"an array cannot be serialized: {error}") from error


def from_bytes(data: bytes) -> Any:
    """What `to_bytes` serialized. Nothing is imported: the classes of its records must be loaded already.

    Raises:
        SerializationError: the bytes are damaged or foreign, or a class is not loaded.
    """
    try:
        arrays = load(data)
        length = int.from_bytes(data[:HEADER], "little")
        structure = json.loads(json.loads(data[HEADER : HEADER + length])["__metadata__"]["tree"])
        return _build(arrays, structure)
    except Exception as error:  # a record may raise anything when its fields are not what it expects
        raise SerializationError(f"cannot be deserialized: {error!r}") from error


def digest(tree: Any) -> str:
    """A hexadecimal digest of a tree's content: equal for equal trees only.

    Raises:
        SerializationError: as `to_bytes`.
    """
    return hashlib.blake2b(to_bytes(tree), digest_size=16).hexdigest()


def _structure(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A tree as JSON that refers to its arrays by name; they are added to `arrays`."""
    visit = partial(_structure, arrays=arrays)
    kind = type(node)  # exact types: a subclass of int, dict or ndarray would come back as its base
    if kind is np.ndarray or isinstance(node, np.generic):
        array = np.require(node, requirements="C")
        if not array.dtype.isnative:
            raise SerializationError(f"an array of {array.dtype} cannot be serialized: its bytes would be swapped")
        name = str(len(arrays))
        arrays[name] = array
        return {"array" if kind is np.ndarray else "scalar": name}
    if kind in PLAIN:
        return node
    if kind is list:
        return [visit(item) for item in node]
    if kind is tuple:
        return {"tuple": [visit(item) for item in node]}
    if kind is dict:
        return {"dict": [[visit(key), visit(value)] for key, value in node.items()]}
    return {"record": _name(kind), "fields": {name: visit(getattr(node, name)) for name in _fields(kind)}}


def _build(arrays: dict[str, np.ndarray], node: Any) -> Any:  # noqa: PLR0911
    build = partial(_build, arrays)
    match node:
        case list():
            return [build(item) for item in node]
        case {"array": name}:
            return arrays[name]
        case {"scalar": name}:
            return arrays[name][()]
        case {"tuple": items}:
            return tuple(map(build, items))
        case {"dict": items}:
            return {build(key): build(value) for key, value in items}
        case {"record": name, "fields": values}:
            cls = _find(name)
            _fields(cls)
            return cls(**{key: build(value) for key, value in values.items()})
        case _:
            return node


def _fields(cls: Any) -> list[str]:
    """The field names of a record's class.

    Raises:
        SerializationError: it is no record's class.
    """
    if isinstance(cls, type):
        if issubclass(cls, BaseModel):
            return list(cls.model_fields)
        if is_dataclass(cls):
            return [field.name for field in fields(cls)]
        names = getattr(cls, "_fields", None)
        if issubclass(cls, tuple) and names is not None:
            return list(names)
    raise SerializationError(f"{cls!r} is not a type that can be serialized")


def _name(cls: type) -> str:
    name = f"{cls.__module__}:{cls.__qualname__}"
    if _find(name) is not cls:
        raise SerializationError(
            f"{name} cannot be found again: a class must be at the top level of a module or a class"
        )
    return name


def _find(name: str) -> Any:
    """The object of that name in the loaded modules, or None."""
    module, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(part)  # `getattr(found, part)` may import a module
    return found
