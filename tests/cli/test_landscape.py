"""`dpg landscape`: a closer look at one snapshot, and what it refuses."""

import sys
import time
from subprocess import DEVNULL, PIPE

import numpy as np
import pandas as pd
import psutil
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from dpg.agent.snapshot import save
from dpg.cli.app import app
from dpg.cli.landscape import measure
from dpg.envs.linear_quadratic import EPISODE_STEPS
from dpg.probes.known_answers import closed_forms
from dpg.probes.known_answers.agents import known_agent
from dpg.probes.landscape import Grid
from dpg.probes.landscape_plan import LandscapeSpec
from dpg.runtime.errors import UserError


@pytest.fixture(scope="module")
def agent():
    """On LinearQuadratic-v0, where the return of a policy is known."""
    return known_agent("value net", 10)


@pytest.fixture(scope="module")
def snapshot(agent, tmp_path_factory):
    return save(agent.snapshot, tmp_path_factory.mktemp("snapshots"))


@pytest.mark.slow
def test_a_closer_look_writes_what_it_found(agent, snapshot, tmp_path, dpg):
    """Both sides of the snapshot on a grid that is not square, to a target error; the truth within 4 errors."""
    arguments = ["--x-range", "-1", "2", "--y-range", "-0.2", "0.2", "--grid", "4", "3", "--pairs", "14000"]
    more = ["--target-error", "0.5", "--fewer", "600", "--update-pairs", "20", "--update-pairs", "200", "-o", "look"]
    told = dpg("landscape", str(snapshot), *arguments, *more, cwd=tmp_path)
    assert "20 pairs" in told and "200 pairs" in told and "Written to look" in told
    folder = tmp_path / "look"
    points = pd.read_csv(folder / "landscape.csv")
    assert len(points) == 2 * 12
    # 70 episodes are the most; all points meet the target in the first round.
    assert set(points["trajectories"]) == {64}
    assert points.iloc[0][["step", "random"]].tolist() == [-1, -0.2]
    truth = closed_forms.episode_return(agent.loop, EPISODE_STEPS)
    for _, row in points[(points["step"] == 0) & (points["random"] == 0)].iterrows():
        assert abs(row["reward"] - truth) < 4 * row["reward_se"]
    assert np.all(points["reward"] < 0)
    fewer = pd.read_csv(folder / "concentration.csv")
    assert sorted(set(fewer["trajectories"])) == [3, 64]
    assert len(pd.read_csv(folder / "alignment.csv")) == 2
    assert len(pd.read_csv(folder / "resolution.csv")) == 4
    arrays = load_file(folder / "arrays.safetensors")
    assert arrays["agent00-iteration00000.200.step"].shape == (agent.snapshot.state.policy.shape[1],)
    assert {path.name for path in folder.glob("*.png")} == {
        "cut.png",
        *(f"{kind}_N{pairs}.png" for kind in ("landscape", "concentration") for pairs in (20, 200)),
    }
    assert "Plotly.react" in (folder / "landscape.html").read_text(encoding="utf-8")
    assert not (tmp_path / ".scratch").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--x-range", "3", "0"], "--x-range 3 0: the first end must be less than the second"),
        (["--x-range", "-1", "3", "--grid", "6", "7"], "among its 6 evenly spaced points; with 5 or 9 or 13 points"),
        (["--y-range", "1", "2"], "--y-range 1 2: 0, the snapshot, must be among its 7 evenly spaced points"),
        (["--x-range", "0", "inf"], "--x-range 0 inf: the first end must be less than the second, and both within"),
        (["--y-range", "0", "1e300"], r"--y-range 0 1e\+300: .* and both within"),
        (["--grid", "1", "7"], "--grid 1 7: there must be 2 to 200 points"),
        (["--grid", "7", "1000000"], "--grid 7 1000000: there must be 2 to 200 points"),
        (["--pairs", "0"], "--pairs 0: must be 1 to 1000000000"),
        (["--pairs", "100000000000000000000"], "--pairs 100000000000000000000: must be 1 to 1000000000"),
        (["--update-pairs", "0"], "--update-pairs 0: must be 1 to 1000000000"),
        (["--update-pairs", "10000000000"], "--update-pairs 10000000000: must be 1 to 1000000000"),
        (["--update-pairs", "25"], r"--update-pairs 25: must be a multiple of 10, the pairs of a stream"),
        (["--fewer", "10000"], r"--fewer 10000: must be more than 0 and less than --pairs \(10000\)"),
        (["--target-error", "0"], "--target-error 0: must be more than 0"),
        (["--target-error", "nan"], "--target-error nan: must be more than 0"),
        (["--target-error", "1e-300"], "--target-error 1e-300: must be more than 0"),
        (["--random-norm", "0"], "--random-norm 0: must be more than 0"),
        (["--random-norm", "1e300"], r"--random-norm 1e\+300: must be more than 0, 1e-15 to 1e\+15"),
        (["--output", "."], "--output .: already exists"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(snapshot, arguments, message):
    result = CliRunner().invoke(app, ["landscape", str(snapshot), *arguments])
    assert isinstance(result.exception, UserError)
    with pytest.raises(UserError, match=message):
        raise result.exception


@pytest.mark.slow
def test_a_second_look_into_the_same_folder_waits_and_leaves_what_the_first_has_found(snapshot, tmp_path, environment):
    arguments = ["--x-range", "0", "1", "--grid", "2", "4", "--pairs", "400", "-o", "look"]
    command = [sys.executable, "-m", "dpg.cli", "landscape", str(snapshot), *arguments]

    def start() -> psutil.Popen:
        return psutil.Popen(
            command, cwd=tmp_path, env=environment(DPG_JOBS="1"), encoding="utf-8", stdout=DEVNULL, stderr=PIPE
        )

    with start() as first:
        while not (tmp_path / ".look.partial" / "in-use").exists():
            assert first.poll() is None, first.stderr.read()
            time.sleep(0.01)
        first.suspend()
        with start() as second:
            told = second.stderr.readline()
            first.resume()
            assert told.startswith(f"waiting for process {first.pid} on ")
            assert first.wait() == 0, first.stderr.read()
            found = {path.name: path.read_bytes() for path in (tmp_path / "look").iterdir()}
            assert "landscape.html" in found
            assert second.wait() == 1
            told = second.stderr.read()
    assert told == "error: --output look: already exists; name a new folder, or remove it\n"
    assert {path.name: path.read_bytes() for path in (tmp_path / "look").iterdir()} == found
    assert [path.name for path in tmp_path.iterdir()] == ["look"]


def test_a_refused_run_holds_no_shards(agent, tmp_path, monkeypatch):
    """Held while it waited for the first run's folder, the first would leave its shards behind, and so would this."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "look").mkdir()
    wanted = LandscapeSpec(Grid((0.0, 1.0), (0.0, 1.0), (2, 2)), (10,), (100,), 2.0, common_random_numbers=True, seed=0)
    with pytest.raises(UserError, match="already exists"):
        measure(wanted, agent.snapshot, tmp_path / "look")
    assert [path.name for path in tmp_path.iterdir()] == ["look"]


def test_a_file_that_is_no_snapshot_is_told(tmp_path, dpg):
    told = dpg("landscape", "nothing.safetensors", cwd=tmp_path, expect=1)
    assert told == "error: nothing.safetensors: there is no such snapshot\n"
