"""`dpg claims` prints what the pipeline decided, and nothing that it did not."""

import io
import json

import pytest
from rich.console import Console

from dpg.cli import claims

FOUND = [
    {"id": "G1", "claim": "estimates agree poorly", "rule": "cosine < 0.5", "effect": 0.0512, "low": 0.02, "high": 0.08,
     "verdict": "supported", "reason": "", "tables": ["gradient/similarity.csv"]},
    {"id": "G3", "claim": "agreement falls with the task", "rule": "falls", "effect": None, "low": None, "high": None,
     "verdict": "not measured", "reason": "one task alone", "tables": []},
    {"id": "R3", "claim": "they peak", "rule": "decline > 0", "effect": 12.0, "low": None, "high": None,
     "verdict": "inconclusive", "reason": "two agents", "tables": ["regimes/history.csv"]},
]  # fmt: skip


def printed() -> str:
    console = Console(width=140, file=io.StringIO())
    console.print(claims.table(FOUND))
    return console.file.getvalue()


def test_every_claim_has_its_verdict_and_its_effect_or_its_reason():
    g1, g3, r3 = (next(line for line in printed().splitlines() if name in line) for name in ("G1", "G3", "R3"))
    assert "0.0512 [0.02, 0.08]" in g1 and "supported" in g1
    assert "one task alone" in g3 and "not measured" in g3 and "[" not in g3
    assert "12  two agents" in r3 and "inconclusive" in r3
    assert claims.summary(FOUND) == "1 supported, 1 inconclusive, 1 not measured"


def test_json_is_what_the_pipeline_wrote(tmp_path, dpg):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "claims.json").write_text(json.dumps(FOUND))
    assert json.loads(dpg("claims", "--json", cwd=tmp_path)) == FOUND
    assert "1 supported" in dpg("claims", cwd=tmp_path)


@pytest.mark.parametrize(("text", "words"), [(None, "is missing: run `dvc repro`"), ("[{", "is not whole")])
def test_claims_that_are_not_there_are_told_with_how_to_make_them(tmp_path, dpg, text, words):
    (tmp_path / "reports").mkdir()
    if text is not None:
        (tmp_path / "reports" / "claims.json").write_text(text)
    output = dpg("claims", cwd=tmp_path, expect=1)
    assert output.startswith("error: reports/claims.json")
    assert words in output
