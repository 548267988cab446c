"""Every claim of the paper, decided by an experiment: `reports/claims.json`."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from dpg.report.claims import catalog
from dpg.report.claims.claim import Claim
from dpg.report.claims.verdicts import Finding, Part, Verdict, agreed
from dpg.report.experiment import Experiment
from dpg.tables.table import table_of


@dataclass(frozen=True)
class Decision:
    """A claim and its findings, cell by cell."""

    claim: Claim
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The common verdict of the cells that measure it; inconclusive if they differ."""
        return agreed(finding.verdict for finding in self.findings)


def decide(experiment: Experiment) -> list[Decision]:
    """The claims in the paper's order."""
    return [Decision(claim, claim.findings(experiment)) for claim in catalog.claims().values()]


def count(decisions: Sequence[Decision]) -> dict[str, int]:
    """The number of claims by verdict."""
    return {verdict.value.replace(" ", "_"): sum(each.verdict is verdict for each in decisions) for verdict in Verdict}


def to_json(decisions: Sequence[Decision]) -> str:
    """The claims as JSON: the same bytes for the same numbers, NaN as null."""
    table = [summarize(each) for each in decisions]
    return json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def summarize(decision: Decision) -> dict[str, Any]:
    """One claim as JSON: its headline effect, the reasons that it is not supported, and every finding.

    The effect is the first that has the claim's own verdict, in the first cell that has one, or else the first known.
    """
    claim, findings = decision.claim, decision.findings
    parts = [part for finding in findings if not finding.missing for part in finding.parts if not part.premise]
    deciding = (part for part in parts if part.verdict is decision.verdict)
    known = (part for part in parts if math.isfinite(part.effect.mean))
    decisive = next(chain(deciding, known, parts), None)
    headline = {} if decisive is None else _part(decisive)
    reasons = [finding.reason for finding in findings if finding.verdict is not Verdict.SUPPORTED]
    return {
        "id": claim.id,
        "section": claim.section,
        "claim": claim.statement,
        "verdict": decision.verdict.value,
        **{name: headline.get(name) for name in ("quantity", "effect", "low", "high", "side", "threshold")},
        "reason": "; ".join(dict.fromkeys(reasons)),
        "note": "; ".join(f"{finding.where}: {finding.note}" for finding in findings if finding.note),
        "rule": claim.rule,
        "why": claim.why,
        "tables": [table_of(row).name for row in claim.tables],
        "findings": [
            {
                "where": finding.where,
                "verdict": finding.verdict.value,
                "reason": finding.reason,
                "caveat": finding.caveat,
                "note": finding.note,
                "parts": [_part(part) for part in finding.parts],
            }
            for finding in findings
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
        "threshold": part.threshold,
        "sizes": dict(part.sizes),
    }
