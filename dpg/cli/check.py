"""Findings of `dpg doctor`."""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"  # work is possible
    PROBLEM = "problem"  # work is impossible, or not as intended


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it."""

    level: Level
    found: str
    todo: str = ""


ok, warning, problem = (partial(Finding, level) for level in Level)
