"""What a claim comes to: inequalities between effects and edges, and the verdict that follows from their intervals."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from dpg.numerics.statistics import Interval


class Verdict(StrEnum):
    """`inconclusive`: an interval holds its rule's edge. `not measured`: the experiment lacks what the rule needs."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Part:
    """One inequality of a claim: an effect with its interval, and the side of an edge on which it must lie.

    `sizes` counts what is behind the effect, by name. A `premise` is no part of what is claimed: without it the claim
    says nothing.
    """

    quantity: str
    effect: Interval
    side: Literal["below", "above"]
    edge: float
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    premise: bool = False

    @property
    def verdict(self) -> Verdict:
        """By the interval: on the right side of the edge as a whole, on the wrong one, or across it."""
        if not math.isfinite(self.effect.mean):
            return Verdict.NOT_MEASURED
        below, above = self.effect.high < self.edge, self.effect.low > self.edge
        if below or above:
            return Verdict.SUPPORTED if (self.side == "below") == below else Verdict.CONTRADICTED
        return Verdict.INCONCLUSIVE

    def __str__(self) -> str:
        if not math.isfinite(self.effect.mean):
            return f"{self.quantity}: no number"
        if not math.isfinite(self.effect.low):
            return f"{self.quantity}: {spread(self.effect)}, without an interval"
        told = {
            Verdict.SUPPORTED: f"{self.side} {number(self.edge)}",
            Verdict.CONTRADICTED: f"not {self.side} {number(self.edge)}",
        }.get(self.verdict, f"which leaves open whether it is {self.side} {number(self.edge)}")
        return f"{self.quantity}: {spread(self.effect)}, {told}"


@dataclass(frozen=True)
class Finding:
    """A claim in one cell or task.

    `lacks` says what is missing: the claim is not measured there. `doubt` says why the parts cannot decide it, whatever
    they are. `note` says what a reader has to know beside the verdict, and decides nothing.
    """

    where: str
    parts: tuple[Part, ...] = ()
    lacks: str = ""
    doubt: str = ""
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """Supported if every part is, contradicted if one part is; nothing is decided without its premises."""
        if self.lacks:
            return Verdict.NOT_MEASURED
        found = {part.verdict for part in self.parts if not part.premise}
        if not found or Verdict.NOT_MEASURED in found:
            return Verdict.NOT_MEASURED
        unmet = any(part.premise and part.verdict is not Verdict.SUPPORTED for part in self.parts)
        if self.doubt or unmet:
            return Verdict.INCONCLUSIVE
        order = (Verdict.CONTRADICTED, Verdict.INCONCLUSIVE, Verdict.SUPPORTED)
        return next(verdict for verdict in order if verdict in found)

    @property
    def reason(self) -> str:
        """The verdict in words."""
        told = "; ".join(f"{'given that ' if part.premise else ''}{part}" for part in self.parts)
        return "; ".join(text for text in (self.lacks, told, self.doubt) if text)


@dataclass(frozen=True)
class Rule:
    """How a claim is decided: its words, the inequalities, why their edges lie where they do, and the tables read."""

    id: str
    claim: str
    rule: str
    why: str
    tables: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """A rule and what it found, cell by cell."""

    rule: Rule
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """What the cells that measure it agree on; inconclusive where they differ."""
        return agreed(finding.verdict for finding in self.findings)


def agreed(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict of several; those that measured nothing have no say."""
    measured = {verdict for verdict in verdicts if verdict is not Verdict.NOT_MEASURED}
    if not measured:
        return Verdict.NOT_MEASURED
    return measured.pop() if len(measured) == 1 else Verdict.INCONCLUSIVE


def spread(effect: Interval) -> str:
    """An effect, with its interval where it has one."""
    mean, low, high = (number(value) for value in effect)
    return f"{mean} [{low}, {high}]" if math.isfinite(effect.low) else mean


def number(value: float) -> str:
    """A number as a reader wants it: three digits, and no minus before a zero."""
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value + 0.0:.3g}"
