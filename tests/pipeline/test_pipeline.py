"""What the whole pipeline leaves, at the smoke scale in a fresh clone, with real DVC and MLflow."""

import json
import math
import re
import shutil

import pandas as pd
from mlflow import MlflowClient

from tests.pipeline.project import ENV, TASK_STAGE, chain, clone, digest, ran, runs, shell


def test_a_second_repro_runs_nothing(reference):
    assert ran(shell("dvc", "repro", cwd=reference)) == set()


def test_tables_hold_finite_numbers(reference):
    """Blank are only what may be: returns of iterations without an end, and what a tiny scale cannot reach."""
    may_be_blank = {
        "mean_return", "mean_length", "corrected_cosine", "noise_scale_pairs", "noise_scale_high",
        "pairwise_pairs_for_090", "true_pairs_for_090",
        "mean_relative_error", "trimmed_relative_error", "median_relative_error",
        "near_zero_share", "release_error_known", "hindsight_error", "explained_variance",
        "relative_error", "relative_error_low", "relative_error_high",
        "explained_variance_low", "explained_variance_high", "value_net_explained_variance",
        "value_net_median_relative_error", "step_correlation", "step_correlation_low", "step_correlation_high",
    }  # fmt: skip
    tables = sorted((reference / "data" / "tables").rglob("*.csv"))
    assert len(tables) == 2 * 21 + 1
    for path in tables:
        table = pd.read_csv(path)
        assert len(table) > 0, path
        assert set(table["env"]) == {ENV}
        numbers = table.drop(columns=[name for name in may_be_blank if name in table]).select_dtypes("number")
        assert numbers.map(math.isfinite).all(axis=None), path


def test_sample_sizes_stand_in_the_tables(reference):
    similarity = pd.read_csv(reference / "data/tables/gradient" / ENV / "ppo" / "similarity.csv")
    assert set(similarity["pairs"]) == {200, 1000, 2000, 4000}
    assert (similarity["repeats"] == 3).all()
    noise = pd.read_csv(reference / "data/tables/gradient" / ENV / "ppo" / "noise.csv")
    assert (noise["true_pairs"] == 8000).all()


def test_figures_and_metrics_are_there(reference):
    figures = reference / "reports" / "figures"
    names = {path.stem for path in figures.glob("*.png")}
    for number in ("fig01", "fig02", "fig03", "fig04", "fig05", "fig06", "fig07", "fig09", "fig12", "fig13", "sec22"):
        assert any(name.startswith(number) for name in names), number
    assert len(pd.read_csv(figures / "landscape_alignment.csv")) == 2 * 2 * 2  # algorithms, checkpoints, regimes
    assert {path.stem for path in figures.glob("*.pdf")} == {path.stem for path in figures.glob("*.svg")} == names
    metrics = json.loads((reference / "reports" / "metrics.json").read_text(encoding="utf-8"))
    assert math.isfinite(metrics[ENV]["ppo"]["final_return"])


def test_the_report_is_one_file_that_tells_all(reference):
    page = (reference / "reports" / "index.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<img src="data:image/', page)) == len(
        list((reference / "reports" / "figures").glob("*.svg"))
    )
    for link in re.findall(r'href="(?!http|#|data:)([^"]+)"', page):
        assert (reference / "reports" / link).exists(), link
    claims = json.loads((reference / "reports" / "claims.json").read_text(encoding="utf-8"))
    assert all(f'<tr id="{claim["id"]}">' in page for claim in claims)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (reference / "data" / "runs").rglob("*.json")]
    assert all(record["run_id"] in page for record in records)
    checks = pd.read_csv(reference / "data" / "calibrate" / "calibration.csv")
    assert (checks["passed"] != checks["broken"]).all()


def test_claims_are_decided_where_it_was_said_before(reference):
    """Smoke's numbers decide little, so that only one direction is exact: what cannot be decided is not."""
    ahead = {each["id"]: each for each in json.loads(shell("dpg", "claims", "--before", "--json", cwd=reference))}
    found = json.loads((reference / "reports" / "claims.json").read_text(encoding="utf-8"))
    assert [claim["id"] for claim in found] == list(ahead)
    for claim in found:
        if not ahead[claim["id"]]["can_be_decided"]:
            assert claim["verdict"] in ("inconclusive", "not measured"), claim
        elif claim["verdict"] == "not measured":
            assert ahead[claim["id"]]["provided"], claim


def test_a_table_that_is_gone_is_named_with_what_makes_it(reference, tmp_path):
    copy = clone(reference, tmp_path / "copy")
    output = shell("python", "-m", "stages.figures", cwd=copy, expect=1)
    assert f"data/tables/train/{ENV}/ppo/history.csv is missing: run `dvc repro train@{ENV}-ppo`" in output
    assert "Traceback" not in output


def test_every_stage_left_a_run_with_provenance(reference):
    found = runs(reference)
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
        record = json.loads(
            (reference / "data" / "runs" / stage / ENV / f"{algorithm}.json").read_text(encoding="utf-8")
        )
        assert record["run_id"] in set(found["id"])


def test_metrics_step_in_environment_steps(reference):
    found = runs(reference)
    agent = found[found["agent"].notna()].iloc[0]
    history = MlflowClient(f"sqlite:///{reference}/mlflow.db").get_metric_history(agent["id"], "kl")
    assert [metric.step for metric in history] == [2000 * (i + 1) for i in range(6)]


def test_final_policies_can_be_had_as_an_artifact_from_elsewhere(reference, tmp_path):
    """From a repository that was committed and tagged, its data in a cache."""
    team, user = tmp_path / "team", tmp_path / "user"
    user.mkdir()
    shell("git", "clone", "-q", str(reference), str(team), cwd=tmp_path)
    shutil.copy(reference / "dvc.lock", team)
    shell("dvc", "cache", "dir", "--local", str(reference / ".dvc" / "cache"), cwd=team)
    for command in (["add", "dvc.lock"], ["commit", "-q", "-m", "a run"], ["tag", "-a", "policies@v1.0.0", "-m", "x"]):
        shell("git", "-c", "user.name=t", "-c", "user.email=t@t", *command, cwd=team)
    shell("dvc", "artifacts", "get", str(team), "policies", cwd=user)
    for algorithm in ("ppo", "trpo"):
        expected = digest(reference / "data" / "policies" / ENV / algorithm)
        assert set(expected) == {f"agent{agent:02d}.{kind}" for agent in (0, 1) for kind in ("json", "safetensors")}
        assert digest(user / "policies" / ENV / algorithm) == expected
    assert json.loads((user / "policies" / ENV / "ppo" / "agent00.json").read_text(encoding="utf-8"))["iteration"] == 6


def test_the_run_of_the_last_stage_stands_for_the_experiment(reference):
    """Its parameters, its curves, and the runs that made what it shows."""
    found = runs(reference)
    last = found[found["stage"] == "figures"].iloc[-1]  # the newest come first
    client = MlflowClient(f"sqlite:///{reference}/mlflow.db")
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
