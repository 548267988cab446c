"""One page that says what was found: a single file without scripts, its figures inside."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dpg.diagnose.findings import Finding, Status
from dpg.diagnose.plan import TIERS
from dpg.diagnose.run import Diagnosis, ordered
from dpg.report import style

SYMBOLS = {"found": "✗", "undecided": "~", "not found": "✓", "not measured": "·"}
TITLES = {"found": "Found", "undecided": "Undecided", "not found": "Not found"}


def render(diagnosis: Diagnosis) -> str:
    """The page, the most serious first."""
    environment = Environment(
        loader=PackageLoader("dpg.diagnose", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source = diagnosis.evidence.snapshot.source
    return environment.get_template("page.html.j2").render(
        d=diagnosis.as_dict(),
        ordered=ordered(diagnosis),
        decided=len(diagnosis.findings) - diagnosis.count(Status.NOT_MEASURED),
        figures={finding.check.name: figure(finding, diagnosis) for finding in diagnosis.findings},
        symbols=SYMBOLS,
        titles=TITLES,
        tiers=[tier.name for tier in TIERS],
        assumed=[] if source is None else list(source.assumed),
    )


def figure(finding: Finding, diagnosis: Diagnosis) -> Markup:
    """The figure of a finding as SVG, with ids that are unique in the page; nothing where there is none."""
    if finding.check.draw is None or finding.status is Status.NOT_MEASURED:
        return Markup("")
    name = finding.check.name.replace(" ", "-")
    with style.paper(), TemporaryDirectory() as folder:
        [path] = style.save(finding.check.draw(diagnosis.evidence), Path(folder), name, ["svg"], dpi=100)
        text = path.read_text(encoding="utf-8")
    return Markup(re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text[text.index("<svg") :]))
