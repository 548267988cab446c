"""The whole pipeline at the smoke scale in a fresh clone, with real DVC and MLflow."""

import json
import math
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.pipeline.project import ENV, TASK_STAGE, chain, clone, digest, ran, set_parameter, shell


def runs(project: Path) -> pd.DataFrame:
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, max_results=1000)
    return pd.DataFrame(
        [
            {"id": run.info.run_id, "status": run.info.status, **run.data.tags, "metrics": run.data.metrics}
            for run in found
        ]
    )


def test_a_second_repro_runs_nothing(project):
    assert ran(shell("dvc", "repro", cwd=project)) == set()


def test_tables_hold_finite_numbers(project):
    """Blank are only what may be: returns of iterations without an end, and what a tiny scale cannot reach."""
    may_be_blank = {
        "mean_return", "mean_length", "corrected_cosine", "noise_scale_pairs", "pairwise_pairs_for_090",
        "true_pairs_for_090", "mean_relative_error", "trimmed_relative_error", "median_relative_error",
        "near_zero_share", "explained_variance", "relative_error", "relative_error_low", "relative_error_high",
        "explained_variance_low", "explained_variance_high", "value_net_explained_variance",
        "value_net_median_relative_error", "step_correlation", "step_correlation_low", "step_correlation_high",
    }  # fmt: skip
    tables = sorted((project / "data" / "tables").rglob("*.csv"))
    assert len(tables) == 2 * 19 + 1
    for path in tables:
        table = pd.read_csv(path)
        assert len(table) > 0, path
        assert set(table["env"]) == {ENV}
        numbers = table.drop(columns=[name for name in may_be_blank if name in table]).select_dtypes("number")
        assert numbers.map(math.isfinite).all(axis=None), path


def test_sample_sizes_stand_in_the_tables(project):
    similarity = pd.read_csv(project / "data/tables/gradient" / ENV / "ppo" / "similarity.csv")
    assert set(similarity["pairs"]) == {200, 1000, 2000, 4000}
    assert (similarity["repeats"] == 3).all()
    noise = pd.read_csv(project / "data/tables/gradient" / ENV / "ppo" / "noise.csv")
    assert (noise["true_pairs"] == 8000).all()


def test_figures_and_metrics_are_there(project):
    figures = project / "reports" / "figures"
    names = {path.stem for path in figures.glob("*.png")}
    for number in ("fig01", "fig02", "fig03", "fig04", "fig05", "fig06", "fig07", "fig09", "fig12", "fig13", "sec22"):
        assert any(name.startswith(number) for name in names), number
    assert len(pd.read_csv(figures / "landscape_alignment.csv")) == 2 * 2 * 2  # algorithms, checkpoints, regimes
    assert {path.stem for path in figures.glob("*.pdf")} == {path.stem for path in figures.glob("*.svg")} == names
    metrics = json.loads((project / "reports" / "metrics.json").read_text())
    assert math.isfinite(metrics[ENV]["ppo"]["final_return"])


def test_the_report_is_one_file_that_tells_all(project):
    page = (project / "reports" / "index.html").read_text()
    assert len(re.findall(r'<img src="data:image/', page)) == len(list((project / "reports" / "figures").glob("*.svg")))
    for link in re.findall(r'href="(?!http|#|data:)([^"]+)"', page):
        assert (project / "reports" / link).exists(), link
    claims = json.loads((project / "reports" / "claims.json").read_text())
    assert all(f'<tr id="{claim["id"]}">' in page for claim in claims)
    records = [json.loads(path.read_text()) for path in (project / "data" / "runs").rglob("*.json")]
    assert all(record["run_id"] in page for record in records)
    checks = pd.read_csv(project / "data" / "calibrate" / "calibration.csv")
    assert (checks["passed"] != checks["broken"]).all()


def test_a_table_that_is_gone_is_named_with_what_makes_it(project, tmp_path):
    copy = clone(project, tmp_path / "copy")
    output = shell("python", "-m", "stages.figures", cwd=copy, expect=1)
    assert f"data/tables/train/{ENV}/ppo/history.csv is missing: run `dvc repro train@{ENV}-ppo`" in output
    assert "Traceback" not in output


def test_every_stage_left_a_run_with_provenance(project):
    found = runs(project)
    stages = found[found["dvc.stage"].notna() & found.get("mlflow.parentRunId", pd.Series(dtype=str)).isna()]
    assert set(stages["dvc.stage"]) == {"calibrate", "figures", TASK_STAGE} | chain("ppo", "trpo")
    assert (found["status"] == "FINISHED").all()
    assert found["git.commit"].str.fullmatch("[0-9a-f]{40}").all()
    assert found["version.mujoco"].notna().all()
    agents = found[found["agent"].notna()]
    assert len(agents) == 2 * 2
    # The same metric names for every algorithm.
    names = [set(metrics) for metrics in agents["metrics"]]
    assert names[0] >= {"mean_return", "kl", "entropy", "objective", "value_loss", "explained_variance"}
    assert all(other == names[0] for other in names)
    for cell in chain("ppo", "trpo"):
        stage, algorithm = cell.split("@")[0], cell.rsplit("-", 1)[1]
        record = json.loads((project / "data" / "runs" / stage / ENV / f"{algorithm}.json").read_text())
        assert record["run_id"] in set(found["id"])


def test_metrics_step_in_environment_steps(project):
    found = runs(project)
    agent = found[found["agent"].notna()].iloc[0]
    history = MlflowClient(f"sqlite:///{project}/mlflow.db").get_metric_history(agent["id"], "kl")
    assert [metric.step for metric in history] == [2000 * (i + 1) for i in range(6)]


def test_final_policies_can_be_had_as_an_artifact_from_elsewhere(project, tmp_path):
    """From a repository that was committed and tagged, its data in a cache."""
    team, user = tmp_path / "team", tmp_path / "user"
    user.mkdir()
    shell("git", "clone", "-q", str(project), str(team), cwd=tmp_path)
    shutil.copy(project / "dvc.lock", team)
    shell("dvc", "cache", "dir", "--local", str(project / ".dvc" / "cache"), cwd=team)
    for command in (["add", "dvc.lock"], ["commit", "-q", "-m", "a run"], ["tag", "-a", "policies@v1.0.0", "-m", "x"]):
        shell("git", "-c", "user.name=t", "-c", "user.email=t@t", *command, cwd=team)
    shell("dvc", "artifacts", "get", str(team), "policies", cwd=user)
    for algorithm in ("ppo", "trpo"):
        expected = digest(project / "data" / "policies" / ENV / algorithm)
        assert set(expected) == {f"agent{agent:02d}.{kind}" for agent in (0, 1) for kind in ("json", "safetensors")}
        assert digest(user / "policies" / ENV / algorithm) == expected
    assert json.loads((user / "policies" / ENV / "ppo" / "agent00.json").read_text())["iteration"] == 6


def test_the_run_of_the_last_stage_stands_for_the_experiment(project):
    """Its parameters, its curves, and the runs that made what it shows."""
    found = runs(project)
    last = found[found["stage"] == "figures"].iloc[-1]  # the newest come first
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    run = client.get_run(last["id"])
    assert run.data.params["ppo.lr"] == "0.0001"
    assert run.data.params["scales.smoke.gradient.repeats"] == "3"
    for cell in chain("ppo", "trpo"):
        stage, _, name = cell.partition("@")
        made_by = run.data.tags[f"made_by.{stage}.{name}"]
        assert found.set_index("id").loc[made_by, "dvc.stage"] == cell
        assert f"/runs/{made_by})" in run.data.tags["mlflow.note.content"]
    curve = client.get_metric_history(last["id"], f"mean_return/{ENV}.trpo")
    assert [point.step for point in curve] == [2000 * (i + 1) for i in range(6)]
    assert {file.path for file in client.list_artifacts(last["id"])} >= {"figures", "metrics.json", "curves.csv"}


def test_a_temporary_experiment_reruns_one_chain_and_keeps_its_runs(project):
    before = len(runs(project))
    output = shell(
        *["dvc", "exp", "run", "--temp", "-n", "faster", "-S", "ppo.lr=1.25e-4", "-S", "figures.formats=[svg]"],
        cwd=project,
    )
    assert ran(output) == {"params", "figures", "report"} | chain("ppo")
    found = runs(project)
    named = found[found["dvc.exp_name"] == "faster"]
    assert len(found) - before == len(named) == 9 + 2 + 1  # nine stages, two agents, the figures
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
        ("scale", "huge", ["scale = 'huge'", "'smoke', 'laptop' or 'paper'"]),
        ("envs", ["Hoper-v4"], ["envs.0 = 'Hoper-v4'", "Did you mean: `Hopper`"]),
        ("envs", ["CartPole-v1"], ["envs.0 = 'CartPole-v1'", "must be a Box", "Discrete(2)"]),
        ("common.env_modules", ["nowhere"], ["env_modules", "'nowhere'", "cannot be imported"]),
    ],
)
def test_a_bad_parameter_stops_everything_and_touches_nothing(project, name, value, words):
    before = digest(project / "data")
    good = (project / "params.yaml").read_text()
    try:
        set_parameter(project, name, value)
        output = shell("dvc", "repro", cwd=project, expect=255)
    finally:
        (project / "params.yaml").write_text(good)
    assert all(word in output for word in words), output
    assert "Traceback" not in output
    assert ran(output) == {"params"}, output
    after = digest(project / "data")
    before.pop("params.txt", None)
    after.pop("params.txt", None)
    assert after == before
