"""The published record: what it takes from an unfinished run, and that its check finds what is wrong with it."""

import json
import shutil

import pandas as pd
import pytest
from imageio.v3 import imread, imwrite
from ruamel.yaml import YAML

from dpg.record import PUBLISHED, pages, sources
from dpg.runtime.errors import UserError
from tests.pipeline.project import ENV, ROOT, digest, set_parameter, shell

RUN = ("train", "checkpoint", "gradient")


@pytest.fixture(scope="module")
def unfinished(reference, tmp_path_factory):
    """The reference's run at a time when one cell had gradients, and the other only trained agents."""
    project = tmp_path_factory.mktemp("unfinished")
    shutil.copy(reference / "params.yaml", project)
    (project / "data").symlink_to(reference / "data")
    yaml = YAML(typ="safe")
    lock = yaml.load(reference / "dvc.lock")
    for name in list(lock["stages"]):
        stage, _, cell = name.partition("@")
        if stage not in RUN or (cell.endswith("trpo") and stage != "train"):
            del lock["stages"][name]
    yaml.dump(lock, project / "dvc.lock")
    return project


@pytest.fixture(scope="module")
def record(unfinished, tmp_path_factory):
    target = tmp_path_factory.mktemp("record") / "record"
    write(unfinished, target)
    return target


def write(source, target, expect=0):
    return shell("python", "-m", "dpg.record", "write", str(source), str(target), cwd=ROOT, expect=expect)


def check(record, expect=0):
    return shell("python", "-m", "dpg.record", "check", str(record), cwd=ROOT, expect=expect)


def test_a_record_says_what_has_not_run_yet(record):
    claims = {claim["id"]: claim for claim in json.loads((record / "claims.json").read_text(encoding="utf-8"))}
    for name, stage, algorithm in (("G1", "gradient", "trpo"), ("V3", "baselines", "ppo"), ("V5", "ablation", "ppo")):
        (finding,) = (each for each in claims[name]["findings"] if each["where"].endswith(f", {algorithm.upper()}"))
        assert finding["verdict"] == "not measured"
        assert f"{stage}@{ENV}-{algorithm} has not run yet" in finding["reason"]
    assert claims["G1"]["findings"][0]["parts"]
    readme = (record / "README.md").read_text(encoding="utf-8")
    assert "0 of 2 cells are finished" in readme and f"`landscape@{ENV}-trpo`" in readme
    assert "baselines@Hopper-v4-ppo has not run yet" in (record / "index.html").read_text(encoding="utf-8")


def test_a_record_has_no_names_of_this_machine(record, reference):
    texts = [path.read_text(encoding="utf-8") for path in record.rglob("*") if path.is_file() and path.suffix != ".png"]
    assert not [text for text in texts if str(reference) in text or "mlflow.db" in text]


def test_a_record_agrees_with_its_tables_and_can_be_renewed_from_them(record, tmp_path):
    assert "agrees with its tables" in check(record)
    write(record, tmp_path / "again")
    assert digest(tmp_path / "again") == digest(record)


def test_whatever_was_altered_in_a_record_is_found(record, tmp_path):
    """An altered verdict, sample size, number, row, figure, image and page, and files that are gone or too many."""
    altered = shutil.copytree(record, tmp_path / "record")
    claims = json.loads((altered / "claims.json").read_text(encoding="utf-8"))
    claim = claims[0]
    was, claim["verdict"] = claim["verdict"], "supported" if claim["verdict"] != "supported" else "contradicted"
    claim["findings"][0]["parts"][0]["sizes"]["agents"] += 1
    (altered / "claims.json").write_text(json.dumps(claims), encoding="utf-8")
    history = altered / "tables" / "train" / ENV / "ppo" / "history.csv"
    rows = pd.read_csv(history)
    rows.loc[rows["iteration"] == rows["iteration"].max(), "mean_return"] += 1e-3
    rows.to_csv(history, index=False)
    figure = altered / "figures" / f"fig02_true_gradient_{ENV}.png"
    pixels = imread(figure, mode="RGB")
    pixels[100:102, 100:102] = 255 - pixels[100:102, 100:102]
    imwrite(figure, pixels)
    (altered / "figures" / f"fig01_gradient_variance_{ENV}.png").unlink()
    (altered / "figures" / "fig99.png").write_bytes(figure.read_bytes())
    page = (altered / "index.html").read_text(encoding="utf-8")
    row = page.index('<tr id="G1">')
    badge = page.index(was, page.index('class="verdict', row))
    (altered / "index.html").write_text(page[:badge] + "hidden" + page[badge + len(was) :], encoding="utf-8")
    found = check(altered, expect=1).splitlines()

    def said(*words):
        return [line for line in found if all(word in line for word in words)]

    assert said("claims.json: G1.verdict is", claim["verdict"], was)
    assert said("claims.json: G1.findings.0.parts.0.sizes.agents is")
    assert said(f"tables/train/{ENV}/ppo", "hash")
    assert said(f"metrics.json: {ENV}.ppo.final_return is") and said("curves.csv: row.5.mean_return is")
    assert said(figure.name, "4 of")
    assert said(f"fig01_gradient_variance_{ENV}.png: is missing")
    assert said("fig99.png: does not follow")
    assert said("index.html: line", "hidden", was)
    assert not said("G2") and not said("gradient/") and not said("index.json: 1")


def test_a_record_without_a_table_is_not_whole(record, tmp_path):
    altered = shutil.copytree(record, tmp_path / "record")
    (altered / "tables" / "gradient" / ENV / "ppo" / "noise.csv").unlink()
    assert f"gradient/{ENV}/ppo/noise.csv is missing" in check(altered, expect=1)


def test_runs_that_are_not_one_experiment_make_no_record(unfinished, tmp_path):
    project = shutil.copytree(unfinished, tmp_path / "project", symlinks=True)
    set_parameter(project, "common.gamma", 0.9)
    output = write(project, tmp_path / "record", expect=1)
    assert f"train@{ENV}-ppo ran with another common" in output and "Traceback" not in output
    assert not (tmp_path / "record").exists()

    def refused(match):
        (tmp_path / "draft").mkdir()
        with pytest.raises(UserError, match=match):
            sources.collect(project, tmp_path / "draft", "dvc repro")
        shutil.rmtree(tmp_path / "draft")

    set_parameter(project, "common.gamma", 0.99)
    (project / "data").unlink()
    refused("is missing, though dvc.lock has it: run `dvc pull`")
    (project / "dvc.lock").write_text("stages:\n  train", encoding="utf-8")
    refused("not a whole dvc.lock")
    (project / "dvc.lock").unlink()
    refused("no stage has run there")


def test_pages_take_verdicts_and_figures_from_the_record(record, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- record: verdicts G1 R1 -->\nwhat was here\n<!-- end of record -->\n"
        "<!-- record: figure fig09_rewards -->\n<!-- end of record -->\nb\n",
        encoding="utf-8",
    )
    text, missing = pages.filled(page, record)
    assert not missing
    assert "what was here" not in text and "| G1: " in text and "| R1: " in text and "| G2: " not in text
    assert text.startswith("a\n") and text.endswith("b\n")
    (image,) = (line for line in text.splitlines() if line.startswith("!["))
    assert (tmp_path / image.partition("](")[2].removesuffix(")")).resolve() == record / "figures" / "fig09_rewards.png"


@pytest.mark.parametrize("part", ["verdicts Z1", "figure fig99_nothing"])
def test_a_page_cannot_name_what_no_record_has(record, tmp_path, part):
    page = tmp_path / "page.md"
    page.write_text(f"<!-- record: {part} -->\n<!-- end of record -->\n", encoding="utf-8")
    with pytest.raises(pages.RecordError, match=part.split()[1]):
        pages.filled(page, record)


def test_a_figure_that_has_not_been_measured_yet_leaves_its_page_as_it_is(record, tmp_path, monkeypatch):
    """The record is published with what there is, and passes its check; the command is the one that is given."""
    unmeasured = "<!-- record: figure fig01_gradient_variance_Humanoid-v4 -->\nas it was\n<!-- end of record -->\n"
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(unmeasured, encoding="utf-8")
    verdicts = "<!-- record: verdicts -->\n<!-- end of record -->\n"
    (tmp_path / "docs" / "record.md").write_text(verdicts, encoding="utf-8")
    module = ("python", "-m", "dpg.record")
    output = shell(*module, "write", str(record), "--command", "dvc repro train@x", cwd=tmp_path)
    assert "README.md: docs/record has no fig01_gradient_variance_Humanoid-v4 yet" in output
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == unmeasured
    assert "| G1: " in (tmp_path / "docs" / "record.md").read_text(encoding="utf-8")
    assert "`dvc repro train@x`" in (tmp_path / PUBLISHED / "README.md").read_text(encoding="utf-8")
    assert "agrees with its tables" in shell(*module, "check", cwd=tmp_path)
    (tmp_path / "docs" / "record.md").write_text(verdicts, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert list(pages.disagreements(PUBLISHED)) == [
        "docs/record.md: is not what docs/record says; `python -m dpg.record write` renews it"
    ]


@pytest.mark.parametrize("command", ["write", "check"])
def test_without_a_record_one_line_says_what_makes_it(tmp_path, command):
    output = shell("python", "-m", "dpg.record", command, cwd=tmp_path, expect=1)
    assert output == "error: docs/record does not exist: `make record FROM=folder` makes it\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / PUBLISHED).is_dir(), reason="no record has been published yet")
def test_the_published_record_agrees_with_its_tables_and_the_pages_with_it():
    check(PUBLISHED)
