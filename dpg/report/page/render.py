"""`reports/index.html`: the verdicts, the figures in the paper's order with what is behind them, and what it all cost.

One file without scripts, with its images inside: it opens from a disk without a network, on a phone and in print.
"""

import base64
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dpg.report.claims.verdicts import Verdict, number
from dpg.report.page import paper
from dpg.report.page.definitions import by_definition
from dpg.report.page.names import Named, parse
from dpg.report.page.records import Record, machines, total
from dpg.report.style import WIDTH, look
from dpg.report.tables import SOURCES, TASK_SOURCES, Tables, distinct, final_returns, interval_over_agents, select
from dpg.runtime.schema import Params
from dpg.runtime.units import duration, size

LARGEST_SVG = 400_000  # bytes: beyond, a figure is embedded as PNG
MOST_ROWS = 100  # of a table that is shown; the rest is in its file
DIGITS = 4

# The beginnings of figures' names, in the order of the paper's text, and the tables that they are drawn from.
SECTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Gradient estimates": {
        "fig01": ("similarity", "noise"),
        "fig02": ("similarity", "noise"),
        "fig12": ("updates",),
        "fig03": ("regimes",),
    },
    "Value prediction": {
        "fig04": ("value",),
        "fig13": ("value",),
        "fig05_baselines": ("baselines",),
        "fig05_differences": ("gains", "differences"),
        "fig05_true_value": ("fits", "losses"),
        "fig05_states": ("states", "opinions"),
        "sec22": ("ablation",),
    },
    "Optimization landscapes": {
        "fig06": ("resolution", "concentration"),
        "fig07_update_gain": ("agent_gains", "update_gains"),
        "fig07_alignment": ("alignment",),
        "fig07": ("landscape",),
    },
    "Rewards": {"fig09": ("evaluation", "history")},
}
FURTHER = "Further figures"
CLAIMS_OF = {"Gradient estimates": "GR", "Value prediction": "V", "Optimization landscapes": "L"}

SYMBOLS = {
    Verdict.SUPPORTED.value: "✓",
    Verdict.CONTRADICTED.value: "✗",
    Verdict.INCONCLUSIVE.value: "~",
    Verdict.NOT_MEASURED.value: "·",
}


@dataclass(frozen=True)
class Material:
    """All that a report is made of. `calibration` is None where the estimators were not checked."""

    params: Params
    tables: Tables
    claims: Sequence[Mapping[str, Any]]
    captions: Mapping[str, str]
    figures: Path
    records: Mapping[str, Record]
    calibration: pd.DataFrame | None


@dataclass(frozen=True)
class Behind:
    """A table behind a figure: where its files are, and its first rows."""

    name: str
    stage: str
    files: str
    rows: int
    html: Markup


@dataclass(frozen=True)
class Shown:
    """A figure on the page."""

    name: str
    title: str
    caption: str
    image: str
    share: float
    links: list[str]
    tables: list[Behind]
    records: list[Record]


def render(material: Material) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("dpg.report.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent, "duration": duration, "bytes": size, "slug": slug}
    records = list(material.records.values())
    return environment.get_template("page.html.j2").render(
        params=material.params,
        algorithms=[look(name).label for name in material.params.algorithms],
        claims=material.claims,
        counts={verdict.value: _count(material.claims, verdict) for verdict in Verdict},
        symbols=SYMBOLS,
        sections=list(sections(material)),
        returns=list(returns(material)),
        unmeasured={title: list(unmeasured(material, prefixes)) for title, prefixes in SECTIONS.items()},
        definitions=list(by_definition(material.tables)),
        counterparts=list(paper.counterparts(list(material.captions), material.params, dict(reasons(material)))),
        calibration=None if material.calibration is None else material.calibration.to_dict("records"),
        differences=list(paper.differences(material.params)),
        records=records,
        total=total(records),
        machines=list(machines(records)),
    )


def _count(claims: Sequence[Mapping[str, Any]], verdict: Verdict) -> int:
    return sum(claim["verdict"] == verdict.value for claim in claims)


def sections(material: Material) -> Iterator[tuple[str, list[Mapping[str, Any]], list[Shown]]]:
    """Title, claims and figures of every section that has figures or claims, in the order of the paper's text."""
    left = sorted(material.captions, key=numbered)
    for title, prefixes in SECTIONS.items():
        claims = [claim for claim in material.claims if claim["id"][0] in CLAIMS_OF.get(title, "")]
        found: list[Shown] = []
        for prefix, tables in prefixes.items():
            names = [name for name in left if name.startswith(prefix)]
            left = [name for name in left if name not in names]
            found += [show(material, name, tables) for name in names]
        if found or claims:
            yield title, claims, found
    if left:
        yield FURTHER, [], [show(material, name, ()) for name in left]


def unmeasured(material: Material, prefixes: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """What a section's figures do not show because it is not measured: cell, stage and reason."""
    stages = {(SOURCES | TASK_SOURCES)[table][0] for tables in prefixes.values() for table in tables}
    for row in material.tables.reasons.to_dict("records"):
        if row["stage"] in stages:
            cell = f"{row['env']}, {look(row['algorithm']).label}" if row["algorithm"] else row["env"]
            yield f"{cell}: {row['stage']}: not measured: {row['reason']}."


def reasons(material: Material) -> Iterator[tuple[str, str]]:
    """By the beginnings of figures' names, why not all of them are there."""
    for prefixes in SECTIONS.values():
        for prefix, tables in prefixes.items():
            stages = {(SOURCES | TASK_SOURCES)[table][0] for table in tables}
            rows = material.tables.reasons[material.tables.reasons["stage"].isin(stages)]
            if len(rows):
                yield prefix, f"not measured: {'; '.join(distinct(rows, 'reason'))}"


def numbered(name: str) -> list[tuple[int, str]]:
    """A key that sorts names by the numbers in them: N2000 before N10000."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def show(material: Material, name: str, tables: Sequence[str]) -> Shown:
    """One figure with what is behind it."""
    named = parse(name, material.params)
    behind = [table(material, named, each) for each in tables if hasattr(material.tables, each)]
    stages = dict.fromkeys(each.stage for each in behind)
    records = [
        record
        for record in material.records.values()
        if record.name.split("@")[0] in stages and _of_figure(record.name, named, material.params.blocks)
    ]
    return Shown(
        name=name,
        title=named.title,
        caption=material.captions[name],
        image=image(material.figures, name),
        share=share_of_width(material.figures / f"{name}.svg"),
        links=[f"{name}.{kind}" for kind in material.params.figures.formats],
        tables=behind,
        records=records,
    )


def _of_figure(stage: str, name: Named, algorithms: Collection[str]) -> bool:
    """Whether a stage's cell is one that the figure shows."""
    cell = stage.partition("@")[2]
    if name.env is None:
        return True
    # No algorithm's name has a dash, and a task's may.
    task, _, algorithm = cell.rpartition("-")
    if algorithm not in algorithms:
        task, algorithm = cell, None
    return task == name.env and name.algorithm in {None, algorithm}


def table(material: Material, figure: Named, name: str) -> Behind:
    """The rows of a table that a figure shows."""
    rows: pd.DataFrame = getattr(material.tables, name)
    stage, file = (SOURCES | TASK_SOURCES)[name]
    cell = {"env": figure.env, "algorithm": figure.algorithm}
    rows = select(rows, **{column: value for column, value in cell.items() if value is not None})
    places = rows[["env", "algorithm"]].drop_duplicates().to_dict("records")
    owners = [f"{cell['env']}/{cell['algorithm']}" if name in SOURCES else str(cell["env"]) for cell in places]
    return Behind(
        name=name,
        stage=stage,
        files=", ".join(f"data/tables/{stage}/{owner}/{file}" for owner in dict.fromkeys(owners)),
        rows=len(rows),
        html=Markup(
            rows.head(MOST_ROWS).to_html(index=False, border=0, na_rep="", float_format=f"{{:.{DIGITS}g}}".format)
        ),
    )


def image(folder: Path, name: str) -> str:
    """A figure as a data URI: SVG where it is small, PNG where not; nothing where it was written as PDF alone."""
    vector, pixels = folder / f"{name}.svg", folder / f"{name}.png"
    small = vector.exists() and (vector.stat().st_size <= LARGEST_SVG or not pixels.exists())
    path, kind = (vector, "svg+xml") if small else (pixels, "png")
    if not path.exists():
        return ""
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def share_of_width(vector: Path) -> float:
    """How much of a page's width a figure takes, so that all have letters of one size; all of it if not told."""
    text = vector.read_text(encoding="utf-8")[:2000] if vector.exists() else ""
    found = re.search(r'<svg[^>]* width="([\d.]+)pt"', text)
    return min(1.0, float(found[1]) / 72 / WIDTH) if found else 1.0


def returns(material: Material) -> Iterator[tuple[str, str, int, int]]:
    """What the agents of each cell reached: cell, final return with its interval, agents, pairs an agent."""
    statistics = material.params.statistics
    for (env, algorithm), rows in material.tables.history.groupby(["env", "algorithm"], sort=False):
        finals = final_returns(rows)
        mean, low, high = (number(value) for value in interval_over_agents(finals, statistics))
        yield f"{env}, {look(str(algorithm)).label}", f"{mean} [{low}, {high}]", len(finals), int(rows["pairs"].max())


def percent(share: float) -> str:
    """A share, to a tenth of a hundredth; nothing where it is not known."""
    return f"{share:.1%}" if math.isfinite(share) else ""


def slug(title: str) -> str:
    """A title as an anchor."""
    return title.lower().replace(" ", "-")
