"""The example algorithms go through the whole pipeline beside PPO: one inside the project, one in a package."""

import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests import wheels
from tests.pipeline.project import ENV, ROOT, chain, copy, ran, runs, set_parameter, shell

ADDED = ["kl_ppo", "vanilla"]
# Fewer updates than in the files, for the time that they take.
FEWER = {"epochs": 2, "minibatches": 4, "value_epochs": 2, "value_minibatches": 4}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder into which pip has installed the plain policy gradient, as a package with an entry point."""
    folder = tmp_path_factory.mktemp("package")
    source = (ROOT / "examples" / "vanilla.py").read_text(encoding="utf-8")
    wheel = wheels.build(
        folder, "their_package", {"their_package.py": source}, "[dpg.algorithms]\nvanilla = their_package:ALGORITHM\n"
    )
    install = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target")
    subprocess.run([*install, folder / "installed", wheel], check=True)
    return str(folder / "installed")


@pytest.fixture(scope="module")
def examples(reference, packages, tmp_path_factory):
    """A project in which PPO has run, and then both examples; no test changes it."""
    project = copy(reference, tmp_path_factory.mktemp("examples") / "project")
    shutil.copy(project / "examples" / "kl_ppo.py", project / "dpg" / "algorithms")
    params = project / "params.yaml"
    for name in ADDED:
        block = (project / "examples" / f"{name}.yaml").read_text(encoding="utf-8")
        for parameter, value in FEWER.items():
            block = re.sub(rf"(?<= {parameter}: )\d+", str(value), block)
        params.write_text(params.read_text(encoding="utf-8") + block, encoding="utf-8")
    set_parameter(project, "algorithms", ["ppo", *ADDED])
    set_parameter(project, "figures.formats", ["png"])
    output = shell("dvc", "repro", cwd=project, PYTHONPATH=packages, DPG_JOBS="1")
    assert ran(output) == {"params", "figures", "report"} | chain(*ADDED)  # nothing of PPO's
    for command in (["add", "-A"], ["commit", "-q", "-m", "with the examples"]):
        shell("git", "-c", "user.name=t", "-c", "user.email=t@t", *command, cwd=project)
    return project


def snapshot(project, algorithm, agent, iteration):
    return project / "data" / "train" / ENV / algorithm / f"agent{agent:02d}-iteration{iteration:05d}.safetensors"


def test_the_report_and_mlflow_have_the_examples_beside_ppo(examples):
    page = (examples / "reports" / "index.html").read_text(encoding="utf-8")
    assert all(label in page for label in ("PPO with KL penalty", "Policy gradient"))
    found = runs(examples)
    assert set(found["dvc.stage"].dropna()) == {"figures"} | chain(*ADDED)
    assert (found["status"] == "FINISHED").all()


def test_snapshots_carry_each_agents_penalty(examples):
    """It is doubled and halved as the KL of that agent's updates says (arXiv:1707.06347, section 4)."""
    history = pd.read_csv(examples / "data" / "tables" / "train" / ENV / "kl_ppo" / "history.csv")
    for agent, rows in history.groupby("agent"):
        assert len(rows) == 6
        beta = 1.0
        for kl in rows.sort_values("iteration")["kl"]:
            beta *= 2 if kl > 0.01 * 1.5 else 0.5 if kl < 0.01 / 1.5 else 1
        arrays = load_file(snapshot(examples, "kl_ppo", agent, 6))
        assert arrays["algorithm_state.beta"] == [beta] != [1.0]


def test_a_parameter_of_an_example_reruns_that_cell_alone(examples, packages):
    targets = [f"checkpoint@{ENV}-{name}" for name in ("ppo", *ADDED)]
    options = {"PYTHONPATH": packages, "DPG_JOBS": "1"}
    output = shell("dvc", "exp", "run", "--temp", "-S", "kl_ppo.lr=3e-4", *targets, cwd=examples, **options)
    assert ran(output) == {"params"} | chain("kl_ppo", stages=["train", "checkpoint"])


def test_a_snapshot_whose_module_is_gone_is_refused_with_the_modules_name(examples):
    """Not run as another algorithm, nor with a traceback."""
    path = str(snapshot(examples, "vanilla", 0, 6))
    output = shell(sys.executable, "-m", "dpg.cli", "show", path, cwd=examples, expect=1)
    assert re.search("error: .*vanilla.*their_package", " ".join(output.split()))
    assert "Traceback" not in output
