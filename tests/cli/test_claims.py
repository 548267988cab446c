"""`dpg claims` prints what the pipeline decided, and nothing that it did not."""

import io
import json

import pytest
from rich.console import Console

from dpg.cli import claims
from dpg.report.claims.catalog import claims as declared_claims
from tests.pipeline.project import ROOT

NUMBERS = {"quantity": "cosine", "effect": 0.0512, "low": 0.02, "high": 0.08, "side": "below", "threshold": 0.5}
LACKING = dict.fromkeys(NUMBERS)
FOUND = [
    {"id": "G1", "claim": "estimates agree poorly", "verdict": "supported", "reason": "", **NUMBERS},
    {"id": "G2", "claim": "it falls", "verdict": "supported", "reason": "", **NUMBERS, "low": None, "high": None},
    {"id": "G3", "claim": "on harder tasks", "verdict": "not measured", "reason": "one task alone", **LACKING},
    {"id": "R3", "claim": "they peak", "verdict": "inconclusive", "reason": "two agents", **NUMBERS, "note": "of two"},
]


def printed() -> str:
    console = Console(width=140, file=io.StringIO())
    console.print(claims.table(FOUND))
    return console.file.getvalue()


def test_every_claim_has_its_verdict_and_its_effect_or_its_reason():
    g1, g2, g3, r3 = (next(line for line in printed().splitlines() if each["id"] in line) for each in FOUND)
    assert "cosine: 0.0512 [0.02, 0.08], below 0.5" in g1 and "supported" in g1
    assert "cosine: 0.0512, below 0.5" in g2
    assert "one task alone" in g3 and "not measured" in g3
    assert "two agents; of two" in r3 and "inconclusive" in r3
    assert claims.summary(FOUND) == "2 supported, 1 inconclusive, 1 not measured"


def test_json_is_what_the_pipeline_wrote(tmp_path, dpg):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "claims.json").write_text(json.dumps(FOUND), encoding="utf-8")
    assert json.loads(dpg("claims", "--json", cwd=tmp_path)) == FOUND
    assert "2 supported" in dpg("claims", cwd=tmp_path)


@pytest.mark.parametrize(("text", "words"), [(None, "is missing: run `dvc repro`"), ("[{", "is incomplete")])
def test_claims_that_are_not_there_are_told_with_how_to_make_them(tmp_path, dpg, text, words):
    (tmp_path / "reports").mkdir()
    if text is not None:
        (tmp_path / "reports" / "claims.json").write_text(text, encoding="utf-8")
    output = dpg("claims", cwd=tmp_path, expect=1)
    assert output.startswith("error: reports/claims.json")
    assert words in output


@pytest.mark.slow
def test_before_a_run_it_says_what_can_be_decided_and_what_would_do(dpg):
    found = {
        each["id"]: each for each in json.loads(dpg("claims", "--before", "--json", "-S", "scale=laptop", cwd=ROOT))
    }
    assert found["G1"]["can_be_decided"] and not found["G1"]["missing"]
    assert not found["G3"]["can_be_decided"]
    (change,) = found["G3"]["set_param"]
    assert found["G3"]["more_pairs"] > 0
    after = {each["id"]: each for each in json.loads(dpg("claims", "--before", "--json", "-S", change, cwd=ROOT))}
    assert after["G3"]["can_be_decided"]
    text = dpg("claims", "--before", "-S", "scale=laptop", cwd=ROOT)
    assert f"-S '{change}'" in text
    assert "claims can be decided" in text


@pytest.mark.slow
def test_what_cannot_be_decided_for_want_of_a_value_net_says_so(dpg):
    found = json.loads(dpg("claims", "--before", "--json", "-S", "common.baseline=none", cwd=ROOT))
    assert {each["id"] for each in found if any("common.baseline = value" in lack for lack in each["missing"])} == {
        f"V{number}" for number in range(1, 6)
    }


@pytest.mark.slow
def test_the_operating_characteristics_are_printed_as_on_the_page(dpg):
    text = dpg("claims", "--characteristics", "10", "-S", "scale=laptop", cwd=ROOT)
    assert text.count("| `laptop` |") == len(declared_claims())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--before", "--characteristics", "10"), "give one of them"),
        (("-S", "scale=paper"), "-S goes with --before"),
        (("--before", "-S", "scale=large"), "scale = 'large'"),
    ],
)
def test_options_that_do_not_go_together_are_told(dpg, options, words):
    assert words in dpg("claims", *options, cwd=ROOT, expect=1)
