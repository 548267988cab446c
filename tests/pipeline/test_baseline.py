"""The results of a run that git keeps: what a fresh clone, which has no data and no cache, does with them."""

import hashlib
import json

import pytest
from ruamel.yaml import YAML

from tests.pipeline.project import ENV, ROOT, ran, shell

BASELINE = ("dvc.lock", "reports/metrics.json", "reports/curves.csv")


def git(*command: str, cwd) -> str:
    return shell("git", "-c", "user.name=t", "-c", "user.email=t@t", *command, cwd=cwd)


@pytest.fixture(scope="module")
def fresh(reference, tmp_path_factory):
    """A clone of a repository in which the reference's run was committed."""
    folder = tmp_path_factory.mktemp("baseline")
    upstream = folder / "upstream"
    git("clone", "-q", str(reference), str(upstream), cwd=folder)
    for name in BASELINE:
        (upstream / name).parent.mkdir(exist_ok=True)
        (upstream / name).write_bytes((reference / name).read_bytes())
    git("add", *BASELINE, cwd=upstream)
    git("commit", "-q", "-m", "baseline", cwd=upstream)
    git("clone", "-q", str(upstream), str(folder / "fresh"), cwd=folder)
    return folder / "fresh"


def test_a_fresh_clone_compares_with_the_baseline(fresh):
    """Numbers and curves of its own against those of the commit, and experiments beside them."""
    assert shell("dvc", "metrics", "diff", cwd=fresh) == ""
    metrics = fresh / "reports" / "metrics.json"
    committed = metrics.read_text(encoding="utf-8")
    changed = json.loads(committed)
    changed[ENV]["ppo"]["final_return"] += 1.0
    metrics.write_text(json.dumps(changed), encoding="utf-8")
    try:
        (line,) = json.loads(shell("dvc", "metrics", "diff", "--json", cwd=fresh))["reports/metrics.json"].values()
        assert line["diff"] == pytest.approx(1.0)
        assert "reports/metrics.json" in shell("git", "status", "--short", cwd=fresh)
    finally:
        metrics.write_text(committed, encoding="utf-8")
    assert "index.html" in shell("dvc", "plots", "diff", cwd=fresh)
    shown = json.loads(shell("dvc", "exp", "show", "--json", cwd=fresh))
    numbers = [entry["data"]["metrics"]["reports/metrics.json"]["data"][ENV]["ppo"] for entry in shown]
    final = json.loads(committed)[ENV]["ppo"]["final_return"]
    assert [each["final_return"] for each in numbers] == [final] * 2  # the folder's, and the commit's
    assert "none is here" in shell("dpg", "doctor", cwd=fresh)
    assert shell("git", "status", "--short", cwd=fresh) == ""


def test_a_fresh_clone_runs_without_its_data(fresh):
    """A stage whose results are named but absent runs as if it never had."""
    assert ran(shell("dvc", "repro", "params", cwd=fresh)) == {"params"}


def test_with_the_cache_a_fresh_clone_has_the_results_and_git_nothing_to_say(fresh, reference):
    shell("dvc", "cache", "dir", "--local", str(reference / ".dvc" / "cache"), cwd=fresh)
    shell("dvc", "checkout", cwd=fresh)
    assert ran(shell("dvc", "repro", cwd=fresh)) == set()
    assert shell("git", "status", "--short", cwd=fresh) == ""


@pytest.mark.skipif(not (ROOT / "dvc.lock").exists(), reason="no run has been committed yet")
def test_the_committed_results_are_of_one_run():
    """Else numbers are compared with a mixture."""
    stages = YAML(typ="safe", pure=True).load(ROOT / "dvc.lock")["stages"]
    hashes = {output["path"]: output["md5"] for output in stages["figures"]["outs"]}
    for name in BASELINE[1:]:
        assert hashlib.md5((ROOT / name).read_bytes()).hexdigest() == hashes[name], name
