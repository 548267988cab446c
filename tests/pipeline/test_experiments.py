"""What runs again when parameters change, and what a bad one touches, in a copy of a pipeline that has run."""

import json

import pytest

from tests.pipeline.project import ENV, chain, digest, ran, runs, set_parameter, shell


def test_a_temporary_experiment_reruns_one_chain_and_keeps_its_runs(project):
    """Up to a stage of either algorithm: all that the rate of one touches on the way runs, and nothing of the other."""
    before = len(runs(project))
    targets = [f"gradient@{ENV}-{algorithm}" for algorithm in ("ppo", "trpo")]
    output = shell("dvc", "exp", "run", "--temp", "-n", "faster", "-S", "ppo.lr=1.25e-4", *targets, cwd=project)
    assert ran(output) == {"params"} | chain("ppo", stages=["train", "checkpoint", "gradient"])
    found = runs(project)
    named = found[found["dvc.exp_name"] == "faster"]
    assert len(found) - before == len(named) == 3 + 2  # three stages, two agents
    table = json.loads(shell("dvc", "exp", "show", "--json", cwd=project))
    assert "faster" in json.dumps(table)


def test_a_landscape_parameter_reruns_landscapes_and_figures(project):
    changes = ("-S", "landscape.random_norm=1.0", "-S", "figures.formats=[svg]")
    output = shell("dvc", "exp", "run", *changes, cwd=project)
    assert ran(output) == {"params", "figures", "report"} | chain("ppo", "trpo", stages=["landscape"])


def test_a_figure_parameter_reruns_figures(project):
    output = shell("dvc", "exp", "run", "-S", "figures.formats=[png]", cwd=project)
    assert ran(output) == {"params", "figures", "report"}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ppo.lr", -1, ["ppo.lr = -1", "greater than or equal to 0"]),
        ("scale", "huge", ["scale = 'huge'", "'smoke', 'laptop', 'workstation' or 'paper'"]),
        ("envs", ["Hoper-v4"], ["envs.0 = 'Hoper-v4'", "Did you mean: `Hopper`"]),
        ("envs", ["CartPole-v1"], ["envs.0 = 'CartPole-v1'", "must be a Box", "Discrete(2)"]),
        ("modules", ["nowhere"], ["modules", "'nowhere'", "cannot be imported"]),
    ],
)
def test_a_bad_parameter_stops_everything_and_touches_nothing(project, name, value, words):
    before = results(project)
    good = (project / "params.yaml").read_text(encoding="utf-8")
    try:
        set_parameter(project, name, value)
        output = shell("dvc", "repro", cwd=project, expect=255)
    finally:
        (project / "params.yaml").write_text(good, encoding="utf-8")
    assert all(word in output for word in words), output
    assert "Traceback" not in output
    assert ran(output) == {"params"}, output
    assert results(project) == before


def results(project) -> dict[str, bytes]:
    """All outputs but those of the stage that checks the parameters, which DVC removes before it runs."""
    found = digest(project / "data")
    return {name: data for name, data in found.items() if not name.startswith(("params.txt", "algorithms/"))}
