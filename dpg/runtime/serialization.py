"""Trees of dataclasses and arrays as bytes, and back: how results lie on disk. Nothing is pickled.

A tree's arrays are a safetensors file, and its structure is JSON in that file's metadata. Everything comes back as it
was: types, dtypes, every bit of every number.
"""

import hashlib
import json
import math
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError
from safetensors.numpy import load, save

LENGTH = 8  # bytes of the integer that says how long the safetensors header is
PLAIN = (NoneType, bool, int, float, str)
SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}  # bytes of the numbers that safetensors knows


class SerializationError(ValueError):
    """A tree cannot be written, or bytes are not a tree."""


def to_bytes(tree: Any) -> bytes:
    """A tree of None, bools, numbers, strings, tuples, lists, dicts, arrays, dataclasses and pydantic models as bytes.

    Raises:
        SerializationError: something in it is of another kind.
    """
    structure, arrays = _flatten(tree)
    named = {str(index): array for index, array in enumerate(arrays)}
    return save(named, metadata={"tree": json.dumps(structure)})


def from_bytes(data: bytes) -> Any:
    """The tree that `to_bytes` wrote. Its classes must have been imported: reading never imports anything.

    Raises:
        SerializationError: these are not the bytes of a tree, or its classes are unknown.
    """
    try:
        arrays = load(data)
        length = int.from_bytes(data[:LENGTH], "little")
        structure = json.loads(json.loads(data[LENGTH : LENGTH + length])["__metadata__"]["tree"])
        return _build(structure, arrays)
    except Exception as error:  # a class may raise anything when its fields are not what it expects
        raise SerializationError(f"not a tree: {error!r}") from error


def digest(tree: Any) -> str:
    """A name for a tree's content: the same for equal trees alone.

    Raises:
        SerializationError: as `to_bytes`.
    """
    structure, arrays = _flatten(tree)
    content = hashlib.blake2b(json.dumps(structure).encode(), digest_size=16)
    for array in arrays:
        content.update(array.data if array.ndim else array.tobytes())
    return content.hexdigest()


def _flatten(tree: Any) -> tuple[Any, list[np.ndarray]]:
    arrays: list[np.ndarray] = []

    def array_of(kind: str, array: np.ndarray) -> dict[str, Any]:
        if not array.dtype.isnative or array.dtype.itemsize not in SIZES.get(array.dtype.kind, ()):
            raise SerializationError(f"an array of {array.dtype} cannot be kept")
        arrays.append(np.require(array, requirements="C"))
        return {kind: len(arrays) - 1, "dtype": str(array.dtype), "shape": list(array.shape)}

    def visit(node: Any) -> Any:  # noqa: PLR0911
        kind = type(node)  # a subclass of int, dict or ndarray would come back as something else
        match node:
            case np.generic():
                return array_of("scalar", np.asarray(node))
            case _ if kind is np.ndarray:
                return array_of("array", node)
            case _ if kind is float and math.isnan(node):  # JSON has one NaN, without sign and payload
                return {"nan": struct.pack("<d", node).hex()}
            case _ if kind in PLAIN:
                return node
            case _ if kind is list:
                return [visit(item) for item in node]
            case _ if kind is dict:
                return {"dict": [[visit(key), visit(value)] for key, value in node.items()]}
            case _ if kind is tuple:
                return {"tuple": [visit(item) for item in node]}
            case tuple() if hasattr(node, "_fields"):
                return {"type": _name(kind), "items": [visit(item) for item in node]}
            case BaseModel():
                return {"type": _name(kind), "json": _json(node)}
            case _ if is_dataclass(node) and not isinstance(node, type):
                values = {field.name: visit(getattr(node, field.name)) for field in fields(node)}
                return {"type": _name(kind), "fields": values}
            case _:
                raise SerializationError(f"a {kind.__name__} cannot be kept")

    return visit(tree), arrays


def _build(node: Any, arrays: dict[str, np.ndarray]) -> Any:  # noqa: PLR0911
    build: Callable[[Any], Any] = lambda child: _build(child, arrays)  # noqa: E731
    match node:
        case {"array": index}:
            return arrays[str(index)]
        case {"scalar": index}:
            return arrays[str(index)][()]
        case {"nan": bits}:
            return struct.unpack("<d", bytes.fromhex(bits))[0]
        case {"dict": items}:
            return {build(key): build(value) for key, value in items}
        case {"tuple": items}:
            return tuple(map(build, items))
        case {"type": name, "items": items}:
            return _class(name)(*map(build, items))
        case {"type": name, "json": text}:
            return _class(name).model_validate_json(text)
        case {"type": name, "fields": values}:
            return _class(name)(**{key: build(value) for key, value in values.items()})
        case list():
            return [build(item) for item in node]
        case _:
            return node


def _json(model: BaseModel) -> str:
    text = model.model_dump_json()
    with suppress(ValidationError):
        if type(model).model_validate_json(text) == model:
            return text
    raise SerializationError(f"a {type(model).__name__} does not come back from its JSON: {text[:200]}")


def _name(cls: type) -> str:
    name = f"{cls.__module__}:{cls.__qualname__}"
    if _find(name) is not cls:
        raise SerializationError(
            f"{name} cannot be found again: only classes at the top of a module, or inside another, can"
        )
    return name


def _find(name: str) -> Any:
    """What is called so in the modules that are there; `getattr` on a module may import another."""
    module, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found


def _class(name: str) -> Any:
    found = _find(name)
    known = isinstance(found, type) and (
        is_dataclass(found) or issubclass(found, BaseModel) or hasattr(found, "_fields")
    )
    if not known:
        raise SerializationError(f"the class {name} is unknown")
    return found
