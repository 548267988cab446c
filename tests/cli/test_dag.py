"""The pipeline as DVC sees it."""

import pytest

from dpg.cli import dag
from dpg.cli.dag import Pipeline, PipelineError

STAGES = {"base", "left", "right", "join", "cell@x", "cell@y"}


def test_stages_come_after_what_they_depend_on(project, monkeypatch):
    monkeypatch.chdir(project)
    pipeline = dag.read()
    assert set(pipeline.parents) == STAGES
    assert pipeline.parents["join"] == ("left", "right")
    assert pipeline.parents["cell@x"] == ("base",)
    seen = set()
    for stage, parents in pipeline.parents.items():
        assert seen.issuperset(parents), stage
        seen.add(stage)


def test_before_the_first_run_everything_is_stale(project, monkeypatch):
    monkeypatch.chdir(project)
    pipeline = dag.read()
    assert pipeline.stale == STAGES


def test_a_target_brings_what_it_depends_on_and_no_more(project, monkeypatch):
    monkeypatch.chdir(project)
    assert set(dag.read(["left"]).parents) == {"base", "left"}
    assert set(dag.read(["cell"]).parents) == {"base", "cell@x", "cell@y"}
    assert set(dag.read(["cell@y", "left"]).stale) == {"base", "cell@y", "left"}


def test_only_what_changed_is_stale(done, monkeypatch):
    monkeypatch.chdir(done)
    assert dag.read().stale == frozenset()
    (done / "left-source.txt").write_text("2", encoding="utf-8")
    pipeline = dag.read()
    assert pipeline.stale == {"left"}
    assert pipeline.below(pipeline.stale) == {"join"}
    assert pipeline.changed == frozenset()
    assert dag.locked("left") != dag.locked("right")


def test_outputs_that_were_touched_are_not_those_of_the_lock(done, monkeypatch):
    """Running their stage changes them back, though its hash in `dvc.lock` stays as it was."""
    monkeypatch.chdir(done)
    (done / "left.txt").unlink()
    (done / "left.txt").write_text("changed by hand", encoding="utf-8")
    assert dag.read().changed == {"left"}


def test_a_lock_that_is_half_written_tells_nothing(done, monkeypatch):
    monkeypatch.chdir(done)
    text = (done / "dvc.lock").read_text(encoding="utf-8")
    assert dag.locked("right") is not None
    (done / "dvc.lock").write_text(text[: text.index("right") + 10], encoding="utf-8")
    assert dag.locked("right") is None
    (done / "dvc.lock").write_text("", encoding="utf-8")
    assert dag.locked("right") is None


def test_mistakes_are_told_in_dvcs_words(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    with pytest.raises(PipelineError, match="lefft"):
        dag.read(["lefft"])
    (project / "dvc.yaml").write_text("stages: 3", encoding="utf-8")
    with pytest.raises(PipelineError, match=r"dvc\.yaml"):
        dag.read()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match="not inside of a DVC repository"):
        dag.read()


def test_heights_count_the_longest_chain_below():
    parents = {"a": (), "b": ("a",), "c": ("b",), "d": ("a",), "e": ("c", "d")}
    heights = Pipeline(parents).heights()
    assert heights == {"a": 3, "b": 2, "c": 1, "d": 1, "e": 0}


@pytest.mark.parametrize("value", ["x", "", "[[x]]"])
def test_a_parameter_that_dvc_stumbles_over_is_named(project, dpg, value):
    """In DVC's words, "'Value' object is not iterable"; here the parameters are another project's as well."""
    (project / "params.yaml").write_text(f"names: {value}\n", encoding="utf-8")
    output = dpg("repro", cwd=project, expect=1)
    assert output.startswith("error: params.yaml has ")
    assert "names = " in output and "no such parameter" in output
