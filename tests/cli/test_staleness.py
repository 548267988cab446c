"""What would run, held against what DVC then runs: in a small pipeline with all that the true one has."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from dpg.cli import overrides, staleness
from dpg.cli.staleness import PipelineError
from dpg.runtime import config
from dpg.runtime.config import ConfigError

ROOT = Path(__file__).parents[2]
PIPELINE = """
stages:
  params:
    cmd: mkdir -p data && echo valid > data/params.txt
    deps: [params.yaml]
    outs: [data/params.txt]
  train:
    matrix: {algorithm: "${algorithms}"}
    cmd: mkdir -p data/tables/${item.algorithm} data/train && grep rate params.yaml > data/train/${item.algorithm}
      && cp code/train.txt data/tables/${item.algorithm}/train.txt
    params: ["${item.algorithm}", "scales.${scale}.train"]
    deps: [data/params.txt, code]
    outs: ["data/train/${item.algorithm}", "data/tables/${item.algorithm}/train.txt"]
  measure:
    matrix: {algorithm: "${algorithms}"}
    cmd: mkdir -p data/tables/${item.algorithm}/measured
      && grep width params.yaml > data/tables/${item.algorithm}/measured/w.txt
    params: ["scales.${scale}.width"]
    deps: [data/params.txt, "data/train/${item.algorithm}"]
    outs: ["data/tables/${item.algorithm}/measured"]
  figures:
    cmd: find data/tables -type f | sort | xargs cat | sort -u > figures.txt && wc -c < figures.txt > metrics.json
    params: [algorithms, color]
    deps: [data/params.txt, data/tables]
    outs: [figures.txt]
    metrics: [{metrics.json: {cache: false}}]
"""
PARAMETERS = """
algorithms: [a, b]
scale: small   # a comment, which DVC keeps
color: 1.0e-4
a: {rate: 1.0e-4}
b: {rate: 1.0e-4}
scales:
  small: {train: 1, width: 1}
  large: {train: 2, width: 1}
"""
ALL = {"params", "train@a", "train@b", "measure@a", "measure@b", "figures"}


def shell(project: Path, *command: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=project, env=inherited | {"PATH": path}, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def ran(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


def stale(project: Path, *changes: str) -> set[str]:
    with chdir(project), staleness.asked(project, changes) as answer:
        return set(answer().stale)


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files of a folder with their times, and all of its folders."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A project that has never run."""
    project = tmp_path_factory.mktemp("pipeline")
    (project / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (project / "params.yaml").write_text(PARAMETERS, encoding="utf-8")
    (project / "code").mkdir()
    (project / "code" / "train.txt").write_text("first\n", encoding="utf-8")
    (project / ".gitignore").write_text("/data/\n/figures.txt\n", encoding="utf-8")
    shell(project, "git", "init", "-q")
    shell(project, "dvc", "init", "-q")
    shell(project, "dvc", "config", "core.analytics", "false")
    _commit(project)
    return project


def _commit(project: Path) -> None:
    shell(project, "git", "add", "-A")
    shell(project, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "as it stands")


@pytest.fixture
def project(fresh, tmp_path):
    """A project of its own that has run once."""
    target = tmp_path / "project"
    if not (fresh / "dvc.lock").exists():
        assert stale(fresh) == ALL
        assert ran(shell(fresh, "dvc", "repro")) == ALL
        _commit(fresh)
    shutil.copytree(fresh, target, symlinks=True)
    return target


def test_after_a_run_nothing_is_stale_and_nothing_is_touched(project):
    before = everything(project)
    assert stale(project) == set()
    assert stale(project, "a.rate=3e-4") == {"params", "train@a", "measure@a", "figures"}
    assert everything(project) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("a.rate=3e-4", {"params", "train@a", "measure@a", "figures"}),
        ("color=2", {"params", "figures"}),
        ("scales.large.width=5", {"params"}),
    ],
)
def test_what_would_run_is_what_an_experiment_runs(project, change, expected):
    assert stale(project, change) == expected
    output = shell(project, "dvc", "exp", "run", "-S", change)
    assert ran(output) <= expected
    # What was stale for its inputs alone may come out the same: DVC then stops there, which nobody knows beforehand.
    assert ran(output) >= expected - {"figures", "measure@a"}
    # Reverted, the experiment is in the run cache: nothing of it would run again.
    shell(project, "git", "checkout", "-q", ".")
    shell(project, "dvc", "checkout", "-q")
    assert stale(project) == set()
    assert stale(project, change) == set()


@pytest.mark.slow
def test_an_experiment_that_was_stopped_goes_on_behind_what_the_run_cache_holds(project):
    """`dvc repro --dry` says the same of this experiment as of one that has run whole."""
    change = "a.rate=3e-4"
    overrides.write(project / "params.yaml", [change])
    shell(project, "dvc", "repro", "params", "train@a")
    shell(project, "git", "checkout", "-q", ".")
    shell(project, "dvc", "checkout", "-q")
    assert stale(project, change) == {"measure@a", "figures"}
    overrides.write(project / "params.yaml", [change])
    assert ran(shell(project, "dvc", "repro")) == {"measure@a"}


@pytest.mark.slow
def test_a_cell_less_leaves_the_others_as_they_are(project):
    assert stale(project, "algorithms=[a]") == {"params", "figures"}
    assert ran(shell(project, "dvc", "exp", "run", "-S", "algorithms=[a]")) == {"params", "figures"}


def test_a_cell_more_runs_by_itself(project):
    (project / "params.yaml").write_text(PARAMETERS.replace("[a, b]", "[a, b, c]") + "c: {rate: 5}\n", encoding="utf-8")
    assert stale(project) == {"params", "train@c", "measure@c", "figures"}


def test_a_change_of_code_is_seen(project):
    (project / "code" / "train.txt").write_text("second\n", encoding="utf-8")
    expected = stale(project)
    assert expected == ALL - {"params"}
    # `train` now writes the same snapshots and other tables: DVC need not measure again.
    assert ran(shell(project, "dvc", "repro")) == {"train@a", "train@b", "figures"}
    assert stale(project) == set()


def test_what_the_cache_has_lost_would_run_again(project):
    lock = (project / "dvc.lock").read_text(encoding="utf-8")
    digest = re.findall(r"path: figures.txt\n\s+hash: md5\n\s+md5: (\w+)", lock)[0]
    (project / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]).unlink()
    assert stale(project) == {"figures"}
    assert ran(shell(project, "dvc", "repro")) == {"figures"}


@pytest.mark.slow
def test_outputs_that_were_deleted_come_from_the_cache(project):
    shutil.rmtree(project / "data")
    assert stale(project) == set()
    assert ran(shell(project, "dvc", "repro")) == set()


@pytest.mark.slow
def test_without_a_lock_the_run_cache_still_serves(project):
    (project / "dvc.lock").unlink()
    assert stale(project) == set()
    assert ran(shell(project, "dvc", "repro")) == set()


def test_outputs_that_git_keeps_are_there(project):
    """They are in no cache: without them in its folder, DVC would make them anew."""
    shutil.rmtree(project / ".dvc" / "cache" / "runs")
    lock = (project / "dvc.lock").read_text(encoding="utf-8")
    digest = re.findall(r"path: metrics.json\n\s+hash: md5\n\s+md5: (\w+)", lock)[0]
    (project / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]).unlink(missing_ok=True)
    assert stale(project) == set()
    assert ran(shell(project, "dvc", "repro")) == set()


@pytest.mark.slow
def test_files_beside_outputs_are_seen(project):
    """A folder that holds outputs and sources is not linked to as a whole: what DVC removes is never the project's."""
    pipeline = (
        (project / "dvc.yaml")
        .read_text(encoding="utf-8")
        .replace("deps: [data/params.txt, code]", "deps: [data/params.txt, code, data/own.txt]")
    )
    (project / "dvc.yaml").write_text(pipeline, encoding="utf-8")
    (project / "data" / "own.txt").write_text("mine\n", encoding="utf-8")
    before = everything(project)
    assert stale(project) == ALL - {"params"}
    assert everything(project) == before
    assert ran(shell(project, "dvc", "repro")) >= {"train@a", "train@b"}
    assert stale(project) == set()


@pytest.mark.slow
def test_the_answer_is_the_same_whatever_the_order_of_sets(project):
    """Of strings it depends on the seed of their hashes."""
    code = (
        "import sys, json; from pathlib import Path; from tests.cli.test_staleness import stale;"
        "print(json.dumps(sorted(stale(Path(sys.argv[1]), 'a.rate=3e-4'))))"
    )
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code, str(project)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=True)
        assert json.loads(done.stdout) == ["figures", "measure@a", "params", "train@a"]


def test_a_mistake_in_the_pipeline_is_reported_in_dvcs_words(project):
    (project / "dvc.yaml").write_text(PIPELINE.replace("cmd: find", "command: find"), encoding="utf-8")
    with pytest.raises(PipelineError, match=r"dvc\.yaml"):
        stale(project)


def test_a_check_of_parameters_that_fails_is_reported(project):
    (project / "dvc.yaml").write_text(
        PIPELINE.replace("echo valid", "echo 'no such task' >&2; false"), encoding="utf-8"
    )
    with pytest.raises(PipelineError, match="no such task"):
        stale(project)


@pytest.mark.slow
def test_a_cache_elsewhere_is_found(project, tmp_path):
    shutil.move(project / ".dvc" / "cache", tmp_path / "elsewhere")
    assert stale(project) == ALL
    shell(project, "dvc", "cache", "dir", str(tmp_path / "elsewhere"))
    assert stale(project) == set()


def test_a_folder_that_is_no_project_is_reported(tmp_path):
    with pytest.raises(PipelineError, match="not a DVC project"), staleness.asked(tmp_path, []):
        pass


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["ppo.lrr=1"], "ppo.lrr = 1: no such parameter; did you mean ppo.lr?"),
        (["ppo.lr=-1"], "ppo.lr = -1: should be greater than or equal to 0"),
        (["scale=huge"], "scale = 'huge': must be one of 'smoke', 'laptop', 'workstation' or 'paper'"),
        (["scale.smoke=1"], "scale = {'smoke': 1}: must be one of"),
        (["nothing.here=1"], "nothing = {'here': 1}: no such section, and no algorithm"),
    ],
)
def test_mistakes_in_overrides_are_reported_as_a_run_reports_them(changes, words):
    with pytest.raises(ConfigError) as caught:
        overrides.read(ROOT / "params.yaml", changes)
    assert str(caught.value).splitlines()[0] == "params.yaml has 1 mistake:"
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["ppo.lr", "ppo.lr=1,2", "~ppo.lr", "ppo.lr=[1"])
def test_overrides_that_cannot_be_read_are_quoted(text):
    with pytest.raises(overrides.OverrideError, match=re.escape(repr(text))):
        overrides.read(ROOT / "params.yaml", [text])


def test_an_override_that_dvc_refuses_is_quoted(tmp_path):
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    with pytest.raises(overrides.OverrideError, match=r"-S \+seed=2: Could not append to config"):
        overrides.write(tmp_path / "params.yaml", ["+seed=2"])


@pytest.mark.parametrize(
    ("text", "words"),
    [("seed: [0", "is not valid YAML: "), ("", "must be a section of"), ("- seed\n", "must be a section of")],
)
def test_overrides_of_a_file_that_has_no_parameters_are_refused(tmp_path, text, words):
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        overrides.read(tmp_path / "params.yaml", ["seed=1"])


def test_overrides_are_written_as_dvc_writes_them(tmp_path):
    """Types as YAML reads them, and comments kept."""
    target = tmp_path / "params.yaml"
    changes = ["ppo.lr=1e-5", "envs=[Ant-v5]", "ppo.reward_clip=null"]
    shutil.copyfile(ROOT / "params.yaml", target)
    overrides.write(target, changes)
    params = config.load(target)
    assert params.model_dump() == overrides.read(ROOT / "params.yaml", changes).model_dump()
    assert (params.ppo.lr, params.envs, params.ppo.reward_clip) == (1e-5, ("Ant-v5",), None)
    assert "# Table 1 of the paper" in target.read_text(encoding="utf-8")
