"""The calls of an algorithm's functions: what each must return is checked, so that a mistake in one is a clear error.

Without the checks, an update of the wrong shape fails far from its cause, and one that writes into the population it
was given makes the probes compare an agent with itself.
"""

from operator import attrgetter
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float

from dpg.agent.population import Population
from dpg.learning.algorithm import Algorithm, Step, check_value
from dpg.learning.batch import Batch
from dpg.numerics.pytorch import Tensor, torch
from dpg.runtime.errors import UserError
from dpg.runtime.modules import cause
from dpg.runtime.registry import AlgorithmError, short
from dpg.runtime.schema import AlgorithmConfig

State = dict[str, np.ndarray]
CHANGED = ("policy", "policy_adam.first", "policy_adam.second")
KEPT = (
    "iteration",
    *("value", "value_adam.first", "value_adam.second", "value_adam.steps"),
    *("obs_moments.count", "obs_moments.mean", "obs_moments.variance"),
    *("return_moments.count", "return_moments.mean", "return_moments.variance"),
)


def initial_state(algorithm: Algorithm, population: Population, config: AlgorithmConfig) -> State:
    """`initial_state`: arrays of numbers that snapshots can hold, by name, with one row for each agent.

    Raises:
        AlgorithmError: it is something else, or the function failed.
    """
    part = "initial_state"
    state = _call(algorithm, part, population, config)
    if not (isinstance(state, dict) and all(isinstance(name, str) for name in state)):
        _refuse(algorithm, f"{part} must return arrays by name", short(state))
    for name, array in state.items():
        if not (isinstance(array, np.ndarray) and array.shape[:1] == (population.size,)):
            allowed = f"{part} must return {name!r} as a NumPy array with a row for each of {population.size} agents"
            _refuse(algorithm, allowed, _kind(array))
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8 or not array.dtype.isnative:  # as safetensors
            _refuse(algorithm, f"{part} must return {name!r} as booleans, integers or floats", _kind(array))
    return state


def update_policy(
    algorithm: Algorithm, population: Population, batch: Batch, config: AlgorithmConfig, step: Step
) -> Population:
    """`update_policy` of a copy: the agents with other policies, and with everything else as it was or as declared.

    Raises:
        AlgorithmError: it is something else, or the function failed.
    """
    part = "update_policy"
    _check_state(algorithm, "these agents must have", population, config, population)
    copy = population.select(np.arange(population.size))
    updated = _call(algorithm, part, copy, batch, config, step)
    if not isinstance(updated, Population) or updated.architecture != population.architecture:
        _refuse(algorithm, f"{part} must return the population of the same networks", short(updated))
    for name in CHANGED:
        before, after = (attrgetter(name)(each) for each in (population, updated))
        if not isinstance(after, np.ndarray) or _kind(after) != _kind(before):
            _refuse(algorithm, f"{part} must return {name} as {_kind(before)}", _kind(after))
    for name in KEPT:
        before, after = (np.asarray(attrgetter(name)(each)) for each in (population, updated))
        if not np.array_equal(before, after, equal_nan=True):
            allowed = f"{part} may change policy, policy_adam and algorithm_state"
            raise AlgorithmError(f"{algorithm.name}: {allowed}, and it has changed {name}")
    _check_state(algorithm, f"{part} must return", updated, config, population)
    return updated


def surrogate(
    algorithm: Algorithm, population: Population, policy: Float[Tensor, "P D"], batch: Batch, config: AlgorithmConfig
) -> Float[Tensor, " P"]:
    """`surrogate`: one number for each policy vector.

    Raises:
        AlgorithmError: it is something else, or the function failed.
    """
    value = _call(algorithm, "surrogate", population, policy, batch, config)
    check_value(value, policy, algorithm.name)
    return value


def _call(algorithm: Algorithm, part: str, *arguments: Any) -> Any:
    try:
        return getattr(algorithm, part)(*arguments)
    except (UserError, MemoryError):  # the latter is not the function's fault
        raise
    except Exception as error:
        raise AlgorithmError(f"{algorithm.name}: {part} raised {cause(error)}") from error


def _check_state(
    algorithm: Algorithm, verb: str, found: Population, config: AlgorithmConfig, population: Population
) -> None:
    """Another version of the algorithm may have left the snapshot, or the update may have dropped an array."""
    expected = initial_state(algorithm, population, config)
    described = ({name: _kind(array) for name, array in each.items()} for each in (expected, found.algorithm_state))
    allowed, given = (", ".join(f"{name!r}: {kind}" for name, kind in sorted(each.items())) for each in described)
    if given != allowed:
        _refuse(algorithm, f"{verb} the state that initial_state gives ({allowed or 'none'})", given or "none")
    for name, array in found.algorithm_state.items():
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise AlgorithmError(f"{algorithm.name}: {verb} state without NaN, and {name!r} has some")


def _refuse(algorithm: Algorithm, expected: str, found: str) -> NoReturn:
    raise AlgorithmError(f"{algorithm.name}: {expected}, not {found}")


def _kind(array: object) -> str:
    """An array by type, kind of numbers and shape; anything else as Python writes it."""
    if isinstance(array, (np.ndarray, torch.Tensor)):
        kind = "" if isinstance(array, np.ndarray) else "a tensor of "
        return f"{kind}{str(array.dtype).removeprefix('torch.')} of shape {tuple(array.shape)}"
    return short(array)
