"""The tables of verdicts that the README and the record's pages show."""

import pytest

from dpg.record import tables


def finding(where: str, verdict: str, effect: float | None, low: float | None = None, high: float | None = None):
    part = {"quantity": "ratio", "effect": effect, "low": low, "high": high}
    return {"where": where, "verdict": verdict, "parts": [part]}


def claim(*findings: dict, effect: float | None, low: float | None = None, high: float | None = None):
    return {
        "id": "V5",
        "claim": "It ends lower.",
        "verdict": "inconclusive",
        "quantity": "ratio",
        "effect": effect,
        "low": low,
        "high": high,
        "threshold": 0.316,
        "side": "below",
        "reason": "nothing has run",
        "findings": list(findings),
    }


HOPPER = finding("Hopper, PPO", "contradicted", 0.431, 0.329, 0.57)
WALKER = finding("Walker2d, PPO", "supported", 0.181, 0.132, 0.244)
HUMANOID = finding("Humanoid, PPO", "inconclusive", 0.3, 0.2, 0.4)
UNKNOWN = finding("Hopper, TRPO", "not measured", None)


@pytest.mark.parametrize(
    ("findings", "ending"),
    [
        ([HOPPER, UNKNOWN], "threshold: below 0.316"),
        ([HOPPER, WALKER], "threshold: below 0.316; elsewhere 0.181"),
        ([WALKER, HOPPER, HUMANOID], "threshold: below 0.316; elsewhere 0.181 to 0.3"),
    ],
)
def test_a_claims_effect_stands_with_its_range_in_the_other_cells(findings, ending):
    """One cell's effect alone would hide that other cells say otherwise."""
    text = tables.effect(claim(*findings, effect=0.431, low=0.329, high=0.57))
    assert text == f"Hopper, PPO: ratio 0.431 [0.329, 0.57], {ending}"


def test_a_claim_without_an_effect_has_its_reason():
    assert tables.effect(claim(UNKNOWN, effect=None)) == "nothing has run"


def test_verdicts_by_cell_wait_for_a_cell():
    assert tables.by_cell([claim(UNKNOWN, effect=None)]) == "No cell has been measured yet.\n"


def test_a_label_with_a_comma_is_one_algorithm():
    clipped = finding("Hopper, PPO, clipped", "supported", 0.1)
    assert "| claim | Hopper, PPO | Hopper, PPO, clipped |" in tables.by_cell([claim(HOPPER, clipped, effect=0.431)])
