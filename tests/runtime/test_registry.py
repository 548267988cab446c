"""Algorithms are found by name, wherever they lie, and nothing that is not one, or is another's, passes for one."""

import dataclasses
import sys
from pathlib import Path

import pytest

from dpg import algorithms
from dpg.algorithms import ppo, ppo_m
from dpg.learning import algorithm as learning
from dpg.runtime import registry
from dpg.runtime.modules import ModuleError
from dpg.runtime.registry import AlgorithmError, AlgorithmInfo

ROOT = Path(__file__).resolve().parents[2]
OWN = """
from dataclasses import replace
from dpg.algorithms import ppo
{name} = replace(ppo.ALGORITHM, name="{name}", label="Mine")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project's folder, from which modules are imported, and forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write(path: Path, *names: str) -> None:
    path.write_text("".join(OWN.format(name=name) for name in names), encoding="utf-8")


def install(folder: Path, package: str, entry: str) -> None:
    """What installing a distribution with one entry point leaves on the path."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[dpg.algorithms]\n{entry}\n", encoding="utf-8")
    sys.path.insert(0, str(folder))


def test_built_in_algorithms_are_found_by_being_there():
    """A list to edit would be one more place for every new algorithm, in this test as well."""
    files = {path.stem for path in (ROOT / "dpg" / "algorithms").glob("*.py")} - {"__init__"}
    assert set(registry.built_in()) == files
    assert [registry.find(name).name for name in sorted(files)] == sorted(files)
    assert registry.find("ppo_m") is ppo_m.ALGORITHM


def test_a_module_beside_the_parameters_may_hold_several(project):
    write(project / "mine.py", "first", "second")
    assert registry.find("second", ["mine"]).name == "second"
    assert registry.locate("first", ["mine"]).module == "mine"
    assert {"first", "second"} <= set(registry.known(["mine"]))
    with pytest.raises(AlgorithmError, match=r"there is no algorithm 'first'; .*`modules`"):
        registry.find("first")


def test_an_installed_package_offers_its_algorithms_by_entry_point(project):
    (project / "site").mkdir()
    write(project / "site" / "kit.py", "fast")
    install(project / "site", "dpg-kit", "fast = kit:fast")
    assert "fast" in registry.known()
    assert "kit" not in sys.modules, "its module is imported when the algorithm is asked for, and not before"
    found = registry.locate("fast")
    assert (found.algorithm.name, found.module, found.built_in) == ("fast", "kit", False)


def test_a_name_of_two_sources_is_refused_with_both(project):
    write(project / "mine.py", "ppo")
    with pytest.raises(AlgorithmError, match=r"dpg\.algorithms\.ppo:ALGORITHM and the module mine both offer .*'ppo'"):
        registry.check_unique("ppo", ["mine"])
    (project / "site").mkdir()
    write(project / "site" / "kit.py", "fast")
    write(project / "other.py", "fast")
    install(project / "site", "dpg-kit", "fast = kit:fast")
    with pytest.raises(AlgorithmError, match=r"dpg-kit \(kit:fast\) and the module other both offer .*'fast'"):
        registry.find("fast", ["other"])


def test_one_algorithm_by_two_doors_is_one(project):
    """A module of variants imports the original, and a package's module may be named in params.yaml as well."""
    (project / "mine.py").write_text(
        "from dataclasses import replace\nfrom dpg.algorithms.ppo import ALGORITHM as PPO\n"
        "MINE = replace(PPO, name='mine')\nAGAIN = MINE\n",
        encoding="utf-8",
    )
    install(project, "kit", "mine = mine:MINE")
    assert registry.check_unique("ppo", ["mine"]).algorithm is ppo.ALGORITHM
    assert registry.find("mine", ["mine"]).name == "mine"


def test_a_built_in_algorithm_is_found_without_importing_anything_of_the_users():
    """A snapshot of PPO can be read where the modules of its tasks are not."""
    assert registry.find("ppo", ["no_such_module"]) is ppo.ALGORITHM
    with pytest.raises(ModuleError, match="no_such_module"):
        registry.find("mine", ["no_such_module"])


def test_a_misspelt_name_is_refused_with_the_nearest():
    with pytest.raises(AlgorithmError, match="there is no algorithm 'trop'; did you mean trpo"):
        registry.find("trop")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("value = 1", "kit:value.* must be the algorithm 'value', not 1"),
        ("raise RuntimeError('no licence')", "kit:value.* cannot be imported: RuntimeError: no licence"),
        (OWN.format(name="value").replace('name="value"', 'name="else"'), "must be the algorithm 'value'"),
    ],
    ids=["no algorithm", "a module that raises", "another name"],
)
def test_an_entry_point_that_is_no_algorithm_of_its_name_is_refused(project, text, said):
    (project / "kit.py").write_text(text, encoding="utf-8")
    install(project, "kit", "value = kit:value")
    with pytest.raises(AlgorithmError, match=said):
        registry.find("value")


@pytest.mark.parametrize("name", ["scales", "common", "budget", "algorithm", "model_dump", "my-ppo", "my.ppo", "2", ""])
def test_a_name_that_parameters_folders_or_stages_cannot_have_is_refused(name):
    with pytest.raises(ValueError, match=r"name|called"):
        AlgorithmInfo(name=name, label="", config_type=ppo.PPOConfig)


def test_a_subclass_of_another_algorithms_configuration_is_refused(params, make_recipe):
    """It ran PPO without a word."""

    class Mine(ppo.PPOConfig):
        pass

    mine = Mine(**params.algorithm("ppo").model_dump())
    with pytest.raises(AlgorithmError, match=r"a configuration of ppo must be a .*PPOConfig, not a .*Mine"):
        make_recipe("ppo").model_validate(make_recipe("ppo").__dict__ | {"config": mine})
    smuggled = make_recipe("ppo").model_copy(update={"config": mine})  # which pydantic does not check
    with pytest.raises(AlgorithmError, match="PPOConfig"):
        learning.of(smuggled)


def test_another_algorithms_configuration_is_refused(make_recipe):
    recipe = make_recipe("ppo")
    with pytest.raises(AlgorithmError, match=r"a configuration of trpo must be a .*TRPOConfig, not a .*PPOConfig"):
        recipe.model_validate(recipe.__dict__ | {"algorithm": "trpo"})
    with pytest.raises(ValueError, match="max_kl"):
        recipe.model_validate(recipe.model_dump() | {"algorithm": "trpo"})


def test_what_only_describes_an_algorithm_cannot_train(project):
    (project / "mine.py").write_text(
        "from dpg.algorithms.ppo import PPOConfig\nfrom dpg.runtime.registry import AlgorithmInfo\n"
        "MINE = AlgorithmInfo(name='mine', label='Mine', config_type=PPOConfig)\n",
        encoding="utf-8",
    )
    with pytest.raises(AlgorithmError, match=r"mine must be a dpg\.learning\.algorithm\.Algorithm"):
        learning.named("mine", ["mine"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", r"cannot be imported: ZeroDivisionError: division by zero \(mine.py, line 1\)$"),
        ("def (:", r"cannot be imported: SyntaxError: invalid syntax \(mine.py, line 1\)$"),
        ("raise SystemExit(3)", r"cannot be imported: SystemExit: 3 \(mine.py, line 1\)$"),
        ("", "cannot be imported: AttributeError: module .* has no attribute 'ALGORITHM'"),
        ("ALGORITHM = 3", "must be the algorithm 'mine', not 3$"),
        (OWN.format(name="ALGORITHM"), "must be the algorithm 'mine', not the algorithm 'ALGORITHM'$"),
    ],
)
def test_a_file_among_the_algorithms_that_has_none_is_refused_in_one_line(tmp_path, monkeypatch, text, said):
    """It is where a newcomer writes the first one: a traceback would show the registry instead of the mistake."""
    monkeypatch.setattr(algorithms, "__path__", [*algorithms.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "built_in", lambda: ["mine"])
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    try:
        with pytest.raises(AlgorithmError, match=rf"^dpg\.algorithms\.mine:ALGORITHM {said}"):
            registry.find("mine")
    finally:
        sys.modules.pop("dpg.algorithms.mine", None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "my-ppo"), ("name", "my.ppo"), ("name", "ppö"), ("name", "_mine"), ("name", "x" * 65), ("name", 3),
        ("label", ""), ("label", 3), ("label", "two\nlines"),
        ("config_type", None), ("config_type", "PPOConfig"), ("config_type", dict),
        ("color", "blue"), ("color", "#12345"), ("marker", "Q"), ("marker", "oo"), ("marker", ""),
        ("dashes", (1.0,)), ("dashes", (0, 1.0)), ("dashes", "solid"),
    ],
)  # fmt: skip
def test_a_description_is_checked_where_the_algorithm_is_written(field, value):
    """Figures would fail on it hours later, and folders and DVC's stages be called what neither takes."""
    with pytest.raises(ValueError, match=f"^an algorithm's {field} must be "):
        described(**{field: value})


@pytest.mark.parametrize("name", ["common", "scales", "seed", "budget", "copy"])
def test_an_algorithm_cannot_have_the_name_of_a_section(name):
    with pytest.raises(ValueError, match=f"^an algorithm cannot be called '{name}': the parameters use that name$"):
        described(name=name)


def described(**fields) -> AlgorithmInfo:
    """PPO's description with some fields replaced, as its author's own run has it: no types are checked."""
    known = {field.name: getattr(ppo.ALGORITHM, field.name) for field in dataclasses.fields(AlgorithmInfo)}
    info = object.__new__(AlgorithmInfo)
    info.__dict__.update(known | fields)
    info.__post_init__()
    return info


@pytest.mark.parametrize(
    ("module", "hint"),
    [
        ("nowhere", "put nowhere.py into the project's root, or install it"),
        ("nowhere.py", "write it as Python imports it: nowhere"),
        ("examples/kl_ppo", "write it as Python imports it: examples.kl_ppo"),
        ("examples.kl_pppo", "put examples/kl_pppo.py into the project's root, or install it"),
    ],
)
def test_a_module_that_is_not_there_comes_with_what_to_write(module, hint):
    with pytest.raises(ModuleError, match=f"; {hint}$"):
        registry.known([module])
