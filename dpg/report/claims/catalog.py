"""All declared claims, found in the modules of this package."""

import re
from functools import cache

from dpg.report.claims.claim import Claim
from dpg.tables.catalog import declared
from dpg.tables.table import Section


@cache
def claims() -> dict[str, Claim]:
    """The claims by id, in the order of the paper's text."""
    found: list[Claim] = declared("dpg.report.claims", lambda value: isinstance(value, Claim))
    found.sort(key=lambda claim: (list(Section).index(claim.section), _numbers(claim.id)))
    return {claim.id: claim for claim in found}


def _numbers(text: str) -> list[tuple[int, str]]:
    """A key that sorts by the numbers in a text: G2 before G10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]
