"""What a check is, and what it finds: effects with intervals, held against an acceptable range.

A check is one value of `Check`, declared at the function that measures it. Its status follows from the intervals of
its effects alone: *found* if one lies wholly outside its range, *not found* if all lie wholly inside, else *undecided*.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from matplotlib.figure import Figure

from dpg.diagnose.evidence import Evidence
from dpg.numerics.statistics import Interval

Range = tuple[float, float]


class Status(StrEnum):
    """The outcome of a check."""

    FOUND = "found"
    UNDECIDED = "undecided"
    NOT_FOUND = "not found"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Effect:
    """A quantity with its interval and what it was measured on; `acceptable` is None where no rule applies to it."""

    quantity: str
    interval: Interval
    sizes: Mapping[str, int]
    acceptable: Range | None = None
    unit: str = ""

    @property
    def status(self) -> Status:
        """Of this effect alone; an end that is not known (NaN) decides nothing, except that a range's end may be open.

        An effect without a range decides nothing, and counts as within.
        """
        if self.acceptable is None:
            return Status.NOT_FOUND
        low, high = self.acceptable
        _, lower, upper = self.interval
        if upper < low or lower > high:
            return Status.FOUND
        if (lower >= low or low == -math.inf) and (upper <= high or high == math.inf):
            return Status.NOT_FOUND
        return Status.UNDECIDED

    @property
    def amount(self) -> str:
        """The measured quantity with its interval and unit; one that is read, not estimated, has no interval."""
        mean, low, high = self.interval
        interval = "" if low == high else f" [{number(low)}, {number(high)}]"
        return f"{number(mean)}{interval}{' ' * bool(self.unit)}{self.unit}"

    @property
    def limits(self) -> str:
        """The acceptable range, with one end or two; empty without a rule."""
        if self.acceptable is None:
            return ""
        low, high = map(number, self.acceptable)
        return f"≤ {high}" if low == "-∞" else f"≥ {low}" if high == "∞" else f"{low} to {high}"


@dataclass(frozen=True)
class Check:
    """One declared check.

    `needs` are the measurements without which it says nothing (`dpg.diagnose.measurements`), and `wants` those that it
    reads where they can be made: their costs are its cost. `parts` of the agent (`dpg.diagnose.parts`) must be there.
    `measure` gives its effects.
    """

    name: str
    question: str
    needs: tuple[str, ...]
    measure: Callable[[Evidence], Sequence[Effect]]
    rule: str
    why: str
    remedies: tuple[str, ...]
    parts: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    draw: Callable[[Evidence], Figure] | None = None


def check(**declared: Any) -> Callable[[Callable[[Evidence], Sequence[Effect]]], Check]:
    """Declare the check that a function measures, by the other fields of `Check`."""
    return lambda measure: Check(measure=measure, **declared)


@dataclass(frozen=True)
class Finding:
    """What a check found on one agent; `reason` says why it was not measured."""

    check: Check
    effects: tuple[Effect, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def status(self) -> Status:
        """Of the check: the most serious of its effects'."""
        if self.reason:
            return Status.NOT_MEASURED
        found = {effect.status for effect in self.effects}
        return next((status for status in (Status.FOUND, Status.UNDECIDED) if status in found), Status.NOT_FOUND)

    def as_dict(self) -> dict[str, Any]:
        """For `findings.json`; a number that is not known is null."""
        return {
            "check": self.check.name,
            "question": self.check.question,
            "status": self.status.value,
            "reason": self.reason,
            "notes": list(self.notes),
            "effects": [
                {
                    "quantity": effect.quantity,
                    "unit": effect.unit,
                    **dict(zip(("value", "low", "high"), map(known, effect.interval), strict=True)),
                    "acceptable": None if effect.acceptable is None else [known(end) for end in effect.acceptable],
                    "status": None if effect.acceptable is None else effect.status.value,
                    "sizes": dict(effect.sizes),
                }
                for effect in self.effects
            ],
            "rule": self.check.rule,
            "why": self.check.why,
            "try": list(self.check.remedies),
        }


def number(value: float) -> str:
    """Three digits, and no minus before a zero."""
    if not math.isfinite(value):
        return "?" if math.isnan(value) else "∞" if value > 0 else "-∞"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value + 0.0:.3g}"


def known(value: float) -> float | None:
    """A number as JSON has it: null where it is not finite."""
    return float(value) if math.isfinite(value) else None


def exactly(value: float) -> Interval:
    """The interval of a number that is read, not estimated."""
    return Interval(value, value, value)


def worst(effects: Sequence[Effect]) -> Effect:
    """Of effects that share a rule, such as one a dimension: the one that decides, the farthest out among equals."""
    order = [Status.FOUND, Status.UNDECIDED, Status.NOT_FOUND]
    return min(effects, key=lambda effect: (order.index(effect.status), -abs(effect.interval.mean)))
