"""One page that says what was found: a single file without scripts, its figures inside."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dpg.diagnose.findings import Check, Status
from dpg.diagnose.plan import TIERS
from dpg.diagnose.run import Diagnosis, ordered
from dpg.report import style
from dpg.report.page import templates
from dpg.report.page.images import Image, embed

SYMBOLS = {"found": "✗", "undecided": "~", "not found": "✓", "not measured": "·"}
TITLES = {"found": "Found", "undecided": "Undecided", "not found": "Not found"}


@dataclass(frozen=True)
class FigureView:
    """A figure at the first check of the page that draws it; later checks refer to it."""

    check: Check
    image: Image | None
    caption: str


def render(diagnosis: Diagnosis) -> str:
    """The page, the most serious first."""
    source = diagnosis.evidence.snapshot.source
    return templates.load("diagnose/page.html.j2").render(
        d=diagnosis.as_dict(),
        ordered=ordered(diagnosis),
        decided=len(diagnosis.findings) - diagnosis.count(Status.NOT_MEASURED),
        figures=figures(diagnosis),
        symbols=SYMBOLS,
        titles=TITLES,
        tiers=[tier.name for tier in TIERS],
        assumed=[] if source is None else list(source.assumed),
    )


def figures(diagnosis: Diagnosis) -> dict[Callable[..., Any], FigureView]:
    """The figures of all findings, each once, by the function that draws it; its docstring is the caption."""
    found: dict[Callable[..., Any], FigureView] = {}
    for finding in ordered(diagnosis):
        draw = finding.check.draw
        if draw is not None and draw not in found and finding.status is not Status.NOT_MEASURED:
            with style.paper():
                files = style.render(draw(diagnosis.evidence), ["svg"], dpi=100)
            found[draw] = FigureView(finding.check, embed(files), inspect.getdoc(draw) or "")
    return found
