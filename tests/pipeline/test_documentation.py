"""The documentation names what is there."""

import re
import sys
from dataclasses import fields

import pytest
from dpg.report.claims.rules import RULES
from ruamel.yaml import YAML

from dpg.tables.baselines import AgentsDifference, BaselineCosine, BaselineDifference
from dpg.tables.checkpoint import Evaluation
from dpg.tables.gradient import Noise, Similarity
from dpg.tables.landscape import Alignment, LandscapePoint, Resolution, SubsampledPoint
from dpg.tables.training import Record
from dpg.tables.true_value import FitEpoch, FitQuality, StateErrors, StateValue
from dpg.tables.update_gain import AgentsGain, SnapshotGain, UpdateGain
from dpg.tables.update_step import UpdateAgreement
from dpg.tables.value import PredictionError
from tests.pipeline.project import ROOT, shell

TABLES = {
    "train/history.csv": Record,
    "ablation/history.csv": Record,
    "regimes/history.csv": Record,
    "checkpoint/evaluation.csv": Evaluation,
    "gradient/similarity.csv": Similarity,
    "gradient/noise.csv": Noise,
    "update_step/update_step.csv": UpdateAgreement,
    "update_gain/update_gain.csv": UpdateGain,
    "update_gain/snapshots.csv": SnapshotGain,
    "update_gain/agents.csv": AgentsGain,
    "value/value.csv": PredictionError,
    "true_value/fit.csv": FitQuality,
    "true_value/loss.csv": FitEpoch,
    "true_value/states.csv": StateValue,
    "true_value/state_errors.csv": StateErrors,
    "baselines/baselines.csv": BaselineCosine,
    "baselines/differences.csv": BaselineDifference,
    "baselines/agents.csv": AgentsDifference,
    "landscape/landscape.csv": LandscapePoint,
    "landscape/concentration.csv": SubsampledPoint,
    "landscape/resolution.csv": Resolution,
    "landscape/alignment.csv": Alignment,
}
PAGES = [path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("**/*.md")))]
# What a row belongs to, beyond the cell.
FURTHER = {"regimes/history.csv": {"timesteps", "lr"}}
# Tables over agents lack that column, and say so in their first line.
LACKING = {
    "update_gain/agents.csv": {"agent"},
    "baselines/agents.csv": {"agent"},
}


@pytest.mark.parametrize("table", TABLES)
def test_every_column_of_a_table_is_documented_and_no_other(table):
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    common, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    (section,) = [section for section in sections if section.startswith(f"`{table}`")]

    def names(part: str) -> set[str]:
        first_cells = re.findall(r"^\| (`.*?`) \|", part, flags=re.MULTILINE)
        return set(re.findall(r"`([a-z_0-9]+)`", " ".join(first_cells)))

    columns = {field.name for field in fields(TABLES[table])} | {"env", "algorithm"} | FURTHER.get(table, set())
    assert (names(common) | names(section)) - LACKING.get(table, set()) == columns
    assert not names(common) & names(section)


def test_every_claim_is_documented_with_its_rule_and_reason():
    text = " ".join((ROOT / "docs" / "claims.md").read_text(encoding="utf-8").split())
    sections = dict(re.findall(r"## (\w+): (.*?)(?= ## |$)", text))
    assert list(sections) == list(RULES)
    for name, rule in RULES.items():
        for words in (rule.claim.rstrip("."), rule.rule, rule.why, ", ".join(f"`{table}`" for table in rule.tables)):
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
    for row in rows:
        assert set(re.findall(r"`(\w+)`", row[1])) <= set(stages), row
        for (folder,), cell in ((folders[2], row[2]), (folders[4], row[4])):
            assert all((ROOT / folder / name).is_file() for name in re.findall(r"`([\w/]+\.py)`", cell)), row


def test_every_stage_says_what_it_does():
    stages = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
    assert all(stage["desc"] for stage in stages.values())


def test_the_tutorial_runs(project):
    """Every block of it, in a project in which the pipeline has run."""
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), flags=re.M | re.S
    )
    output = shell(sys.executable, "-c", "\n".join(blocks), cwd=project)
    assert "one episode returns" in output
    assert "agent01.safetensors: the same action: True" in output
    assert (project / "my_agents.png").stat().st_size > 0
    (project / "my_agents.png").unlink()
