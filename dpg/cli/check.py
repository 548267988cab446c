"""What a check of `dpg doctor` finds."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # work is possible
    PROBLEM = "problem"  # it is not, or not as meant


@dataclass(frozen=True)
class Check:
    """What a check found, and what to do where it is not well."""

    name: str
    level: Level
    found: str
    todo: str = ""


def worst(levels: list[Level]) -> Level:
    """The worst of some levels."""
    return max(levels, key=list(Level).index, default=Level.OK)
