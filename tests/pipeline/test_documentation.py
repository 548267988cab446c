"""The documentation names what is there."""

import re
import sys

import pytest
from ruamel.yaml import YAML

from dpg.report.claims.catalog import claims
from dpg.tables import docs
from dpg.tables.table import table_of
from tests.pipeline.project import ROOT, shell

PAGES = [path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("**/*.md")))]


def test_the_page_of_tables_is_what_the_declarations_say():
    """Else a column is undocumented, or documented and gone: `python -m dpg.tables.docs --write`."""
    assert (ROOT / "docs" / "tables.md").read_text(encoding="utf-8") == docs.page()


def test_every_claim_is_documented_with_its_rule_and_reason():
    text = " ".join((ROOT / "docs" / "claims.md").read_text(encoding="utf-8").split())
    sections = dict(re.findall(r"## (\w+): (.*?)(?= ## |$)", text))
    assert list(sections) == list(claims())
    for name, claim in claims().items():
        tables = ", ".join(f"`{table_of(row).name}`" for row in claim.tables)
        for words in (claim.statement.rstrip("."), claim.rule, claim.why, tables):
            assert words in sections[name], name


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_files_and_make_targets_that_a_page_names_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http|#)([^)#]+)[^)]*\)", text)
    assert not [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    named = re.findall(r"`((?:dpg|docs|stages|tests|tools|examples|benchmarks)/[\w/.]+\w)`", text)
    assert not [path for path in named if not (ROOT / path).exists()]
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^`?make ([a-z-]+)", code, flags=re.MULTILINE)
    assert not [name for name in targets if not re.search(rf"^{name}:", makefile, flags=re.MULTILINE)]


def test_the_table_of_figures_names_what_is_there():
    """Its cells leave out the folder that the head of the column names."""
    text = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:3] != "|--"]
    heads, *rows = [row for row in rows if len(row) == 5]
    folders = [re.findall(r"`(dpg/[\w/]*)`", head) for head in heads]
    stages = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
    assert len(rows) > 10
    drawn = set(re.findall(r"`(\w+)\.py`", " ".join(row[4] for row in rows)))
    modules = [path for path in (ROOT / folders[4][0]).glob("*.py") if path.stem != "spec"]
    assert drawn == {path.stem for path in modules if "= FigureSpec(" in path.read_text(encoding="utf-8")}
    for row in rows:
        assert set(re.findall(r"`(\w+)`", row[1])) <= set(stages), row
        for (folder,), cell in ((folders[2], row[2]), (folders[4], row[4])):
            assert all((ROOT / folder / name).is_file() for name in re.findall(r"`([\w/]+\.py)`", cell)), row


def test_every_stage_says_what_it_does():
    stages = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
    assert all(stage["desc"] for stage in stages.values())


def test_the_tutorial_runs(project):
    """Every block of it, in a project in which the pipeline has run."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page, flags=re.M | re.S)
    output = shell(
        sys.executable, "-c", "\n".join(block for language, block in blocks if language == "python"), cwd=project
    )
    assert "one episode returns" in output
    unmeasured = [block for language, block in blocks if not language and not re.search(r"\d", block)]
    assert unmeasured and all(block in output for block in unmeasured)
    assert "agent01.safetensors: the same action: True" in output
    assert (project / "my_agents.png").stat().st_size > 0
    (project / "my_agents.png").unlink()
