"""What is kept comes back as it was, to the last bit, and what is not whole is refused."""

import json
import math
import struct
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import BaseModel
from safetensors.numpy import save

from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.learning import campaign
from dpg.probes.gradient_sums import GradientSums, GramSums
from dpg.probes.landscape import Plane
from dpg.runtime.serialization import SerializationError, digest, from_bytes, to_bytes
from dpg.streams.episodes import Episodes
from dpg.tables.training import IterationRecord
from dpg.tables.value import PredictionError

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = [np.dtype(name) for name in ("bool", *INTEGERS, *FLOATS)]


@dataclass(frozen=True)
class Leaf:
    name: str
    value: Any


@dataclass(frozen=True)
class Branch:
    left: Any
    right: Any


class Pair(NamedTuple):
    first: Any
    second: Any


class Outer:
    """A class that holds another."""

    @dataclass(frozen=True)
    class Inner:
        value: int


class Settings(BaseModel):
    rate: float
    names: tuple[str, ...]
    clip: float | None


class Colour(IntEnum):
    RED = 1


class Meters(float):
    """A number of another kind."""


def same(a: Any, b: Any) -> bool:
    """Whether two trees are of the same types, dtypes and bits; the order of a dict's entries is part of it."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or struct.pack("<d", a) == struct.pack("<d", b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, BaseModel):
        return same(dict(a), dict(b))
    if is_dataclass(a):
        return all(same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))
    return a == b


def come_back(tree: Any) -> Any:
    return from_bytes(to_bytes(tree))


numbers = st.sampled_from(DTYPES).flatmap(hnp.from_dtype)
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
views = arrays.flatmap(
    lambda array: st.sampled_from([array, array.T, np.asfortranarray(array), array[::2] if array.ndim else array])
)
models = st.builds(
    Settings,
    rate=st.floats(),
    names=st.lists(st.text(max_size=3), max_size=2).map(tuple),
    clip=st.none() | st.just(0.5),
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | numbers | views | models
keys = st.text(max_size=3) | st.integers() | st.booleans() | st.tuples(st.integers(), st.text(max_size=2))
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.builds(Leaf, st.text(max_size=3), inner)
        | st.builds(Branch, inner, inner)
        | st.builds(Pair, inner, inner)
        | st.builds(Outer.Inner, st.integers())
    ),
    max_leaves=8,
)


@given(trees)
@settings(max_examples=100)
def test_any_tree_comes_back_the_same_in_type_dtype_and_every_bit(tree):
    assert same(come_back(tree), tree)


@given(st.sampled_from(DTYPES), st.data())
@settings(max_examples=50)
def test_every_dtype_comes_back_whatever_the_layout(dtype, data):
    """Fortran order and strides go, shape and bits stay; and what is read can be written to, as if computed."""
    array = data.draw(hnp.arrays(dtype, (2, 3)))
    for view in (
        array,
        array.T,
        np.asfortranarray(array),
        array[:, ::-2],
        array[0, 0],
        array[:0],
        np.array(array[0, 0]),
    ):
        found = come_back(view)
        assert same(found, view)
        assert isinstance(found, np.generic) or found.flags.writeable


def test_the_parts_of_a_dict_that_looks_like_our_own_structure_are_not_taken_for_it():
    for tree in ({"array": 0}, {"record": "x:y", "fields": {}}, {"tuple": [1]}, {"dict": [[1, 2]]}):
        assert same(come_back(tree), tree)


def results(make_recipe: Callable[..., Recipe], make_population: Callable[..., Any]) -> list[Any]:
    """One result of every function whose shards are kept."""
    rng = np.random.default_rng(0)
    sums = GradientSums(*(rng.standard_normal(3) for _ in range(4)), *(rng.standard_normal((3, 5)) for _ in range(2)))
    recipe = make_recipe("trpo")
    state = replace(make_population(2), iteration=3)
    group = campaign.Group(recipe, (0, 1), (1e-4, 3e-4))
    record = IterationRecord(0, 3, 100, 1.0, float("nan"), 3, 0.1, 0.2, 0.3, 0.4, 0.5)
    error = PredictionError(
        "A-v0",
        "ppo",
        0,
        1,
        "train",
        "gae",
        10,
        2,
        0.1,
        0.2,
        float("inf"),
        0.0,
        -0.0,
        0.1,
        9,
        float("nan"),
        float("nan"),
        0,
    )
    return [
        (sums, GramSums(3, np.eye(2), np.ones((2, 2)) / 3, np.zeros((2, 2, 3)))),
        Episodes(rng.standard_normal((2, 3)), np.arange(6).reshape(2, 3)),
        Plane(rng.standard_normal(4), rng.standard_normal(4), 3, rng.standard_normal(6)),
        [error, replace(error, split="heldout")],
        campaign.TrainedGroup(group, state, [record, replace(record, iteration=4)]),
        Snapshot(1, recipe, state.member(0)),
        make_recipe("ppo"),
    ]


def test_the_results_and_inputs_of_this_project_come_back(make_recipe, make_population):
    for result in results(make_recipe, make_population):
        found = come_back(result)
        assert same(found, result)
        assert digest(found) == digest(result)


def test_what_is_derived_and_cached_is_no_part_of_a_tree(make_population):
    population = make_population()
    fresh = to_bytes(population)
    assert population.architecture.policy_layout.size > 0  # now it is cached
    assert to_bytes(population) == fresh


@given(trees)
def test_equal_trees_have_equal_digests(tree):
    assert digest(come_back(tree)) == digest(tree)


@given(trees, trees)
def test_other_trees_have_other_digests(a, b):
    assert (digest(a) == digest(b)) == same(a, b)


@given(st.sampled_from(DTYPES[1:]), st.data())
def test_any_bit_of_an_array_changes_the_digest(dtype, data):
    array = data.draw(hnp.arrays(dtype, (2, 3)))
    changed = array.copy()
    bit = data.draw(st.integers(0, 8 * array.nbytes - 1))
    changed.view(np.uint8).reshape(-1)[bit // 8] ^= 1 << bit % 8
    assert digest(Leaf("a", array)) != digest(Leaf("a", changed))


def test_types_fields_shapes_and_order_change_the_digest(make_recipe):
    array = np.zeros((2, 3))
    recipe = make_recipe()
    trees = [
        None, 0, False, 0.0, -0.0, "", "0", [], (), {}, [0], (0,), {0: 0}, {0: 0.0}, {0: 1, 1: 0}, {1: 0, 0: 1},
        np.float64(0), np.float32(0), np.int64(0), np.array(0.0), array, array.T, array.reshape(6), array[:0],
        array.astype(np.int64), Pair(0, 0), (0, 0), Leaf("a", 0), Leaf("b", 0), Leaf("a", 1), Branch("a", 0),
        recipe, recipe.model_copy(update={"seed": 1}), recipe.common, recipe.config,
    ]  # fmt: skip
    digests = [digest(tree) for tree in trees]
    assert len(set(digests)) == len(trees)


def local_class() -> Any:
    @dataclass
    class Local:
        value: int

    return Local(1)


@pytest.mark.parametrize(
    "tree",
    [
        {1, 2},
        b"bytes",
        1j,
        Path("x"),
        len,
        Leaf,
        local_class(),
        np.array([None, 1]),
        np.array(["a"]),
        np.array([1 + 1j]),
        np.array([1.0], np.longdouble),
        np.array([1.0], ">f8"),
        np.datetime64("2020-01-01"),
        np.ma.array([1.0, 2.0], mask=[True, False]),
        Colour.RED,
        Meters(1.0),
        OrderedDict(a=1),
    ],
    ids=lambda tree: f"{type(tree).__name__}-{str(tree)[:20]}",
)
def test_what_would_not_come_back_as_it_was_is_refused(tree):
    """It would be lost, or come back as another type or value, and results would depend on whether they were kept."""
    with pytest.raises(SerializationError):
        to_bytes(Leaf("a", [tree]))
    with pytest.raises(SerializationError):
        digest(Leaf("a", [tree]))


WHOLE = to_bytes([Branch(np.arange(3.0), Pair(1, {"a": 2.5})), Settings(rate=1.0, names=("a",), clip=None)])


@pytest.mark.parametrize("length", [*range(0, len(WHOLE), 7), len(WHOLE) - 1])
def test_a_truncated_file_is_refused(length):
    with pytest.raises(SerializationError):
        from_bytes(WHOLE[:length])


@given(st.integers(0, 8 * len(WHOLE) - 1))
def test_a_flipped_bit_gives_another_tree_or_a_tree_error_and_nothing_else(bit):
    """The digest of the file is checked elsewhere: here nothing may end a run with an error of another kind."""
    data = bytearray(WHOLE)
    data[bit // 8] ^= 1 << bit % 8
    with suppress(SerializationError):
        from_bytes(bytes(data))


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(data):
    with pytest.raises(SerializationError):
        from_bytes(data)


HERE = f"{Leaf.__module__}:"


@pytest.mark.parametrize(
    "structure",
    [
        {"array": 0},
        {"array": "x"},
        {"dict": 3},
        {"dict": [[{"dict": []}, 1]]},
        {"tuple": None},
        {"record": 5, "fields": {}},
        {"record": "", "fields": {}},
        {"record": f"{HERE}Leaf", "fields": [1]},
        {"record": f"{HERE}Leaf", "fields": {"name": "a"}},
        {"record": f"{HERE}Leaf", "fields": {"other": 1}},
        {"record": f"{HERE}Pair", "fields": 5},
        {"record": f"{HERE}Settings", "fields": {}},
        {"record": f"{HERE}Settings", "fields": {"rate": "x", "names": [], "clip": None}},
        {"record": f"{HERE}Missing", "fields": {}},
        {"record": f"{HERE}Outer", "fields": {}},
        {"record": f"{HERE}local_class", "fields": {}},
        {"record": "builtins:eval", "fields": {"source": "1"}},
        {"record": "builtins:tuple", "fields": {}},
        {"record": "subprocess:Popen", "fields": {"args": "true"}},
        {
            "record": "dpg.agent.population:Population",
            "fields": dict.fromkeys((field.name for field in fields(Population)), 1),
        },
    ],
    ids=str,
)
def test_a_structure_that_is_not_one_of_ours_is_refused(structure):
    with pytest.raises(SerializationError):
        from_bytes(save({}, metadata={"tree": json.dumps(structure)}))


def test_a_structure_too_deep_to_read_is_refused():
    with pytest.raises(SerializationError):
        from_bytes(save({}, metadata={"tree": "[" * 100_000 + "]" * 100_000}))


@pytest.mark.parametrize("metadata", [None, {}, {"other": "1"}, {"tree": "no json"}])
def test_the_arrays_of_others_are_refused(metadata):
    """A snapshot's file, put in a kept result's place, is an array file as well."""
    with pytest.raises(SerializationError):
        from_bytes(save({"0": np.zeros(3)}, metadata=metadata))


def test_reading_never_imports_a_module():
    """A file decides what it is, never what is run: neither by a module's name nor by one that loads others lazily."""
    script = """
import json, sys
from safetensors.numpy import save
from dpg.runtime import serialization
import scipy
for name in ("wave:Wave_read", "dpg.probes.landscape:Plane", "scipy:interpolate.BSpline"):
    before = set(sys.modules)
    try:
        serialization.from_bytes(save({}, metadata={"tree": json.dumps({"record": name, "fields": {}})}))
    except serialization.SerializationError as error:
        assert "not a type that can be serialized" in str(error), error
    else:
        raise SystemExit(f"{name} was built")
    assert set(sys.modules) == before, (name, set(sys.modules) - before)
"""
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=False).stderr == ""
    )
