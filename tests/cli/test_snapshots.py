"""`dpg show` and `dpg watch`: what a snapshot is, what its agent returns, and a video of it."""

import json
import shutil

import pytest

from dpg.agent import snapshot
from dpg.agent.population import Architecture, initialize
from dpg.agent.snapshot import Snapshot
from dpg.runtime.seeding import Seed

PLACE = "data/train/InvertedPendulum-v5/ppo"
NAME = "agent00-iteration00000.safetensors"
PENDULUM = ("InvertedPendulum-v5", 4, 1)


@pytest.fixture(scope="module")
def saved(make_recipe, tmp_path_factory):
    def save(env_id, obs_dim, action_dim):
        state = initialize(Architecture(obs_dim, action_dim, (16,), (16,), None), "xavier", [Seed(0) / "agent"])
        return snapshot.save(Snapshot(0, make_recipe("ppo", env_id=env_id), state), tmp_path_factory.mktemp("s"))

    return save


@pytest.fixture
def project(saved, tmp_path):
    (tmp_path / PLACE).mkdir(parents=True)
    shutil.copy(saved(*PENDULUM), tmp_path / PLACE / NAME)
    return tmp_path


def test_show_says_what_a_snapshot_is_and_what_it_returns(project, dpg):
    found = json.loads(dpg("show", "-n", "4", "--json", f"{PLACE}/{NAME}", cwd=project))
    assert (found["env"], found["algorithm"], found["agent"], found["iteration"]) == (
        "InvertedPendulum-v5",
        "ppo",
        0,
        0,
    )
    assert found["policy_layers"] == [4, 16, 1]
    assert found["policy_parameters"] == 4 * 16 + 16 + 16 + 1 + 1  # the last is the log standard deviation
    assert found["parameters"]["ppo"]["lr"] == 1e-4
    sampled, deterministic = found["returns"]
    assert sampled["episodes"] == 4
    assert sampled["low"] <= sampled["mean_return"] <= sampled["high"]
    assert sampled["mean_return"] != deterministic["mean_return"]
    text = dpg("show", "-n", "4", f"{PLACE}/{NAME}", cwd=project)
    assert f"[{sampled['low']:,.1f}, {sampled['high']:,.1f}]" in text
    assert "4-16-1 tanh, 98 parameters" in text


def test_one_episode_has_no_interval(project, dpg):
    found = json.loads(dpg("show", "-n", "1", "--json", f"{PLACE}/{NAME}", cwd=project))
    assert found["returns"][0]["low"] is None
    assert "returns" in dpg("show", "-n", "0", "--json", f"{PLACE}/{NAME}", cwd=project)


@pytest.mark.parametrize("command", ["show", "watch"])
def test_a_file_that_is_no_snapshot_is_refused_in_one_line(project, dpg, command):
    (project / "x.safetensors").write_text("no", encoding="utf-8")
    assert dpg(command, "nowhere", cwd=project, expect=1) == "error: nowhere: there is no such snapshot\n"
    assert "x.safetensors: not a whole safetensors file" in dpg(command, "x.safetensors", cwd=project, expect=1)


def test_shells_complete_snapshots_a_folder_at_a_time(project, dpg):
    shutil.copytree(project / PLACE, project / "data/checkpoint/InvertedPendulum-v5/ppo/studied")
    (project / "data/landscape").mkdir()
    (project / "data/landscape/directions.safetensors").write_text("no snapshot", encoding="utf-8")

    def offered(words: str) -> list[str]:
        return dpg(cwd=project, _DPG_COMPLETE="complete_bash", COMP_WORDS=f"dpg {words}", COMP_CWORD="2").split()

    assert offered("show ") == ["data/checkpoint/", "data/train/"]
    assert offered("watch data/t") == [f"{PLACE}/{NAME}"]
    assert offered("landscape data/t") == [f"{PLACE}/{NAME}"]
    assert offered("show elsewhere") == []


def test_watch_makes_a_video_of_the_first_episode_that_show_runs(project, dpg):
    """Its pictures differ: something moves."""
    import imageio.v3 as imageio

    output = dpg("watch", "-o", "a.gif", f"{PLACE}/{NAME}", cwd=project, expect=None)
    if "no picture can be drawn" in output:
        assert "apt-get install libegl1" in output
        pytest.skip("this machine draws no pictures")
    frames = imageio.imread(project / "a.gif")
    assert len(frames) >= 2
    assert (frames[0] != frames[-1]).any()
    shown = json.loads(dpg("show", "-n", "1", "--json", f"{PLACE}/{NAME}", cwd=project))
    assert f"return {shown['returns'][0]['mean_return']:,.1f}" in output


def test_a_machine_that_draws_no_pictures_is_told_what_to_install(project, dpg):
    output = dpg("watch", f"{PLACE}/{NAME}", cwd=project, expect=1, MUJOCO_GL="nothing")
    assert output.startswith("error: InvertedPendulum-v5: no picture can be drawn (MUJOCO_GL is nothing")
    assert "apt-get install libegl1" in output
    assert "Traceback" not in output
    assert not list(project.glob("*.gif"))


def test_what_cannot_be_watched_says_so(saved, tmp_path, dpg):
    output = dpg("watch", str(saved("LinearQuadratic-v0", 3, 2)), cwd=tmp_path, expect=1, MUJOCO_GL="nothing")
    assert "LinearQuadratic-v0 cannot be watched: it draws no pictures" in output
    assert "MUJOCO" not in output


@pytest.mark.parametrize(("name", "words"), [("a.avi", "must end in .gif or .mp4"), ("no/a.gif", "no folder no")])
def test_a_bad_output_is_refused_before_anything_is_drawn(project, dpg, name, words):
    assert words in dpg("watch", "-o", name, f"{PLACE}/{NAME}", cwd=project, expect=1)
