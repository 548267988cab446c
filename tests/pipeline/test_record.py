"""The published record: what it takes from an unfinished run, and that its check finds what is wrong with it."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from imageio.v3 import imread, imwrite
from ruamel.yaml import YAML

from dpg.record import PUBLISHED, SOURCES, compare, lock, overview, pages, sources
from dpg.record.__main__ import check as check_record
from dpg.record.__main__ import write as write_record
from dpg.report.claims.verdicts import Verdict, number
from dpg.report.page.records import COSTS
from dpg.runtime.errors import UserError
from stages.common.lineage import UNNAMED_STORE, read_records
from stages.figures import report_tracking
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
    write(unfinished, target, "--command", "dvc repro")
    return target


def write(source, target, *options, expect=0):
    return shell("python", "-m", "dpg.record", "write", str(source), str(target), *options, cwd=ROOT, expect=expect)


def check(record, expect=0):
    return shell("python", "-m", "dpg.record", "check", str(record), cwd=ROOT, expect=expect)


def edit(path, change):
    """Change what a YAML or JSON file holds."""
    yaml = YAML(typ="safe", pure=True)
    content = yaml.load(path)
    change(content)
    yaml.dump(content, path) if path.suffix != ".json" else path.write_text(json.dumps(content), encoding="utf-8")


def output(lock, name, path):
    return next(output for output in lock["stages"][name]["outs"] if output["path"] == path)


def test_a_record_says_what_has_not_run_yet(record):
    claims = {claim["id"]: claim for claim in json.loads((record / "claims.json").read_text(encoding="utf-8"))}
    for name, stage, algorithm in (("G1", "gradient", "trpo"), ("V3", "baselines", "ppo"), ("V5", "ablation", "ppo")):
        (finding,) = (each for each in claims[name]["findings"] if each["where"].endswith(f", {algorithm.upper()}"))
        assert finding["verdict"] == "not measured"
        assert f"{stage}@{ENV}-{algorithm} has not run yet" in finding["reason"]
    assert claims["G1"]["findings"][0]["parts"]
    readme = (record / "README.md").read_text(encoding="utf-8")
    assert "0 of 2 cells are finished" in readme and f"`landscape@{ENV}-trpo`" in readme
    symbol, effect = Verdict(claims["G1"]["verdict"]).symbol, number(claims["G1"]["effect"])
    assert f"| claim | {ENV}, PPO | {ENV}, TRPO |" in readme
    assert re.search(rf"^\| G1: .* \| {symbol} {re.escape(effect)} \| · \|$", readme, re.MULTILINE)
    assert "baselines@Hopper-v4-ppo has not run yet" in (record / "index.html").read_text(encoding="utf-8")


def test_a_record_has_no_names_of_this_machine(record, reference):
    texts = [path.read_text(encoding="utf-8") for path in record.rglob("*") if path.is_file() and path.suffix != ".png"]
    assert not [text for text in texts if str(reference) in text or "mlflow.db" in text]


def test_a_record_agrees_with_its_tables_and_can_be_renewed_from_them(record, tmp_path):
    assert "agrees with its tables" in check(record)
    write(record, tmp_path / "again")
    assert digest(tmp_path / "again") == digest(record)


def test_whatever_was_altered_in_a_record_is_found(record, tmp_path):
    """Altered and swapped values of each kind, and files that are gone, too many or broken."""
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
    one, other = re.findall(r'base64,([^"]*)"', page)[-2:]
    page = page.replace(one, "ONE").replace(other, one).replace("ONE", other)
    row = page.index('<tr id="G1">')
    badge = page.index(was, page.index('class="badge', row))
    (altered / "index.html").write_text(page[:badge] + "hidden" + page[badge + len(was) :], encoding="utf-8")
    (altered / "figures" / "index.json").write_text("{", encoding="utf-8")
    found = check(altered, expect=1).splitlines()

    def said(*words):
        return [line for line in found if all(word in line for word in words)]

    assert said("claims.json: G1.verdict is", claim["verdict"], was)
    assert said("claims.json: G1.findings.0.parts.0.sizes.agents is")
    assert said(f"tables/train/{ENV}/ppo", "hash")
    assert said(f"metrics.json: {ENV}.ppo.final_return is") and said("curves.csv: row.5.mean_return is")
    assert said(figure.name, "4 of")
    assert said(f"fig01_gradient_variance_{ENV}.png: is missing")
    assert said("fig99.png: does not follow") and said("index.json: cannot be read")
    assert said("index.html: line", "hidden", was) and said(
        "index.html: image 'Figure 9:", "not figures/fig09_rewards.png"
    )
    assert not said("G2") and not said("gradient/") and not said("index.json: 1")


def test_a_record_without_a_table_is_not_whole(record, tmp_path):
    altered = shutil.copytree(record, tmp_path / "record")
    (altered / "tables" / "gradient" / ENV / "ppo" / "noise.csv").unlink()
    assert f"gradient/{ENV}/ppo/noise.csv is missing" in check(altered, expect=1)


def test_runs_that_are_not_one_experiment_make_no_record(unfinished, tmp_path):
    project = shutil.copytree(unfinished, tmp_path / "project", symlinks=True)
    set_parameter(project, "common.gamma", 0.9)
    output = write(project, tmp_path / "record", "--command", "dvc repro", expect=1)
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


def unfinished_in(draft):
    reasons = [(path.parent, path.read_text(encoding="utf-8")) for path in draft.rglob("not_measured.txt")]
    return {str(folder.relative_to(draft / "tables")): text for folder, text in reasons if "has not run yet" in text}


@pytest.fixture
def project(unfinished, tmp_path):
    return shutil.copytree(unfinished, tmp_path / "project", symlinks=True)


@pytest.fixture
def draft(tmp_path):
    (tmp_path / "draft").mkdir()
    return tmp_path / "draft"


def test_results_of_another_scale_are_not_published(project, draft):
    """A lock keeps them until their stages run again, and their parameters are still those of params.yaml."""
    name = f"gradient@{ENV}-ppo"
    laptop = YAML(typ="safe").load(project / "params.yaml")["scales"]["laptop"]["gradient"]

    def at_laptop(lock):
        params = lock["stages"][name]["params"]["params.yaml"]
        del params["scales.smoke.gradient"]
        params["scales.laptop.gradient"] = laptop

    edit(project / "dvc.lock", at_laptop)
    sources.collect(project, draft, "dvc repro")
    assert unfinished_in(draft)[f"gradient/{ENV}/ppo"] == f"{name} has not run yet\n"
    assert name not in sources.provenance(draft)["runs"]


def test_results_from_earlier_inputs_are_not_published(project, draft):
    """Of a cell that was trained again, what was measured on the agents before, and all that follows from it."""
    trained = f"data/train/{ENV}/ppo"
    edit(project / "dvc.lock", lambda lock: output(lock, f"train@{ENV}-ppo", trained).update(md5="0"))
    sources.collect(project, draft, "dvc repro")
    reasons = unfinished_in(draft)
    assert reasons[f"checkpoint/{ENV}/ppo"] == f"checkpoint@{ENV}-ppo has not run yet on the present {trained}\n"
    assert "on the present data/checkpoint/" in reasons[f"gradient/{ENV}/ppo"]
    assert set(sources.provenance(draft)["runs"]) == {f"train@{ENV}-ppo", f"train@{ENV}-trpo"}


def test_a_stage_that_has_not_run_has_no_rows_and_no_other_stage_has_tables(record, tmp_path):
    altered = shutil.copytree(record, tmp_path / "record")
    tables = altered / "tables"
    shutil.copy(tables / "gradient" / ENV / "ppo" / "noise.csv", tables / "gradient" / ENV / "trpo" / "noise.csv")
    (tables / "value" / ENV / "ppo" / "not_measured.txt").write_text("it is of no use\n", encoding="utf-8")
    shutil.copytree(tables / "train" / ENV / "ppo", tables / "train" / ENV / "other")
    edit(altered / "provenance.json", lambda found: found["runs"].update(other=found["runs"][f"train@{ENV}-ppo"]))
    found = list(sources.problems(altered))
    for words in (f"tables/gradient/{ENV}/trpo: ", f"tables/value/{ENV}/ppo: ", f"tables/train/{ENV}/other/"):
        assert any(line.startswith(words) for line in found), words
    assert "provenance.json: other: dvc.lock says that it has not run" in found
    (tmp_path / "again").mkdir()
    sources.copy(altered, tmp_path / "again", "dvc repro")
    assert digest(tmp_path / "again" / "tables") == digest(record / "tables")


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("params.yaml", lambda params: params.pop("seed"), "seed"),
        ("dvc.lock", lambda lock: lock["stages"][f"gradient@{ENV}-ppo"].update(outs=[]), "has another hash"),
        ("dvc.lock", lambda lock: lock["stages"][f"gradient@{ENV}-ppo"].update(deps=[1]), "not a whole dvc.lock"),
        ("provenance.json", lambda found: found["runs"][f"train@{ENV}-ppo"]["cost"].pop("pairs"), "not whole"),
    ],
)
def test_a_check_says_what_is_broken_and_ends_without_a_traceback(record, tmp_path, file, change, said):
    altered = shutil.copytree(record, tmp_path / "record")
    (altered / "tables" / "gradient" / ENV / "ppo" / "noise.csv").write_bytes(b"\xff")
    edit(altered / file, change)
    assert any(said in line for line in compare.disagreements(altered))


def test_a_run_recorded_by_an_older_version_is_named(tmp_path):
    for text in ('{"run_id": "1"}', '{"run_id": "1", "provenance": {}, "cost": {}}', "{", "[]"):
        (tmp_path / "ppo.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=r"ppo\.json is not whole, or of an older version"):
            sources.run_of(tmp_path / "ppo.json", "train@a-ppo")


COST = dict.fromkeys(COSTS, 1)


@pytest.mark.parametrize(
    "found",
    [
        [],
        {"runs": {}},
        {"command": 3, "runs": {}},
        {"command": "dvc repro", "runs": None},
        {"command": "dvc repro", "runs": {"a": {"run_id": "1", "cost": COST | {"pairs": "many"}, "provenance": {}}}},
        {"command": "dvc repro", "runs": {"a": {"run_id": "1", "cost": COST, "provenance": ["torch"]}}},
        {"command": "dvc repro", "runs": {"a": {"run_id": "1", "cost": COST, "provenance": {"torch": 2}}}},
    ],
)
def test_a_provenance_of_another_form_is_not_whole(tmp_path, found):
    whole = {"command": "dvc repro", "runs": {"a": {"run_id": "1", "cost": COST, "provenance": {"torch": "2"}}}}
    for content in (whole, found):
        (tmp_path / "provenance.json").write_text(json.dumps(content), encoding="utf-8")
        if content is whole:
            assert sources.provenance(tmp_path) == whole
    with pytest.raises(UserError, match=r"provenance\.json is missing or not whole"):
        sources.provenance(tmp_path)


def test_a_lock_whose_stages_feed_each_other_is_not_whole(tmp_path):
    stages = {
        name: {"deps": [{"path": read, "md5": "1"}], "outs": [{"path": written, "md5": "1"}]}
        for name, read, written in (("one", "x", "y"), ("other", "y", "x"))
    }
    YAML(typ="safe").dump({"stages": stages}, tmp_path / "dvc.lock")
    with pytest.raises(UserError, match=r"not a whole dvc\.lock"):
        lock.read(tmp_path / "dvc.lock")


def test_only_a_record_is_replaced(unfinished, tmp_path, monkeypatch):
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for target in (tmp_path, tmp_path / "notes", tmp_path.relative_to(tmp_path)):
        with pytest.raises(UserError, match="is no record"):
            write_record(unfinished, target)
    assert (tmp_path / "notes").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("a cosine of 0.739 [0.504, 0.975];", "a cosine of 0.738 [0.505, 0.975];", True),
        ("<td>1,234.5</td>", "<td>1,234.6</td>", True),
        ("2.31e+05 pairs, -0.5.", "2.32e+05 pairs, -0.6.", True),
        ("0.739", "0.737", False),
        ("threshold: below 0.707.", "threshold: below 0.708.", False),
        ("above -0.01", "above -0.02", False),
        ("arXiv:1811.02553", "arXiv:1811.02554", False),
        ("arxiv.org/abs/1811.02553", "arxiv.org/abs/1811.02554", False),
        ("torch 2.13.0+cpu", "torch 2.14.0+cpu", False),
        ("torch 2.13.0", "torch 2.13.1", False),
    ],
)
def test_only_measured_numbers_may_differ_in_their_last_digit(tmp_path, text, other, same):
    for name, content in (("here", text), ("there", other)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text(content, encoding="utf-8")
    assert (not list(compare.compare(tmp_path / "here", tmp_path / "there"))) == same


def test_pages_take_verdicts_and_figures_from_the_record(record, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- record: verdicts G1 R1 -->\nwhat was here\n<!-- end of record -->\n"
        '<!-- record: numbers final_return="at the end" gradient.true_cosine_at_T_last -->\n<!-- end of record -->\n'
        "<!-- record: figure fig09_rewards -->\n<!-- end of record -->\nb\n",
        encoding="utf-8",
    )
    text, lacking = pages.fill_page(page, record, record)
    assert not lacking
    metrics = json.loads((record / "metrics.json").read_text(encoding="utf-8"))[ENV]
    mean, low, high = (number(metrics["ppo"][f"final_return{end}"]) for end in ("", "_low", "_high"))
    cosine = number(metrics["ppo"]["gradient"]["true_cosine_at_T_last"])
    assert "| cell | at the end | true cosine at T last |" in text.splitlines()
    assert f"| {ENV}, PPO | {mean} [{low}, {high}] | {cosine} |" in text.splitlines()
    assert re.search(rf"^\| {ENV}, TRPO \| .*\] \| - \|$", text, re.MULTILINE)
    assert "what was here" not in text and "| G1: " in text and "| R1: " in text and "| G2: " not in text
    assert text.startswith("a\n") and text.endswith("b\n")
    (image,) = (line for line in text.splitlines() if line.startswith("!["))
    assert (tmp_path / image.partition("](")[2].removesuffix(")")).resolve() == record / "figures" / "fig09_rewards.png"


def test_a_star_in_a_caption_does_not_end_its_emphasis(tmp_path):
    entry = {"name": "fig05_baselines", "title": "Figure 5", "caption": "V*, fitted to returns."}
    for name, content in {"claims.json": [], "figures/index.json": [entry]}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("<!-- record: figure fig05_baselines -->\n<!-- end of record -->\n", encoding="utf-8")
    text, _ = pages.fill_page(page, tmp_path, tmp_path)
    assert "\n*Figure 5. V\\*, fitted to returns.*\n" in text


@pytest.mark.parametrize(
    "part", ["verdicts Z1", "figure fig99_nothing", 'numbers final_return="at', "verdict G1 (the kind is verdicts)"]
)
def test_a_page_cannot_name_what_no_record_has(record, tmp_path, part):
    page = tmp_path / "page.md"
    page.write_text(f"<!-- record: {part} -->\n<!-- end of record -->\n", encoding="utf-8")
    with pytest.raises(pages.RecordError, match=re.escape(part.split()[1])):
        pages.fill_page(page, record, record)


def test_pages_say_what_has_not_been_measured_yet(record, tmp_path, monkeypatch):
    """The record is published with what there is, and passes its check; the command is the one that is given."""
    head = "<!-- record: figure fig01_gradient_variance_Humanoid-v4 -->"
    numbers = "<!-- record: numbers final_return landscape.N7.resolved_share_last -->"
    verdicts = "<!-- record: verdicts -->\n<!-- end of record -->\n"
    (tmp_path / "docs").mkdir()
    readme, reading = tmp_path / "README.md", tmp_path / "docs" / "record.md"
    readme.write_text(f"{head}\nof another record\n<!-- end of record -->\n{verdicts}", encoding="utf-8")
    reading.write_text(f"{verdicts}{numbers}\n<!-- end of record -->\n", encoding="utf-8")
    module = ("python", "-m", "dpg.record")
    output = shell(*module, "write", str(record), "--command", "dvc repro train@x", cwd=tmp_path)
    assert "README.md: docs/record has no fig01_gradient_variance_Humanoid-v4 yet" in output
    assert "docs/record.md: docs/record has no landscape.N7.resolved_share_last yet" in output
    assert f"{head}\n\n`fig01_gradient_variance_Humanoid-v4`: not measured yet.\n" in readme.read_text(encoding="utf-8")
    assert re.search(rf"^\| {ENV}, PPO \| .* \| - \|$", reading.read_text(encoding="utf-8"), re.MULTILINE)
    shell(*module, "write", cwd=tmp_path)  # keeps the command
    assert "`dvc repro train@x`" in (tmp_path / PUBLISHED / "README.md").read_text(encoding="utf-8")
    assert "agrees with its tables" in shell(*module, "check", cwd=tmp_path)
    readme.write_text(f"{head}\nanother\n<!-- end of record -->\n{verdicts}", encoding="utf-8")
    unknown = "<!-- record: figure x -->\n<!-- end of record -->\n"
    reading.write_text(f"{numbers}\n<!-- end of record -->\n{unknown}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    remedy = "is not what docs/record says; `python -m dpg.record write` renews it"
    assert list(pages.disagreements(PUBLISHED)) == [
        f"README.md, line 1: {head} {remedy}",
        f"README.md, line 4: <!-- record: verdicts --> {remedy}",
        "docs/record.md: <!-- record: figure x -->: docs/record has no x",
    ]


def test_a_page_that_cannot_be_filled_leaves_the_record_and_all_pages_as_they_are(record, tmp_path):
    (tmp_path / "docs").mkdir()
    verdicts = "<!-- record: verdicts -->\n<!-- end of record -->\n"
    (tmp_path / "README.md").write_text(verdicts, encoding="utf-8")
    (tmp_path / "docs" / "record.md").write_text(verdicts.replace("verdicts", "verdicts Z1"), encoding="utf-8")
    before = digest(tmp_path)
    output = shell("python", "-m", "dpg.record", "write", str(record), cwd=tmp_path, expect=1)
    assert "docs/record.md: <!-- record: verdicts Z1 -->: docs/record has no Z1" in output
    assert digest(tmp_path) == before


def test_the_command_of_a_new_record_must_be_given(unfinished, tmp_path):
    output = write(unfinished, tmp_path / "record", expect=1)
    assert output == "error: --command is needed: what ran the experiment, such as 'dvc repro'\n"


def test_an_error_names_files_that_the_user_has(record, tmp_path):
    altered = shutil.copytree(record, tmp_path / "record")
    (altered / "tables" / "gradient" / ENV / "ppo" / "noise.csv").unlink()
    output = write(altered, tmp_path / "again", expect=1)
    assert f"{altered}: tables/gradient/{ENV}/ppo/noise.csv is missing" in output


def test_one_cell_is_repeated_as_far_as_it_has_run(record):
    readme = (record / "README.md").read_text(encoding="utf-8")
    (stages,) = re.findall(r"^dvc repro (.*)$", readme, re.MULTILINE)
    assert set(stages.split()) == {f"{stage}@{ENV}-ppo" for stage in RUN}


@pytest.mark.parametrize("command", ["write", "check"])
def test_without_a_record_one_line_says_what_makes_it(tmp_path, command):
    output = shell("python", "-m", "dpg.record", command, cwd=tmp_path, expect=1)
    assert output == "error: docs/record does not exist: `make record FROM=folder COMMAND=command` makes it\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["write", "check"])
@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("nowhere", "nowhere does not exist"),
        ("notes", "notes is no folder"),
        (".", ". is neither an experiment nor a record: it has no params.yaml"),
    ],
)
def test_a_folder_without_an_experiment_is_named(tmp_path, monkeypatch, command, folder, said):
    monkeypatch.chdir(tmp_path)
    Path("notes").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        {"write": write_record, "check": check_record}[command](Path(folder))


def test_nothing_is_written_from_a_folder_without_the_pages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^README\.md is missing: run this in the project's root$"):
        write_record(ROOT)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("page", "line"),
    [
        # Without its end the first part would swallow what stands before the second.
        ("<!-- record: verdicts G1 -->\nmine\n<!-- record: verdicts G2 -->\n<!-- end of record -->\n", 3),
        ("<!-- record: verdicts G1 -->\n", 1),
        ("mine\n<!-- end of record -->\n", 2),
        ("<!--record: verdicts G1-->\n<!-- end of record -->\n", 1),
    ],
)
def test_a_part_of_a_page_that_is_not_whole_is_named_before_anything_is_written(tmp_path, monkeypatch, page, line):
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text(page, encoding="utf-8")
    with pytest.raises(pages.RecordError, match=rf"^README\.md, line {line}: <!-- ?.* is not of a whole part"):
        pages.require_whole()


def test_versions_are_those_of_a_cell_or_of_some_of_its_stages(record, tmp_path):
    copied, odd = shutil.copytree(record, tmp_path / "record"), f"gradient@{ENV}-ppo"

    def elsewhere(provenance):
        for name, run in provenance["runs"].items():
            if name == odd or name.endswith("trpo"):
                run["provenance"]["hardware.cpu"] = "another"

    edit(copied / "provenance.json", elsewhere)
    write(copied, again := tmp_path / "again")
    lines = (again / "README.md").read_text(encoding="utf-8").splitlines()
    here, there = (
        next(line for line in lines if line.startswith(f"`{name}`; ")) for name in (f"checkpoint@{ENV}-ppo", odd)
    )
    assert here.startswith(f"`checkpoint@{ENV}-ppo`; `train@{ENV}-ppo`: ")
    assert there.startswith(f"`{odd}`; {ENV}, TRPO: ")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("dvc repro", "`dvc repro`"),
        ("dvc repro `cat stages`", "`` dvc repro `cat stages` ``"),
        ("for s in a\ndo dvc repro $s\ndone", "`for s in a do dvc repro $s done`"),
        ("dvc exp run -n größer", "`dvc exp run -n größer`"),
    ],
)
def test_a_command_is_one_piece_of_code_in_the_readme(command, code):
    assert overview.code(command) == code


def test_a_command_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(UserError, match="must be text in UTF-8"):
        write_record(ROOT, tmp_path / "record", "dvc repro \udcff")


@pytest.fixture
def clone(tmp_path):
    clone = tmp_path / "clone"
    clone.mkdir()
    shutil.copy(ROOT / "dvc.yaml", clone)
    return clone


def test_a_clone_goes_on_from_a_record(record, clone, draft, monkeypatch, capsys):
    """What it then publishes has the record's sources, to the byte; its figures say that their runs are elsewhere."""
    restored = shell("python", "-m", "dpg.record", "restore", str(clone), str(record), cwd=ROOT)
    assert f"{clone} has the results of {record}; not run yet: " in restored
    assert f"gradient@{ENV}-trpo" in restored
    assert f"gradient@{ENV}-ppo," not in restored
    sources.collect(clone, draft, "dvc repro")
    sources_of_record = {path: text for path, text in digest(record).items() if path.split("/")[0] in SOURCES}
    assert digest(draft) == sources_of_record
    monkeypatch.chdir(clone)
    made = read_records([ENV], ["ppo"])
    report_tracking(made, [f"gradient@{ENV}-ppo"])
    (elsewhere,) = capsys.readouterr().err.splitlines()
    assert elsewhere.startswith(f"gradient@{ENV}-ppo: made by runs in {UNNAMED_STORE} (")


def test_only_a_fresh_clone_goes_on_from_a_record_that_is_whole(record, clone, tmp_path):
    (clone / "data").mkdir()
    with pytest.raises(UserError, match=r"data exists, .*: use a fresh clone$"):
        sources.restore(record, clone)
    (clone / "data").rmdir()
    with pytest.raises(UserError, match=r"is no clone of this project: it has no dvc\.yaml$"):
        sources.restore(record, tmp_path)
    altered = shutil.copytree(record, tmp_path / "altered")
    next(altered.glob(f"tables/gradient/{ENV}/ppo/*.csv")).write_text("pairs\n1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"does not agree with itself:\n .*dvc\.lock has another hash"):
        sources.restore(altered, clone)
    assert [path.name for path in clone.iterdir()] == ["dvc.yaml"]


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / PUBLISHED).is_dir(), reason="no record has been published yet")
def test_the_published_record_agrees_with_its_tables_and_the_pages_with_it():
    check(PUBLISHED)
