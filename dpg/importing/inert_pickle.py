"""Pickles read as data: no class that a file names is imported, and no function that it names is called.

A pickle is a program. `survey` reads it without running it, and refuses one that would take far more memory or time
than its size tells. `load` runs it with stand-ins for the few classes that the pickle of a normaliser names: they
record what they are called with and nothing else. Any other name ends the reading. `array` then builds NumPy arrays
from what was recorded.
"""

import io
import math
import pickle
import pickletools
import reprlib
from typing import Any, Self

import numpy as np

from dpg.importing.errors import AgentImportError, UnsafeFileError

MAX_BYTES = 1 << 24
MAX_STEPS = 50_000  # each may make an object; the largest pickles of agents have some thousands
PUTS, GETS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"GET", "BINGET", "LONG_BINGET"}  # of the memo
ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
KNOWN = {
    "stable_baselines3.common.vec_env.vec_normalize.VecNormalize",
    "stable_baselines3.common.running_mean_std.RunningMeanStd",
    "numpy.dtype",
    "numpy.ndarray",
    "collections.OrderedDict",
    "copyreg._reconstructor",
    "builtins.object",
    "_codecs.encode",
    "gym.utils.seeding.RandomNumberGenerator",
    *(f"{module}.{name}" for module in ARRAY_MODULES for name in ("_reconstruct", "scalar", "_frombuffer")),
}
KNOWN_PACKAGES = ("gym.spaces.", "gymnasium.spaces.", "numpy.random.")


class Inert:
    """What stands for an object of the file: the name of its class, the arguments of its making, and its state."""

    name = ""
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """An instance that has recorded what it was made with."""
        self = super().__new__(cls)
        self.args, self.state = (*args, *kwargs.values()), {}
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Everything is recorded in `__new__`, which pickles may call alone."""

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.state[key] = value


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, source: str) -> None:
        super().__init__(io.BytesIO(data))
        self._source = source

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in KNOWN and not full.startswith(KNOWN_PACKAGES):
            raise UnsafeFileError(
                f"{self._source}: names {full}, which a normaliser has no use for; refused, and nothing of it was run"
            )
        return type("Inert", (Inert,), {"name": full})

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafeFileError(
            f"{self._source}: refers to an object outside the file ({reprlib.repr(pid):.60}); refused"
        )


def load(data: bytes, source: str) -> Any:
    """The object of a pickle, with an `Inert` for every instance of a class; `source` names the file in messages.

    Raises:
        UnsafeFileError: it names anything that is not known to be harmless.
        AgentImportError: it is not a whole pickle, or too large.
    """
    if len(data) > MAX_BYTES:
        raise AgentImportError(f"{source}: has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        survey(io.BytesIO(data), source)
        return _Unpickler(data, source).load()
    except AgentImportError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise AgentImportError(f"{source}: not a whole pickle ({type(error).__name__}: {error})") from None


def survey(stream: io.BytesIO, source: str) -> set[str]:
    """What the next pickle of a stream imports, but for names that it puts together; nothing of it is run.

    Refuses what makes a small file large: many objects, a far place in the memo (the reader reserves the memory up to
    there), and objects that share their parts, as when each of a hundred tuples holds the one before it twice: their
    hash or their text visits 2**100 parts.

    Raises:
        AgentImportError: it is not a whole pickle, or one of these.
    """
    names: set[str] = set()
    stack: list[int] = []  # the parts of every object, where those that are shared count each time
    marks: list[int] = []
    memo: dict[int, int] = {}
    for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if max(step, *stack[-1:], 0) > MAX_STEPS:
            raise AgentImportError(f"{source}: a pickle of more than {MAX_STEPS:,} parts; no agent needs as many")
        if opcode.name in PUTS:
            place = len(memo) if argument is None else int(argument)
            if not 0 <= place <= MAX_STEPS:
                raise AgentImportError(f"{source}: not a whole pickle (place {place:.6g} of {MAX_STEPS:,})")
            memo[place] = stack[-1]
        elif opcode.name in GETS:
            stack.append(memo[int(argument or 0)])
        elif opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name == "POP" and marks[-1:] == [len(stack)]:
            marks.pop()
        else:
            before = opcode.stack_before
            to_mark = pickletools.markobject in before
            start = marks.pop() - before.index(pickletools.markobject) if to_mark else len(stack) - len(before)
            stack[start:] = [1 + sum(stack[start:])] * len(opcode.stack_after)
        if opcode.name in {"GLOBAL", "INST"}:
            names.add(str(argument).replace(" ", ".", 1))
    return names


def is_a(node: Any, name: str) -> bool:
    """Whether this stands for an instance of a class; also of one that `copyreg` was asked to make."""
    if not isinstance(node, Inert):
        return False
    if node.name == "copyreg._reconstructor" and node.args and isinstance(node.args[0], type):
        return getattr(node.args[0], "name", "") == name
    return node.name == name


def kind(node: Any) -> str:
    """What an object of the file is, for messages."""
    return node.name if isinstance(node, Inert) else type(node).__name__


def array(node: Any, what: str) -> np.ndarray:
    """The numbers that a number, a NumPy scalar or a NumPy array of the file holds, as float64.

    Raises:
        AgentImportError: it is none of these, or its bytes do not fit its shape.
    """
    try:
        if isinstance(node, bool | int | float):
            return np.asarray(node, np.float64)
        shape, dtype, data, order = _parts(node)
        if dtype.hasobject or dtype.kind not in "biuf" or math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f"{len(data)} bytes for {shape} of {dtype}")
        return np.frombuffer(data, dtype).reshape(shape, order=order).astype(np.float64)
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise AgentImportError(f"{what}: numbers are expected ({error})") from None


def _parts(node: Any) -> tuple[tuple[int, ...], np.dtype, bytes, Any]:
    """Shape, dtype, bytes and order of an array; only what was recorded of it is looked at."""
    if not isinstance(node, Inert):
        raise TypeError(f"a {type(node).__name__} was found")
    function = node.name.rpartition(".")[2]
    if function == "scalar":
        return (), _dtype(node.args[0]), _bytes(node.args[1]), "C"
    if function == "_frombuffer":
        data, dtype, shape, order = node.args
        return _shape(shape), _dtype(dtype), _bytes(data), "F" if order == "F" else "C"
    if function == "_reconstruct":
        _, shape, dtype, fortran, data = node.state
        return _shape(shape), _dtype(dtype), _bytes(data), "F" if fortran else "C"
    raise TypeError(f"a {node.name} was found")


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(type(size) is int and 0 <= size <= MAX_BYTES for size in shape):
        raise TypeError(f"the shape {reprlib.repr(shape):.60} was found")
    return shape


def _dtype(node: Any) -> np.dtype:
    if not is_a(node, "numpy.dtype"):
        raise TypeError(f"the dtype {reprlib.repr(node):.60} was found")
    order = node.state[1] if node.state else "|"
    text = node.args[0]
    if not isinstance(text, str) or order not in {"<", ">", "|", "="} or len(text) > 3:
        raise TypeError(f"the dtype {reprlib.repr(text):.60} was found")
    return np.dtype(order + text)


def _bytes(node: Any) -> bytes:
    if is_a(node, "_codecs.encode"):  # how protocols before 3 hold bytes
        return str(node.args[0]).encode("latin1")
    if not isinstance(node, bytes | bytearray):
        raise TypeError(f"a {type(node).__name__} was found in place of bytes")
    return bytes(node)
