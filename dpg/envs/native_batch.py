"""Many MuJoCo simulations of one model in C threads: `mjbatch.h`, called from Python.

`mujoco.batch.Batch` wraps the same functions except `mjb_apply`, which runs a function on every simulation's `mjData`.
Contact forces need it: only `mj_rnePostConstraint` computes them.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int
from mujoco import MjModel, mjtStage, mjtState, mjtWarning  # pyright: ignore[reportAttributeAccessIssue]: no stubs

from dpg.envs.errors import EnvError

_pointer, _int = ctypes.c_void_p, ctypes.c_int
_int_pointer = ctypes.POINTER(ctypes.c_int)


class _Config(ctypes.Structure):
    """mjBatchConfig."""

    _fields_ = (("nthread", _int), ("persistent", ctypes.c_bool))


# Result and arguments of every function used, as mjbatch.h declares them.
_PROTOTYPES = {
    "mjb_makeBatch": (_pointer, (_pointer, _int, ctypes.POINTER(_Config), ctypes.c_char_p, _int)),
    "mjb_deleteBatch": (None, (_pointer,)),
    "mjb_nstate": (_int, (_pointer,)),
    "mjb_state": (_pointer, (_pointer,)),
    "mjb_stateComponent": (_pointer, (_pointer, _int, _int_pointer)),
    "mjb_output": (_pointer, (_pointer, ctypes.c_char_p, _int_pointer, _int_pointer)),
    "mjb_warning": (_pointer, (_pointer,)),
    "mjb_status": (_pointer, (_pointer,)),
    "mjb_error": (ctypes.c_char_p, (_pointer, _int)),
    "mjb_step": (_int, (_pointer, _pointer, _int, _int, _int)),
    "mjb_forward": (_int, (_pointer, _pointer, _int, _int)),
    "mjb_reset": (_int, (_pointer, _pointer, _int, _pointer, _int)),
    "mjb_apply": (_int, (_pointer, _pointer, _int, _pointer, _pointer, _int)),
}
_NO_STAGE = int(mjtStage.mjSTAGE_NONE)
_ALL_STAGES = int(mjtStage.mjSTAGE_ACC)


@cache
def _library() -> ctypes.CDLL:
    """The library that the `mujoco` package has loaded."""
    package = Path(mujoco.__file__).parent
    found = [path for path in package.iterdir() if path.name.startswith("libmujoco") or path.name == "mujoco.dll"]
    if not found:
        raise EnvError(f"MuJoCo's library is not in {package}")
    library = ctypes.CDLL(str(found[0]))
    for name, (result, arguments) in _PROTOTYPES.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise EnvError(f"MuJoCo {mujoco.__version__} has no {name}: install the version that is pinned") from error
        function.restype, function.argtypes = result, arguments
    return library


class _Handle:
    """Owns an `mjBatch`, which lives as long as anything that points into it."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._delete = _library().mjb_deleteBatch

    def __del__(self) -> None:
        self._delete(self.address)


class _Memory:
    """A block of a batch's memory for NumPy; arrays on it keep the batch alive."""

    def __init__(self, owner: _Handle, address: int, shape: tuple[int, ...], dtype: type, *, read_only: bool) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "data": (address, read_only),
            "shape": shape,
            "typestr": np.dtype(dtype).str,
            "version": 3,
        }


def _chosen(ids: Int[np.ndarray, " K"] | None) -> tuple[Any, int]:
    """Simulation ids as C arguments: a pointer, which keeps its array alive, and a length; null for all."""
    if ids is None:
        return None, 0
    return ids.astype(np.intc).ctypes.data_as(_pointer), len(ids)


class NativeBatch:
    """E simulations of a copy of `model` on `num_threads` threads; the results do not depend on their number.

    A simulation is its row of the state; a call reads the rows, runs, and writes rows and outputs. `persistent` keeps
    an `mjData` for each simulation, as `add_contact_forces` needs, instead of one for each thread.

    Raises:
        EnvError: the batch cannot be made; or, in any call, MuJoCo raised an error in a simulation.
    """

    def __init__(self, model: MjModel, num_sims: int, num_threads: int, *, persistent: bool) -> None:
        self.num_sims = num_sims
        self._library = _library()
        message = ctypes.create_string_buffer(1000)
        config = _Config(num_threads, persistent)
        # `_address` is what the bindings offer to C callers; the batch copies the model.
        model_address: int = getattr(model, "_address")  # noqa: B009
        address = self._library.mjb_makeBatch(model_address, num_sims, config, message, len(message))
        if not address:
            raise EnvError(f"MuJoCo cannot make {num_sims} simulations: {message.value.decode()}")
        self._handle = _Handle(address)
        self._address = address
        self._rows = self._array(self._library.mjb_state(address), self._library.mjb_nstate(address), read_only=False)
        shape = (num_sims, int(mjtWarning.mjNWARNING), 2)
        warning = _Memory(self._handle, self._library.mjb_warning(address), shape, np.int32, read_only=True)
        self._warning = np.asarray(warning)
        status = _Memory(self._handle, self._library.mjb_status(address), (num_sims,), np.int32, read_only=True)
        self._status = np.asarray(status)
        self._contact_function = ctypes.cast(self._library.mj_rnePostConstraint, _pointer)

    def _array(self, address: int, size: int, *, read_only: bool) -> Float[np.ndarray, "E _"]:
        shape = (self.num_sims, size)
        return np.asarray(_Memory(self._handle, address, shape, np.float64, read_only=read_only))

    @property
    def warnings(self) -> Int[np.ndarray, "E W"]:
        """How often each simulation raised each `mjtWarning` since it was reset; live."""
        return self._warning[:, :, 1]

    def state(self, component: mjtState) -> Float[np.ndarray, "E _"]:
        """A component of the state rows (qpos, qvel, ctrl), live: writing to it sets the simulation's state."""
        size = ctypes.c_int()
        address = self._library.mjb_stateComponent(self._address, int(component), ctypes.byref(size))
        start = (address - self._rows.ctypes.data) // self._rows.itemsize
        return self._rows[:, start : start + size.value]

    @property
    def rows(self) -> Float[np.ndarray, "E _"]:
        """The whole state rows (`mjSTATE_INTEGRATION`, the solver's warm start included), live."""
        return self._rows

    def output(self, name: str) -> Float[np.ndarray, "E _"]:
        """A float64 field of `mjData`, flattened; refreshed by every call, and zero before the first. Read only."""
        size, item_size = ctypes.c_int(), ctypes.c_int()
        address = self._library.mjb_output(self._address, name.encode(), ctypes.byref(size), ctypes.byref(item_size))
        if not address or item_size.value != np.dtype(np.float64).itemsize:
            raise EnvError(f"{name} is not a float64 field of the simulations")
        return self._array(address, size.value, read_only=True)

    def step(self, num_substeps: int, ids: Int[np.ndarray, " K"] | None = None) -> None:
        """`num_substeps` times `mj_step` in the simulations `ids`, which are sorted (default: all).

        Outputs are as `mj_step` leaves them: those of the last substep, not of the new state.
        """
        self._check(self._library.mjb_step(self._address, *_chosen(ids), num_substeps, _NO_STAGE))

    def add_contact_forces(self, ids: Int[np.ndarray, " K"] | None = None) -> None:
        """`mj_rnePostConstraint`: compute cfrc_ext, which steps do not. The batch must be persistent.

        mjb_apply also passes the simulation's number and a user argument; by the C calling convention the function,
        which takes the model and the data only, ignores them.
        """
        self._check(self._library.mjb_apply(self._address, *_chosen(ids), self._contact_function, None, 0))
        # mjb_apply copies no outputs; a forward call that computes nothing does.
        self._check(self._library.mjb_forward(self._address, *_chosen(ids), _NO_STAGE))

    def clear(self, ids: Int[np.ndarray, " K"]) -> None:
        """`mj_resetData` in the simulations `ids`, which are sorted. Call `forward` afterwards."""
        self._check(self._library.mjb_reset(self._address, *_chosen(ids), None, _NO_STAGE))

    def forward(self, ids: Int[np.ndarray, " K"]) -> None:
        """`mj_forward` in the simulations `ids`, which are sorted."""
        self._check(self._library.mjb_forward(self._address, *_chosen(ids), _ALL_STAGES))

    def _check(self, num_failed: int) -> None:
        if num_failed:
            failed = int(np.flatnonzero(self._status)[0])
            message = self._library.mjb_error(self._address, failed).decode()
            raise EnvError(f"MuJoCo raised an error in {num_failed} of {self.num_sims}; in number {failed}: {message}")
