"""The claims that an experiment can decide, before it runs: what each lacks, and the parameters that provide it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dpg.report.claims import catalog
from dpg.report.claims.claim import Claim
from dpg.report.claims.needs import Missing
from dpg.runtime.schema import Params
from dpg.tables.table import table_of


@dataclass(frozen=True)
class Outlook:
    """A claim under some parameters, and what it lacks."""

    claim: Claim
    missing: tuple[Missing, ...]

    @property
    def changes(self) -> dict[str, Any] | None:
        """The parameters that must change together; None if parameters alone are not enough."""
        changes: dict[str, Any] = {}
        for each in self.missing:
            if each.changes is None:
                return None
            changes |= each.changes
        return changes


def outlooks(params: Params, ruled_out: Mapping[str, str]) -> list[Outlook]:
    """Every claim. `ruled_out` has the stages that cannot measure anything on any task, with the reason."""
    return [Outlook(claim, _missing(claim, params, ruled_out)) for claim in catalog.claims().values()]


def _missing(claim: Claim, params: Params, ruled_out: Mapping[str, str]) -> tuple[Missing, ...]:
    for stage in (table_of(row).stage for row in claim.tables):
        if stage in ruled_out:
            return (Missing(ruled_out[stage], None),)
    return tuple(missing for need in claim.needs for missing in need(params))
