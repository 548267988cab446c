"""Findings of `dpg doctor`."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"  # work is possible
    PROBLEM = "problem"  # work is impossible, or not as intended


@dataclass(frozen=True)
class Check:
    """A finding, and what to do about it."""

    name: str
    level: Level
    found: str
    todo: str = ""


def worst(levels: list[Level]) -> Level:
    """The worst of some levels."""
    return max(levels, key=list(Level).index, default=Level.OK)
