"""Every mistake in `params.yaml` is refused in one line that names the parameter, its value and what is allowed."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from dpg.runtime import ids
from dpg.runtime.config import ConfigError, load, parse

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


@pytest.fixture
def raw() -> dict[str, Any]:
    """`params.yaml` as a plain mapping, at scale `laptop`."""
    return YAML(typ="safe", pure=True).load(PARAMS) | {"scale": "laptop"}


def put(raw: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    changed = copy.deepcopy(raw)
    *path, last = name.split(".")
    section = changed
    for part in path:
        section = section[part]
    section[last] = value
    return changed


def message(raw: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(raw)
    return str(caught.value)


def test_the_repositorys_params_load_and_hold_what_the_file_says(raw):
    params = load(PARAMS)
    assert params.common.gamma == raw["common"]["gamma"]
    assert params.common.policy_hidden == tuple(raw["common"]["policy_hidden"])
    assert params.algorithm("ppo_m").reward_clip is None
    assert params.algorithm("trpo").max_kl == raw["trpo"]["max_kl"]


def test_budget_is_the_chosen_scales(raw):
    for scale in raw["scales"]:
        assert parse(raw | {"scale": scale}).budget.train.iterations == raw["scales"][scale]["train"]["iterations"]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("common.gamma", 1.0, "less than 1"),
        ("common.gamma", -0.1, "greater than or equal to 0"),
        ("common.gamma", float("nan"), "finite number"),
        ("ppo.lr", float("inf"), "finite number"),
        ("common.gamma", "high", "valid number"),
        ("common.gamma", True, "valid number"),
        ("common.gamma", None, "valid number"),
        ("common.timesteps", True, "valid integer"),
        ("common.timesteps", 2000.0, "valid integer"),
        ("common.timesteps", "2000", "valid integer"),
        ("common.timesteps", 1, "greater than or equal to 2"),
        ("common.clip_actions", 1, "valid boolean"),
        ("common.clip_actions", "yes", "valid boolean"),
        ("common.time_limit", "ignore", "'bootstrap' or 'terminal'"),
        ("common.value_target", "mc", "'gae', 'returns' or 'td'"),
        ("common", 3, "must be a section of timesteps, gamma, "),
        ("ppo.reward_clip", -10.0, "greater than 0"),
        ("ppo.init", "zeros", "'orthogonal' or 'xavier'"),
        ("trpo.fisher_fraction", 0.0, "greater than 0"),
        ("ppo.adam_eps", 1e-300, "greater than or equal to 0.000000000000001"),
        ("ppo.value_clip", 1e300, "less than or equal to 1000000000000000"),
        ("trpo.fisher_fraction", 1.5, "less than or equal to 1"),
        ("trpo.accept_ratio", 1.0, "less than 1"),
        ("statistics.resamples", 10, "greater than or equal to 100"),
        ("seed", -1, "greater than or equal to 0"),
        ("scale", "desktop", "'smoke', 'laptop', 'workstation' or 'paper'"),
        ("landscape.step_range", [3.0, 0.0], "must increase"),
        ("figures.formats", ["png", "png"], "twice"),
        ("figures.formats", [], "at least 1 item"),
        ("envs", "Hopper-v4", "must be a list, such as [Hopper-v4]"),
        ("envs", None, "must be a list, such as [Hopper-v4]"),
        ("envs", {"Hopper-v4": 1}, "must be a list, such as [Hopper-v4]"),
        ("algorithms", "ppo", "must be a list, such as [ppo]"),
        ("modules", "my_tasks", "must be a list, such as [my_package.tasks]"),
        ("common.policy_hidden", 64, "must be a list, such as [64, 64]"),
        ("landscape.target_error", 0, "greater than 0"),
        ("landscape.target_error", -0.02, "greater than 0"),
        ("landscape.target_error", "small", "valid number"),
        ("landscape.step_range", 3.0, "must be a list, such as [0.0, 3.0]"),
        ("landscape.step_range", [0.0, 1.0, 3.0], "must have 2 items"),
        ("scales.laptop.regimes.rates", 1e-4, "must be a list, such as [1.0e-4, 3.0e-4]"),
        ("scale", ["smoke"], "'smoke', 'laptop', 'workstation' or 'paper'"),
        ("seed", [0, 1], "must be one whole number, not a list"),
        ("ppo.lr", [1e-4, 3e-4], "must be one number, not a list"),
        ("ppo.reward_clip", [10.0], "must be one number, not a list"),
        ("common.clip_actions", {"yes": 1}, "must be true or false, not a section"),
        ("envs", [], "at least 1 item"),
        ("envs", ["Hopper-v4", "Hopper-v4"], "twice"),
        ("algorithms", ["ppo", "ppo"], "twice"),
        ("scales.paper.checkpoint.fractions", [0.3, 0.0], "must increase"),
        ("scales.paper.gradient.sizes", [100, 100], "must increase"),
        ("scales.paper.landscape.update_pairs", [4000, 2000], "must increase"),
        ("scales.paper.landscape.update_pairs", 2000, "must be a list"),
        ("scales.smoke.gradient.repeats", 2, "greater than or equal to 3"),
        ("scales.laptop.true_value.pairs", 4000, "must be a multiple of common.timesteps (2000), and three streams"),
        ("scales.smoke.true_value.states", 1, "greater than or equal to 3"),
        ("scales.laptop.regimes.envs", None, "must be all or a list, such as [Humanoid-v4]"),
        ("scales.laptop.regimes.envs", ["Hopper-v4", "Hopper-v4"], "twice"),
        ("scales.laptop.ablation.algorithms", None, "must be all or a list, such as [ppo]"),
        ("scales.laptop.ablation.algorithms", ["ppo", "ppo"], "twice"),
        ("scales.paper.update_gain.update_pairs", [], "must have at least 1 item"),
        # What no memory holds.
        ("statistics.resamples", 10**7, "less than or equal to 1000000"),
        ("scales.laptop.landscape.pairs_per_point", 10**20, "less than or equal to 1000000000"),
        ("scales.laptop.gradient.true_pairs", 2000 * 10**15, "less than or equal to 1000000000"),
        ("scales.laptop.train.agents", 10**20, "less than or equal to 1000000000"),
        ("ppo.value_epochs", 10**20, "less than or equal to 1000000000"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(raw, name, value, allowed):
    text = message(put(raw, name, value))
    assert f"{name} = {value!r}: " in text
    assert allowed in text
    assert "1 mistake:" in text


@pytest.mark.parametrize(
    ("name", "value", "entry", "allowed"),
    [
        ("envs", ["Hopper-v4", "../v4"], "envs.1 = '../v4'", "Gymnasium id"),
        ("envs", ["a/b/Task-v0"], "envs.0 = 'a/b/Task-v0'", "Gymnasium id"),
        ("envs", ["-v0"], "envs.0 = '-v0'", "Gymnasium id"),
        ("envs", ["Task v0"], "envs.0 = 'Task v0'", "Gymnasium id"),
        ("envs", ["mine:Task-v0"], "envs.0 = 'mine:Task-v0'", "name it in `modules`"),
        ("scales.smoke.regimes.rates", [1e-4, -1e-4], "scales.smoke.regimes.rates.1 = -0.0001", "greater than 0"),
        ("algorithms", ["ppo2"], "algorithms.0 = 'ppo2'", "'ppo', 'ppo_m' or 'trpo'"),
        ("common.policy_hidden", [64, 0], "common.policy_hidden.1 = 0", "greater than or equal to 1"),
        ("common.policy_hidden", [10**9], "common.policy_hidden.0 = 1000000000", "less than or equal to 65536"),
        ("scales.smoke.landscape.grid", [3, 10**6], "landscape.grid.1 = 1000000", "less than or equal to 200"),
        ("scales.paper.update_gain.updates", [10**20], "updates.0 = 100000000000000000000", "less than or equal to"),
        ("scales.smoke.landscape.grid", [3, 1], "scales.smoke.landscape.grid.1 = 1", "greater than or equal to 2"),
        ("landscape.step_range", [0.0, 1e300], "landscape.step_range.1 = 1e+300", "less than or equal to"),
        ("scales.smoke.landscape.grid", [3], "scales.smoke.landscape.grid.1", "is missing"),
    ],
)
def test_a_mistake_inside_a_list_is_named_by_its_entry(raw, name, value, entry, allowed):
    text = message(put(raw, name, value))
    assert f"{entry}: " in text
    assert allowed in text


@pytest.mark.parametrize("env_id", ["mine/Task-v0", "Task", "My.Task-v1", "3Task-v0", "Tâche-v0", "_-v0"])
def test_an_id_may_be_what_gymnasium_allows(raw, env_id):
    assert parse(put(raw, "envs", ["Hopper-v4", env_id])).envs[1] == env_id


def test_tasks_do_not_share_folders(raw):
    """`data/tables/regimes/mine` would hold the outputs of another stage, which DVC refuses with many words."""
    assert "must not hold both mine and mine/Task-v0" in message(put(raw, "envs", ["mine/Task-v0", "mine"]))
    assert parse(put(raw, "envs", ["mine/Task-v0", "mine-v0", "mine/Other-v0"])).envs[2] == "mine/Other-v0"


@pytest.mark.parametrize(
    ("env_id", "without_version"),
    [("Hopper-v4", "Hopper"), ("mine/Hopper-v0", "mine/Hopper"), ("Hopper-vast", "Hopper-vast")],
)
def test_versions_of_a_task_are_of_one_family(env_id, without_version):
    """The claim about Hopper would else be decided by a task of another name."""
    assert ids.family(env_id) == without_version


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("common.gama", "common.gamma"), ("ppo.learning_rate", None), ("sede", "seed"), ("scales.smoke.trian", "train")],
)
def test_a_misspelt_key_is_refused_with_a_suggestion(raw, name, suggestion):
    text = message(put(raw, name, 0.5))
    assert f"{name} = 0.5: no such parameter" in text
    assert "allowed: " in text
    assert ("did you mean" in text) == (suggestion is not None)
    assert suggestion is None or suggestion in text


def test_a_parameter_by_its_former_name_is_refused_with_the_new_one(raw):
    """Whoever comes back with an old params.yaml is to see at once what to change."""
    raw["common"]["env_modules"] = raw.pop("modules")
    text = message(raw)
    assert "common.env_modules = []: is now called modules" in text
    assert "modules: is missing" in text


@pytest.mark.parametrize(
    "name", ["common.gamma", "ppo", "ppo.clip_eps", "regimes.algorithm", "scales.paper.gradient.true_pairs"]
)
def test_a_missing_key_is_named(raw, name):
    changed = copy.deepcopy(raw)
    *path, last = name.split(".")
    section = changed
    for part in path:
        section = section[part]
    del section[last]
    assert f"{name}: is missing" in message(changed)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("scales.laptop.train.snapshot_every", 7, "must divide train.iterations"),
        ("scales.laptop.checkpoint.curve_every", 7, "must be a multiple of train.snapshot_every"),
        ("scales.laptop.checkpoint.fractions", [0.3, 0.32], "must each have a snapshot of its own"),
        ("scales.laptop.landscape.agents", 999, "must be at most train.agents"),
        ("scales.laptop.landscape.concentration", [10, 10**7], "must each be less than pairs_per_point"),
        ("landscape.random_range", [1.0, 3.0], "must have 0 among its 7 evenly spaced points"),
        ("scales.laptop.gradient.true_pairs", 5, "must be at least the largest of gradient.sizes"),
        ("scales.laptop.update_gain.updates", [12, 2], "must have one number for each of update_pairs ([2000])"),
        ("ppo.minibatches", 10**6, "must be at most common.timesteps"),
        ("trpo.value_minibatches", 10**6, "must be at most common.timesteps"),
        ("scales.laptop.regimes.timesteps", [20, 10000], "must each be at least ppo.minibatches (32)"),
    ],
)
def test_values_that_disagree_are_named(raw, name, value, allowed):
    text = message(put(raw, name, value))
    assert f"{name} = {value}: {allowed}" in text


@pytest.mark.parametrize("name", ["ablation.algorithms", "regimes.envs"])
def test_a_scale_may_leave_out_tasks_and_algorithms(raw, name):
    """`all` or a list, which may be empty or have `all`; other scales and experiments use what this one does not."""
    section, _ = name.split(".")

    def includes(value, name_or_id):
        return getattr(parse(put(raw, f"scales.laptop.{name}", value)).budget, section).includes(name_or_id)

    for value, expected in (("all", True), (["all"], True), (["trpo", "all"], True), (["ppo_m"], True), ([], False)):
        assert includes(value, "ppo_m") == expected
    assert not includes(["trpo"], "ppo_m")
    text = message(put(raw, f"scales.laptop.{name}", "some"))
    assert f"scales.laptop.{name} = 'some': must be all or a list, such as [" in text


def test_an_ablation_of_an_algorithm_without_a_block_is_refused(raw):
    text = message(put(raw, "scales.laptop.ablation.algorithms", ["ppo2"]))
    assert "ablation.algorithms = ppo2: must be of algorithms with a block in params.yaml: ppo, ppo_m, trpo" in text


@pytest.mark.parametrize("stage", ["gradient", "baselines"])
def test_sizes_beyond_an_iteration_must_be_whole_iterations(raw, stage):
    timesteps = raw["common"]["timesteps"]
    sizes = [timesteps // 2, timesteps, timesteps + 1]
    text = message(put(raw, f"scales.laptop.{stage}.sizes", sizes))
    assert f"scales.laptop.{stage}.sizes = {timesteps + 1}: " in text
    assert f"multiples of it ({timesteps})" in text


@pytest.mark.parametrize("stage", ["landscape", "update_gain"])
def test_update_pairs_must_be_whole_iterations(raw, stage):
    timesteps = raw["common"]["timesteps"]
    raw["scales"]["laptop"]["update_gain"] |= {"update_pairs": [timesteps, 2 * timesteps], "updates": [2, 2]}
    text = message(put(raw, f"scales.laptop.{stage}.update_pairs", [timesteps, timesteps + 1]))
    assert f"scales.laptop.{stage}.update_pairs = {timesteps + 1}: " in text
    assert f"({timesteps})" in text


def test_only_the_chosen_scale_must_fit_the_iteration_length(raw):
    """A user who changes `timesteps` for a smoke run need not repair the budgets that the run does not read."""
    sizes = [100, raw["common"]["timesteps"] + 1]
    changed = put(raw, "scales.paper.gradient.sizes", sizes)
    assert parse(changed).scales["paper"].gradient.sizes == tuple(sizes)
    assert "scales.paper.gradient.sizes" in message(changed | {"scale": "paper"})


def test_every_mistake_is_told_at_once(raw):
    text = message(put(put(raw, "common.gamma", 2), "ppo.epochs", 0))
    assert "2 mistakes:" in text
    assert "common.gamma = 2: " in text
    assert "ppo.epochs = 0: " in text


def test_numerals_that_yaml_reads_as_strings_are_numbers(raw):
    """`dvc exp run -S ppo.lr=0.00001` writes 1e-05, which YAML 1.1 readers take for a string."""
    assert parse(put(raw, "ppo.lr", "1e-05")).algorithm("ppo").lr == 1e-5


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_numeral_string_is_checked_as_a_number(raw, value):
    assert "ppo.lr = " in message(put(raw, "ppo.lr", value))


def test_null_switches_a_clip_off(raw):
    assert parse(put(raw, "ppo.obs_clip", None)).algorithm("ppo").obs_clip is None


def test_the_algorithms_block_by_name(raw):
    params = parse(raw)
    assert params.algorithm("trpo") is params.trpo
    assert params.algorithm("ppo_m") is params.ppo_m


@pytest.mark.parametrize("section", ["", "common", "ppo", "scales.smoke.train"])
def test_objects_are_frozen(raw, section):
    found: Any = parse(raw)
    for part in section.split(".") if section else []:
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    field = next(iter(type(found).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(found, field, getattr(found, field))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: there is no such file"):
        load(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("common: [1, 2", r"params\.yaml is not valid YAML"),
        ("seed: 1\nseed: 2\n", r"params\.yaml is not valid YAML"),
        ("", "params = .*: must be a section of scale, seed, envs"),
        ("- 1\n", "params = .*: must be a section of scale, seed, envs"),
    ],
    ids=["unclosed", "key given twice", "empty", "a list"],
)
def test_what_is_no_mapping_in_yaml_is_refused(tmp_path, text, said):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        load(path)


OWN = """
from dataclasses import replace
from dpg.algorithms import ppo
from dpg.runtime.fields import Positive
class MineConfig(ppo.PPOConfig):
    beta: Positive
MINE = replace(ppo.ALGORITHM, name="mine", config_type=MineConfig)
"""


@pytest.fixture
def own(raw, tmp_path, monkeypatch) -> dict[str, Any]:
    """Parameters with an algorithm whose module lies beside them."""
    (tmp_path / "my_algorithms.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_algorithms", raising=False)
    changed = put(put(raw, "modules", ["my_algorithms"]), "algorithms", ["ppo", "mine"])
    return changed | {"mine": raw["ppo"] | {"beta": 0.5}}


def test_a_block_of_ones_own_is_checked_by_its_own_configuration(own):
    assert parse(own).algorithm("mine").model_dump()["beta"] == 0.5
    text = message(put(put(own, "mine.beta", -1), "mine.clip_epz", 0.2))
    assert "2 mistakes:" in text
    assert "mine.beta = -1: should be greater than 0" in text
    assert "mine.clip_epz = 0.2: no such parameter; did you mean mine.clip_eps?" in text
    assert "mine: is missing" in message({key: value for key, value in own.items() if key != "mine"})
    assert "mine.minibatches = 1000000: must be at most" in message(put(own, "mine.minibatches", 10**6))


def test_a_misspelt_algorithm_is_refused_with_the_nearest(own):
    text = message(put(own, "algorithms", ["ppo", "mien"]))
    assert "algorithms.1 = 'mien': did you mean mine? must be one of 'ppo', 'ppo_m', 'trpo' or 'mine'" in text
    assert "regimes.algorithm = 'tppo': did you mean" in message(put(own, "regimes.algorithm", "tppo"))


def test_an_algorithm_that_is_named_needs_a_block(raw):
    """Though `algorithms` do not name it: `regimes.algorithm` does."""
    raw["algorithms"] = ["trpo"]
    del raw["ppo"]
    assert "\n  ppo: is missing: an algorithm that is named needs its block" in message(raw)


def test_parameters_survive_being_written_and_read(raw):
    """As a forecast gives them to other processes."""
    params = parse(raw)
    assert parse(params.model_dump(mode="json", serialize_as_any=True)).model_dump() == params.model_dump()


def test_a_block_of_an_unknown_algorithm_says_where_its_module_goes(raw):
    text = message(raw | {"mine": raw["ppo"]})
    assert "mine = {" in text
    assert "no such section, and no algorithm (the module of another one goes into `modules`)" in text


def test_a_module_that_cannot_be_imported_is_named(raw):
    text = message(put(raw, "modules", ["no_such_module"]))
    assert "modules = 'no_such_module' cannot be imported" in text
    assert "put no_such_module.py into the project's root" in text


def test_a_built_in_name_that_a_module_offers_as_well_is_refused(own, tmp_path):
    (tmp_path / "my_algorithms.py").write_text(OWN.replace('"mine"', '"trpo"'), encoding="utf-8")
    assert "dpg.algorithms.trpo:ALGORITHM and the module my_algorithms both offer" in message(
        own | {"algorithms": ["ppo"]}
    )


def test_modules_without_an_algorithm_are_named_where_one_is_not_found(own, tmp_path):
    """Their author thinks that it is there: a value of another type was forgotten, or the name."""
    (tmp_path / "my_algorithms.py").write_text("ALGORITHM = dict(name='mine')", encoding="utf-8")
    text = message(own)
    assert "algorithms.1 = 'mine': " in text
    assert text.count("(the module of another one goes into `modules`; there is none in my_algorithms)") == 2
    block = next(line for line in text.splitlines() if line.strip().startswith("mine = {"))
    assert "...: no such section" in block, "not the whole block"


def test_yaml_that_cannot_be_read_is_one_line(tmp_path):
    """A block that was appended twice is the mistake that is made most."""
    path = tmp_path / "params.yaml"
    path.write_text("seed: 0\nkl_ppo: {lr: 1}\nkl_ppo: {lr: 1}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r'is not valid YAML: found duplicate key "kl_ppo" \(line 3, column 1\)$'):
        load(path)
    path.write_text("seed: [0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is not valid YAML: [^\n]* \(line 2, column 1\)$"):
        load(path)


def test_the_regimes_algorithm_must_have_a_learning_rate(own):
    text = message(put(own, "regimes.algorithm", "trpo"))
    assert "regimes.algorithm = trpo: must be an algorithm with a learning rate (lr): ppo, ppo_m, mine" in text
    assert parse(put(own, "regimes.algorithm", "mine")).regimes.algorithm == "mine"


def test_a_scale_is_any_name_under_scales(raw):
    raw["scales"]["mine"] = copy.deepcopy(raw["scales"]["smoke"])
    raw["scales"]["mine"]["train"]["iterations"] = 8
    assert parse(raw | {"scale": "mine"}).budget.train.iterations == 8
    assert "scale = 'smok': did you mean smoke? must be one of" in message(raw | {"scale": "smok"})
    text = message(put(raw, "scales.mine.train.agents", 0))
    assert "scales.mine.train.agents = 0: should be greater than or equal to 1" in text
    assert "scales.mine.trian = 1: no such parameter; did you mean scales.mine.train?" in message(
        put(raw, "scales.mine.trian", 1)
    )


@pytest.mark.parametrize(("scales", "said"), [({}, "at least 1 item"), (3, "must be a section"), ({"a.b": {}}, "a.b")])
def test_scales_that_are_none_are_refused(raw, scales, said):
    text = message(raw | {"scales": scales})
    assert "scales" in text
    assert said in text
