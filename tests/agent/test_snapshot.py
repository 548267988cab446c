"""Snapshots hold an agent whole, and files that are not snapshots are refused with the reason."""

import json
import re
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from dpg.agent import normalization, snapshot
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot, SnapshotError
from dpg.agent.source import Source
from dpg.runtime.errors import FileError

OWN_ALGORITHM = """
from dataclasses import replace
from dpg.algorithms import ppo
MINE = replace(ppo.ALGORITHM, name="mine")
"""


@pytest.fixture
def one(make_population, make_recipe) -> Snapshot:
    """An agent at iteration 150 whose every array holds arbitrary numbers."""
    population = make_population(1, obs_clip=10.0)
    rng = np.random.default_rng(0)
    policy, value = population.policy_adam, population.value_adam
    state = replace(
        population,
        policy_adam=replace(policy, first=rng.standard_normal(policy.first.shape).astype(np.float32), steps=480),
        value_adam=replace(value, second=rng.random(value.second.shape).astype(np.float32), steps=960),
        obs_moments=normalization.update(population.obs_moments, rng.standard_normal((1, 20, 3))),
        return_moments=normalization.update(population.return_moments, rng.standard_normal((1, 20, 1))),
        iteration=150,
    )
    return Snapshot(3, make_recipe("ppo"), state)


def rewrite(path: Path, arrays: dict | None = None, header: dict | None = None, text: str | None = None) -> None:
    """Change a snapshot's file as someone else, or an older version, might have written it."""
    with safe_open(path, framework="numpy") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()["dpg"]
    if header is not None:
        metadata = json.dumps(header_of(path) | header)
    changed = {name: array for name, array in (found | (arrays or {})).items() if array is not None}
    save_file(changed, path, metadata={"dpg": text if text is not None else metadata})


def header_of(path: Path) -> dict:
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["dpg"])


def refusal(path: Path) -> str:
    with pytest.raises(SnapshotError) as caught:
        snapshot.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def described(array: np.ndarray | None) -> str:
    return str(None if array is None else (array.shape, str(array.dtype)))


def assert_identical(a: object, b: object) -> None:
    for field in fields(a):  # type: ignore[arg-type]
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, np.ndarray):
            assert (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes()), field.name
        elif hasattr(left, "__dataclass_fields__"):
            assert_identical(left, right)
        else:
            assert left == right, field.name


@pytest.mark.parametrize("algorithm", ["ppo", "ppo_m", "trpo"])
def test_a_snapshot_comes_back_bit_for_bit(one, make_recipe, tmp_path, algorithm):
    one = replace(one, recipe=make_recipe(algorithm))
    path = snapshot.save(one, tmp_path)
    found = snapshot.load(path)
    assert_identical(found.state, one.state)
    assert (found.agent, found.iteration, found.recipe) == (3, 150, one.recipe)
    assert type(found.recipe.config) is type(one.recipe.config)


def test_the_file_is_named_after_agent_and_iteration_and_nothing_else_is_left(one, tmp_path):
    assert snapshot.save(one, tmp_path) == tmp_path / "agent03-iteration00150.safetensors"
    assert [path.name for path in tmp_path.iterdir()] == ["agent03-iteration00150.safetensors"]


def test_the_same_snapshot_is_the_same_bytes(one, tmp_path):
    """So that content-addressed storage and DVC see no change where there is none."""
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    assert snapshot.save(one, first).read_bytes() == snapshot.save(one, second).read_bytes()


def test_a_snapshot_of_several_agents_is_refused(one, make_population, tmp_path):
    with pytest.raises(ValueError, match="one agent, not 2"):
        snapshot.save(replace(one, state=make_population(2)), tmp_path)


def test_a_snapshot_that_cannot_be_put_in_place_leaves_nothing_behind(one, tmp_path):
    (tmp_path / snapshot.filename(3, 150)).mkdir()  # what os.replace cannot replace by a file
    with pytest.raises(FileError, match=r"iteration00150.*cannot be written"):
        snapshot.save(one, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [snapshot.filename(3, 150)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_snapshot_that_does_not_fit_on_the_disk_says_what_to_do(one, tmp_path):
    (tmp_path / "agent.partial").symlink_to("/dev/full")
    with pytest.raises(FileError, match=r"agent.safetensors: cannot be written \(No space .*; free disk space and run"):
        snapshot.write(one, tmp_path / "agent.safetensors")
    assert not (tmp_path / "agent.safetensors").exists()


def test_all_snapshots_of_a_directory_come_by_agent_and_iteration(one, tmp_path):
    for agent, iteration in ((10, 0), (2, 150), (2, 20)):
        snapshot.save(replace(one, agent=agent, state=replace(one.state, iteration=iteration)), tmp_path)
    found = [(one.agent, one.iteration) for one in snapshot.load_all(tmp_path)]
    assert found == [(2, 20), (2, 150), (10, 0)]


def test_a_directory_without_snapshots_is_refused(tmp_path):
    with pytest.raises(SnapshotError, match="holds no snapshots"):
        snapshot.load_all(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    assert "no such snapshot" in refusal(tmp_path / "agent00-iteration00000.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 300, -1], ids=["empty", "length only", "within the header", "last byte lost"])
def test_a_truncated_file_is_refused(one, tmp_path, kept):
    path = snapshot.save(one, tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    assert "not a whole safetensors file" in refusal(path)


def test_anothers_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"policy": np.zeros((1, 4), np.float32)}, path, metadata={"format": "pt"})
    text = refusal(path)
    assert "a dpg header is expected" in text
    assert "['format']" in text
    save_file({"policy": np.zeros((1, 4), np.float32)}, path)
    assert "found []" in refusal(path)


def test_another_format_number_is_refused(one, tmp_path):
    path = snapshot.save(one, tmp_path)
    rewrite(path, header={"format": 99})
    text = refusal(path)
    assert "format" in text
    assert "should be 1" in text
    assert "99" in text


def test_a_header_that_names_an_unknown_algorithm_is_refused(one, tmp_path):
    path = snapshot.save(one, tmp_path)
    rewrite(path, header={"recipe": header_of(path)["recipe"] | {"algorithm": "sac"}})
    text = refusal(path)
    assert "algorithm" in text
    assert "sac" in text


@pytest.mark.parametrize("part", ["architecture", "recipe", "policy_adam_steps", "iteration", "agent"])
def test_a_header_that_lacks_a_part_is_refused_by_the_parts_name(one, tmp_path, part):
    path = snapshot.save(one, tmp_path)
    rewrite(path, text=json.dumps({key: value for key, value in header_of(path).items() if key != part}))
    assert part in refusal(path)


@pytest.mark.parametrize("text", ["{", "[1]"], ids=["not JSON", "not a mapping"])
def test_a_header_that_cannot_be_read_is_refused(one, tmp_path, text):
    path = snapshot.save(one, tmp_path)
    rewrite(path, text=text)
    refusal(path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("policy", np.zeros((1, 7), np.float32)),
        ("value_adam.second", np.zeros((2, 41), np.float32)),
        ("obs_moments.mean", np.zeros((1, 4))),
        ("return_moments.count", None),
        ("log_std", np.zeros(2, np.float32)),
    ],
    ids=["policy", "value moments", "obs mean", "missing", "unexpected"],
)
def test_arrays_that_do_not_fit_the_header_are_named_with_what_was_expected_and_found(one, tmp_path, name, array):
    path = snapshot.save(one, tmp_path)
    with safe_open(path, framework="numpy") as file:
        before = file.get_tensor(name) if name in file.keys() else None  # noqa: SIM118
    rewrite(path, arrays={name: array})
    assert f"{name}: {described(before)} expected, {described(array)} found" in refusal(path)


def test_arrays_of_another_precision_are_refused(one, tmp_path):
    """A float64 policy would be trained on in float64: not the same agent."""
    path = snapshot.save(one, tmp_path)
    rewrite(path, arrays={"policy": one.state.policy.astype(np.float64)})
    text = refusal(path)
    assert "policy" in text
    assert "float64" in text


def test_a_listing_names_what_is_there_in_order(tmp_path):
    for agent, iteration in ((10, 5), (2, 100_000), (2, 0)):
        (tmp_path / snapshot.filename(agent, iteration)).touch()
    (tmp_path / "directions.safetensors").touch()
    assert snapshot.listing(tmp_path) == [(2, 0), (2, 100_000), (10, 5)]


def test_a_recipe_takes_the_algorithms_block_and_changes_of_the_common_one(params):
    recipe = Recipe.of(params, "Hopper-v4", "trpo", 7, baseline="none")
    assert (recipe.config, recipe.iterations, recipe.seed) == (params.trpo, 7, params.seed)
    assert recipe.common.baseline == "none"
    assert recipe.common.model_copy(update={"baseline": "value"}) == params.common


SOURCE = Source(files={"Hopper-v4.zip": "0" * 64}, library="Stable-Baselines3", version="2.0", algorithm="PPO")


def test_a_snapshot_of_an_agent_from_elsewhere_keeps_its_source_and_what_it_lacks(one, tmp_path):
    """Format 2, with the epsilons of another library's normalisers."""
    state = replace(one.state, obs_moments=replace(one.state.obs_moments, epsilon=1e-5))
    foreign = replace(one, state=state, source=SOURCE, lacks=("policy_adam",))
    path = snapshot.save(foreign, tmp_path)
    found = snapshot.load(path)
    assert (found.source, found.lacks) == (SOURCE, ("policy_adam",))
    assert_identical(found.state, state)
    assert header_of(path)["format"] == 2


def test_a_snapshot_of_our_own_leaves_no_trace_of_sources(one, tmp_path):
    """The files of before, byte for byte: format 1, with no keys that it did not have."""
    header = header_of(snapshot.save(one, tmp_path))
    assert header["format"] == 1
    assert not {"source", "obs_epsilon", "return_epsilon"} & set(header)


def test_what_a_measurement_needs_and_an_agent_lacks_is_named_at_once(one):
    foreign = replace(one, source=SOURCE, lacks=("value_net", "policy_adam"))
    snapshot.require(foreign, "a value fit", "value_adam")
    with pytest.raises(snapshot.MissingPartError, match="needs the value net and the state of the policy's optimizer"):
        snapshot.require(foreign, "an update", "policy_adam", "value_net")


@pytest.mark.parametrize("what", ["source", "lacks"])
def test_a_source_or_part_that_is_not_known_is_refused(one, tmp_path, what):
    path = snapshot.save(replace(one, source=SOURCE), tmp_path)
    rewrite(path, header={what: ["a soul"]})
    assert what in refusal(path)


FORMAT_1 = Path(__file__).with_name("format_1.safetensors")  # written by version 0.1.0


def test_a_snapshot_of_format_1_loads_and_is_written_as_it_was(tmp_path):
    """Agents that took days to train stay what they are."""
    found = snapshot.load(FORMAT_1)
    assert str(found) == "Hopper-v4 trpo agent 2 iteration 5"
    assert found.recipe.modules == ("my_tasks",)  # `env_modules` in the file
    assert found.recipe.config.max_kl == 0.01
    assert found.state.algorithm_state == {}
    assert snapshot.save(found, tmp_path).read_bytes() == FORMAT_1.read_bytes()


def test_state_of_an_algorithms_own_comes_back_bit_for_bit(one, tmp_path):
    state = {"beta": np.array([1 / 3], np.float32), "count": np.array([[7, 8]]), "a.b": np.zeros((1, 0, 2))}
    path = snapshot.save(replace(one, state=replace(one.state, algorithm_state=state)), tmp_path)
    assert header_of(path)["format"] == 2
    found = snapshot.load(path).state.algorithm_state
    assert found.keys() == state.keys()
    for name, array in state.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("array", "said"),
    [(None, "algorithm_state.beta: .* expected, None found"), (np.zeros(2), r"expected, \(\(2,\)")],
    ids=["missing", "of two agents"],
)
def test_state_that_does_not_fit_is_refused(one, tmp_path, array, said):
    state = replace(one.state, algorithm_state={"beta": np.zeros(1)})
    path = snapshot.save(replace(one, state=state), tmp_path)
    rewrite(path, arrays={"algorithm_state.beta": array})
    assert re.search(said, refusal(path))


def test_an_algorithms_module_is_found_in_the_snapshots_project(one, tmp_path, monkeypatch):
    """Else agents of own algorithms could be read from their own folder only."""
    own, path = tmp_path / "module_of_a_project.py", list(sys.path)
    own.write_text(OWN_ALGORITHM, encoding="utf-8")
    (tmp_path / "params.yaml").touch()
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *path])
    recipe = one.recipe.model_copy(update={"algorithm": "mine", "modules": (own.stem,)})
    saved = snapshot.save(replace(one, recipe=recipe), tmp_path / "data")
    monkeypatch.delitem(sys.modules, own.stem)
    monkeypatch.setattr(sys, "path", path)
    assert snapshot.load(saved).recipe.algorithm == "mine"
    monkeypatch.delitem(sys.modules, own.stem)


def test_the_snapshot_of_an_algorithm_whose_module_is_not_there_is_refused_with_its_name(one, tmp_path, monkeypatch):
    (tmp_path / "module_that_left.py").write_text(OWN_ALGORITHM, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    recipe = one.recipe.model_copy(update={"algorithm": "mine", "modules": ("module_that_left",)})
    path = snapshot.save(replace(one, recipe=recipe), tmp_path)
    assert snapshot.load(path).recipe.algorithm == "mine"
    (tmp_path / "module_that_left.py").unlink()
    monkeypatch.delitem(sys.modules, "module_that_left")
    text = refusal(path)
    assert "'module_that_left' cannot be imported" in text
    assert "this agent's is in the module module_that_left: install it, or put it next to params.yaml" in text


def test_a_header_with_another_algorithms_configuration_is_refused(one, make_recipe, tmp_path):
    path = snapshot.save(one, tmp_path)
    foreign = header_of(path)["recipe"] | {"config": make_recipe("trpo").config.model_dump()}
    rewrite(path, header={"recipe": foreign})
    assert "max_kl" in refusal(path)
