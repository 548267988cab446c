"""Inequalities between effects and thresholds, and the verdict that follows from their intervals."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

import pandas as pd

from dpg.numerics.statistics import Interval
from dpg.report.aggregate import interval_over_agents
from dpg.runtime.schema import Statistics

Side = Literal["below", "above"]


class Verdict(StrEnum):
    """`inconclusive`: an interval contains its rule's threshold. `not measured`: the rule lacks data."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not measured"

    @property
    def symbol(self) -> str:
        """One character for it."""
        return {"supported": "✓", "contradicted": "✗", "inconclusive": "~"}.get(self, "·")


@dataclass(frozen=True)
class Part:
    """One inequality of a claim: an effect with its interval, and the side of a threshold on which it must lie.

    `sizes` counts what is behind the effect, by name. A `premise` is not part of what is claimed: where it does not
    hold, the claim says nothing.
    """

    quantity: str
    effect: Interval
    side: Side
    threshold: float
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    premise: bool = False

    @property
    def verdict(self) -> Verdict:
        """Whether the interval is on the right side of the threshold, on the wrong one, or contains it."""
        if not math.isfinite(self.effect.mean):
            return Verdict.NOT_MEASURED
        below, above = self.effect.high < self.threshold, self.effect.low > self.threshold
        if below or above:
            return Verdict.SUPPORTED if (self.side == "below") == below else Verdict.CONTRADICTED
        return Verdict.INCONCLUSIVE

    def __str__(self) -> str:
        if not math.isfinite(self.effect.mean):
            return f"{self.quantity}: no number"
        if not math.isfinite(self.effect.low):
            return f"{self.quantity}: {spread(self.effect)}, without an interval"
        where = f"{self.side} {number(self.threshold)}"
        outcome = {Verdict.SUPPORTED: where, Verdict.CONTRADICTED: f"not {where}"}
        return f"{self.quantity}: {spread(self.effect)}, {outcome.get(self.verdict, f'open whether {where}')}"


def inequality(
    quantity: str,
    values: "pd.Series[float]",
    side: Side,
    threshold: float,
    statistics: Statistics,
    sizes: Mapping[str, int] = MappingProxyType({}),
    *,
    premise: bool = False,
) -> Part:
    """A part about the mean of one value per agent; the interval resamples agents."""
    interval = interval_over_agents(values, statistics)
    return Part(quantity, interval, side, threshold, {"agents": len(values), **sizes}, premise)


@dataclass(frozen=True)
class Finding:
    """A claim in one cell or task, named `where`.

    `missing` says what the experiment lacks: the claim is not measured there. `caveat` is a reason for which the parts
    decide nothing. `note` is further information, without effect on the verdict.
    """

    parts: tuple[Part, ...] = ()
    where: str = ""
    missing: str = ""
    caveat: str = ""
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """Supported if every part is, contradicted if one part is; nothing is decided without its premises."""
        if self.missing:
            return Verdict.NOT_MEASURED
        found = {part.verdict for part in self.parts if not part.premise}
        if not found or Verdict.NOT_MEASURED in found:
            return Verdict.NOT_MEASURED
        unmet = any(part.premise and part.verdict is not Verdict.SUPPORTED for part in self.parts)
        if self.caveat or unmet:
            return Verdict.INCONCLUSIVE
        order = (Verdict.CONTRADICTED, Verdict.INCONCLUSIVE, Verdict.SUPPORTED)
        return next(verdict for verdict in order if verdict in found)

    @property
    def reason(self) -> str:
        """The verdict in words."""
        parts = "; ".join(f"{'given that ' if part.premise else ''}{part}" for part in self.parts)
        return "; ".join(text for text in (self.missing, parts, self.caveat) if text)


def agreed(verdicts: Iterable[Verdict]) -> Verdict:
    """The common verdict of those that measured something; inconclusive if they differ."""
    measured = {verdict for verdict in verdicts if verdict is not Verdict.NOT_MEASURED}
    if not measured:
        return Verdict.NOT_MEASURED
    return measured.pop() if len(measured) == 1 else Verdict.INCONCLUSIVE


def spread(effect: Interval) -> str:
    """An effect, with its interval if there is one."""
    mean, low, high = (number(value) for value in effect)
    return f"{mean} [{low}, {high}]" if math.isfinite(effect.low) else mean


def number(value: float) -> str:
    """A number for readers: three digits, and no minus before a zero."""
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value + 0.0:.3g}"
