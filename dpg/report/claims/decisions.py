"""Every claim of the paper, decided by an experiment's tables: `reports/claims.json`."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dpg.report.claims import gradients, landscapes, regimes, values
from dpg.report.claims.rules import RULES
from dpg.report.claims.verdicts import Claim, Finding, Part, Verdict
from dpg.report.tables import Tables
from dpg.runtime.schema import Statistics

Decide = Callable[[Tables, int, Statistics], list[Finding]]

DECISIONS: Mapping[str, Decide] = {
    "G1": gradients.poor_agreement,
    "G2": gradients.falling_agreement,
    "G3": gradients.harder_tasks,
    "G4": gradients.poor_correlation,
    "G5": gradients.nonpositive,
    "G6": gradients.varying_updates,
    "R1": regimes.smaller_samples_higher_rate,
    "R2": regimes.no_linear_scaling,
    "R3": regimes.peak_then_decline,
    "V1": values.fits_its_target,
    "V2": values.misses_the_returns,
    "V3": values.true_value_gains,
    "V4": values.value_net_gains,
    "V5": values.needs_a_baseline,
    "L1": landscapes.few_cannot_tell,
    "L2": landscapes.many_are_smooth,
    "L3": landscapes.early_alignment,
    "L4": landscapes.late_misalignment,
    "L5": landscapes.trpo_aligns_again,
    "L6": landscapes.ppo_does_not,
}


def decide(tables: Tables, timesteps: int, statistics: Statistics) -> list[Claim]:
    """The claims in the paper's order."""
    return [Claim(rule, tuple(DECISIONS[name](tables, timesteps, statistics))) for name, rule in RULES.items()]


def count(claims: Sequence[Claim]) -> dict[str, int]:
    """How many claims came to each verdict."""
    return {verdict.value.replace(" ", "_"): sum(claim.verdict is verdict for claim in claims) for verdict in Verdict}


def to_json(claims: Sequence[Claim]) -> str:
    """The claims in their order, with the same bytes for the same numbers; no number is null."""
    table = [summarize(claim) for claim in claims]
    return json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def summarize(claim: Claim) -> dict[str, Any]:
    """One claim: the effect that stands for it, why it is not supported, and every cell.

    The effect is the first that has the claim's own verdict, in the first cell that has one.
    """
    rule = claim.rule
    parts = [part for finding in claim.findings if not finding.lacks for part in finding.parts if not part.premise]
    decisive = next((part for part in parts if part.verdict is claim.verdict), parts[0] if parts else None)
    headline = {} if decisive is None else _part(decisive)
    reasons = [finding.reason for finding in claim.findings if finding.verdict is not Verdict.SUPPORTED]
    return {
        "id": rule.id,
        "claim": rule.claim,
        "verdict": claim.verdict.value,
        **{name: headline.get(name) for name in ("quantity", "effect", "low", "high", "side", "edge")},
        "reason": "; ".join(dict.fromkeys(reasons)),
        "note": "; ".join(f"{finding.where}: {finding.note}" for finding in claim.findings if finding.note),
        "rule": rule.rule,
        "why": rule.why,
        "tables": list(rule.tables),
        "findings": [
            {
                "where": finding.where,
                "verdict": finding.verdict.value,
                "reason": finding.reason,
                "doubt": finding.doubt,
                "note": finding.note,
                "parts": [_part(part) for part in finding.parts],
            }
            for finding in claim.findings
        ],
    }


def _part(part: Part) -> dict[str, Any]:
    effect, low, high = (value if math.isfinite(value) else None for value in part.effect)
    return {
        "quantity": part.quantity,
        "premise": part.premise,
        "effect": effect,
        "low": low,
        "high": high,
        "side": part.side,
        "edge": part.edge,
        "sizes": dict(part.sizes),
    }
