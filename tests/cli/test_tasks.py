"""Tasks of a user's own, as commands meet them: where their module lies, what they return, how they are drawn."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from dpg.agent import population, snapshot
from dpg.agent.population import Architecture
from dpg.agent.snapshot import Snapshot
from dpg.runtime.seeding import Seed
from tests.cli.conftest import initialize

TASKS = Path(__file__).resolve().parents[1] / "tasks.py"


@pytest.fixture
def project(tmp_path):
    """A folder with the tests' tasks beside `params.yaml`, under a name that nothing else has."""
    shutil.copy(TASKS, tmp_path / "my_tasks.py")
    shutil.copy(TASKS.parents[1] / "params.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def agent(project, make_recipe):
    """The snapshot of an agent of a task, in the project."""

    def save(env_id):
        recipe = make_recipe("ppo", env_id=env_id, common={"policy_hidden": ()}, modules=("my_tasks",))
        state = population.initialize(Architecture(3, 1, (), (16,), None), "xavier", [Seed(0) / "agent"])
        folder = project / "data" / "train" / env_id / "ppo"
        folder.mkdir(parents=True)
        return snapshot.save(Snapshot(0, recipe, state), folder)

    return save


def parameters(project, **changes):
    from ruamel.yaml import YAML

    yaml, path = YAML(), project / "params.yaml"
    params = yaml.load(path)
    params["modules"] = ["my_tasks"]
    params.update(changes)
    yaml.dump(params, path)


@pytest.mark.slow
def test_every_command_finds_a_module_beside_the_parameters(project, agent, script):
    """The console script does not look where it is run; from elsewhere the snapshot says where its project is."""
    path = agent("tests/Base-v0")
    parameters(project, envs=["tests/Base-v0"])
    assert "can be made and stepped: tests/Base-v0" in script("doctor", cwd=project, expect=1)
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    for folder in (project, elsewhere):
        found = json.loads(script("show", "-n", "2", "--json", str(path), cwd=folder))
        assert found["returns"][0]["mean_return"] == 20.0
    script("watch", str(agent("Picture-v0")), cwd=elsewhere)
    assert (elsewhere / "Picture-v0-ppo-agent00-iteration00000.gif").is_file()


@pytest.mark.slow
def test_worker_processes_find_the_module(project, agent, script):
    path = agent("tests/Base-v0")
    small = ["--grid", "2", "2", "--pairs", "40", "--x-range", "0", "1", "--y-range", "0", "1"]
    (project / "elsewhere").mkdir()
    script("landscape", *small, str(path), cwd=project / "elsewhere", DPG_JOBS="2")
    assert (project / "elsewhere" / "landscape" / "landscape.csv").is_file()


def test_a_module_that_cannot_be_imported_is_one_line(project, agent, dpg):
    path = agent("tests/Base-v0")
    (project / "my_tasks.py").write_text("def f(:\n", encoding="utf-8")
    output = dpg("show", str(path), cwd=project, expect=1)
    assert output.startswith("error: modules = 'my_tasks' cannot be imported: SyntaxError: invalid syntax")
    assert output.count("\n") == 1


def test_all_tasks_that_cannot_be_used_are_named_at_once(project, script):
    """By the stage that DVC runs before it touches any output."""
    parameters(project, envs=["Hopper-v2", "Base", "Endless-v0"])
    output = script(cwd=project, start=(sys.executable, "-m", "stages.params"), expect=1)
    first, second, third = output.splitlines()
    assert first == "error: params.yaml has 2 mistakes:"
    assert second.startswith("  envs.0 = 'Hopper-v2': cannot be made: ImportError: ")
    assert second.endswith("(Hopper-v4 can be made)")
    assert third.startswith("  envs.2 = 'Endless-v0': no episode has ended in 10,000 random steps; ")


def test_numbers_that_are_none_give_no_return(project, agent, dpg):
    """The rewards of this task are finite to its end: their sum told nothing."""
    output = dpg("show", "-n", "2", "--json", str(agent("NanAt250-v0")), cwd=project, expect=1)
    assert output.startswith("error: NanAt250-v0: the obs after step 250 is not finite (seed 0: look/NanAt250-v0/ppo/")
    assert output.endswith("/episode=0)\n")


@pytest.mark.parametrize(("env_id", "milliseconds"), [("Picture-v0", 30), ("PictureEvery50Ms-v0", 50)])
def test_a_task_that_does_not_say_how_fast_it_is_can_be_watched(project, agent, dpg, env_id, milliseconds):
    """By its `dt`, or 30 steps a second."""
    import imageio.v3 as imageio

    output = dpg("watch", str(agent(env_id)), "-o", "a.gif", cwd=project, MUJOCO_GL="nothing")
    assert "20 pairs, return 20.0" in output
    assert len(imageio.imread(project / "a.gif")) == 21
    assert imageio.immeta(project / "a.gif")["duration"] == milliseconds


@pytest.mark.parametrize(
    ("env_id", "said"),
    [
        ("DrawsByAnotherPackage-v0", "`python -m pip install no_such_drawing_package`"),
        ("DrawsNothing-v0", "render must return an image, uint8 of shape (height, width, 3), not NoneType"),
        ("NoPictures-v0", "draws no pictures ('rgb_array' is not in its render_modes: 'human')"),
    ],
)
def test_what_keeps_a_task_from_being_watched_is_said(project, agent, dpg, env_id, said):
    """OpenGL is MuJoCo's; its absence is no concern of other tasks."""
    output = dpg("watch", str(agent(env_id)), cwd=project, expect=1, MUJOCO_GL="nothing")
    assert said in output
    assert "GL" not in output
    assert output.count("\n") == 1
    assert not list(project.glob("*.gif"))


def test_dvc_tells_stages_of_any_id_apart(project, dvc):
    """No output lies in another's folder, and each stage is a target of its own."""
    shutil.copy(TASKS.parents[1] / "dvc.yaml", project)
    envs = ["tests/Base-v0", "Base", "Base.of-Tests-v1", "3Base-v0"]
    parameters(project, envs=envs)
    initialize(project)
    status = dvc("status", *(f"train@{env}-ppo" for env in envs), *(f"regimes@{env}" for env in envs), cwd=project)
    for env in envs:
        assert f"train@{env}-ppo:\n" in status
        assert f"regimes@{env}:\n" in status
