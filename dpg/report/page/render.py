"""`reports/index.html`: the verdicts, the figures in the paper's order with the tables behind them, runs and cost.

One file without scripts, with its images inside: it opens from a disk without a network, on a phone and in print.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from dpg.report.aggregate import final_returns, interquartile_mean, interval_over_agents
from dpg.report.claims.claim import later
from dpg.report.claims.verdicts import Verdict, number, spread
from dpg.report.experiment import Experiment, select
from dpg.report.figures import catalog
from dpg.report.figures.spec import FigureEntry
from dpg.report.page import paper, templates
from dpg.report.page.images import Image, embed
from dpg.report.page.records import Record, machines, total
from dpg.report.wording import counted
from dpg.runtime.schema import Params
from dpg.runtime.units import duration, size
from dpg.tables.catalog import catalog as tables
from dpg.tables.table import Section, TableScope, table_of
from dpg.tables.training import History
from dpg.tables.value import PredictionError

MOST_REASONS = 3  # for which a figure of the paper is not shown whole; the others are counted
MOST_ROWS = 100  # of a table on the page; the rest is in its file
DIGITS = 4


@dataclass(frozen=True)
class ReportData:
    """All contents of a report. `calibration` is None if the estimators were not checked.

    `records` have the names of DVC's stages. A `published` page lies in a record: beside its tables, and without the
    interactive landscapes and MLflow.
    """

    params: Params
    experiment: Experiment
    claims: Sequence[Mapping[str, Any]]
    figures: Sequence[FigureEntry]
    folder: Path
    records: Mapping[str, Record]
    calibration: pd.DataFrame | None
    published: bool = False

    @property
    def tables(self) -> str:
        """The folder of all tables, as the page names it."""
        return "tables" if self.published else "data/tables"


@dataclass(frozen=True)
class SourceTable:
    """A table that a figure is drawn from: its files and its first rows."""

    name: str
    files: str
    rows: int
    html: Markup


@dataclass(frozen=True)
class FigureView:
    """A figure on the page; `image` is None if it was written as PDF alone."""

    entry: FigureEntry
    image: Image | None
    tables: list[SourceTable]
    records: list[Record]


@dataclass(frozen=True)
class SectionView:
    """A section of the page: its claims, what is not measured, and its figures."""

    title: Section
    claims: list[Mapping[str, Any]]
    unmeasured: list[str]
    figures: list[FigureView]


def render(data: ReportData) -> str:
    """The page."""
    filters = {
        "number": number,
        "percent": percent,
        "duration": duration,
        "bytes": size,
        "slug": slug,
        "counted": counted,
    }
    records, experiment = list(data.records.values()), data.experiment
    undrawn = dict(unmeasured_figures(experiment))
    return templates.load("report/page/page.html.j2", **filters).render(
        params=data.params,
        algorithms=[experiment.label(name) for name in data.params.algorithms],
        claims=data.claims,
        counts={verdict.value: sum(claim["verdict"] == verdict for claim in data.claims) for verdict in Verdict},
        symbols={verdict.value: verdict.symbol for verdict in Verdict},
        sections=list(sections(data)),
        published=data.published,
        section=Section,
        returns=list(returns(experiment)),
        definitions=list(by_definition(experiment)),
        coverage=list(paper.coverage(data.figures, data.params, experiment.label, undrawn)),
        parts={entry.name: part(entry, experiment) for entry in data.figures},
        calibration=None if data.calibration is None else data.calibration.to_dict("records"),
        differences=list(paper.differences(data.params)),
        most_rows=MOST_ROWS,
        records=records,
        total=total(records),
        machines=list(machines(records)),
    )


def sections(data: ReportData) -> Iterator[SectionView]:
    """The sections with figures or claims, in the order of the paper's text."""
    other = {entry.section for entry in data.figures} - set(Section)
    for section in Section:
        claims = [claim for claim in data.claims if claim["section"] == section]
        titles = {section, *other} if section is Section.FURTHER else {section}
        figures = [view(data, entry) for entry in data.figures if entry.section in titles]
        if figures or claims:
            yield SectionView(section, claims, list(unmeasured(data.experiment, section)), figures)


def unmeasured(experiment: Experiment, section: Section) -> Iterator[str]:
    """What a section lacks because it was not measured: cell, stage and reason."""
    stages = {table_of(row).stage for row in tables().values() if table_of(row).section == section}
    for row in experiment.tables.reasons.to_dict("records"):
        if row["stage"] in stages:
            cell = f"{row['env']}, {experiment.label(row['algorithm'])}" if row["algorithm"] else row["env"]
            yield f"{cell}: {row['stage']}: not measured: {row['reason']}."


def unmeasured_figures(experiment: Experiment) -> Iterator[tuple[int, str]]:
    """Numbers of the paper's figures that lack measurements of their tasks and algorithms, each with the reasons."""
    reasons = experiment.tables.reasons
    for spec in catalog.figures():
        behind = reasons[reasons["stage"].isin({table_of(row).stage for row in spec.tables})]
        for figure in spec.paper:
            lacking = {
                reason: None
                for env, algorithm, reason in zip(behind["env"], behind["algorithm"], behind["reason"], strict=True)
                if figure.overlaps([env], [algorithm] if algorithm else [*figure.algorithms])
            }
            if lacking:
                more = [f"and {len(lacking) - MOST_REASONS} more"] if len(lacking) > MOST_REASONS else []
                yield figure.number, f"not measured: {'; '.join([*lacking][:MOST_REASONS] + more)}"


def view(data: ReportData, entry: FigureEntry) -> FigureView:
    """A figure with its tables and the records of the runs that made them."""
    known = tables()
    behind = [known[name] for name in entry.tables if name in known]
    stages = {table_of(row).stage for row in behind}
    files = {kind: data.folder / f"{entry.name}.{kind}" for kind in ("svg", "png")}
    key = {name: value for name, value in (("env", entry.env), ("algorithm", entry.algorithm)) if value is not None}
    return FigureView(
        entry=entry,
        image=embed({kind: path.read_bytes() for kind, path in files.items() if path.exists()}),
        tables=[source(data.experiment.where(**key), row, data.tables) for row in behind],
        records=[
            record
            for record in data.records.values()
            if record.stage in stages
            and entry.env in {None, record.env}
            and (entry.algorithm is None or record.algorithm in {None, entry.algorithm})
        ],
    )


def source(experiment: Experiment, row: type, root: str) -> SourceTable:
    """The rows of a table that a figure shows; `root` has the folders of all tables."""
    rows, table = experiment[row], table_of(row)
    columns = ["env", "algorithm"] if table.scope is TableScope.CELL else ["env"]
    folders = ["/".join(map(str, cell)) for cell in rows[columns].drop_duplicates().itertuples(index=False)]
    html = rows.head(MOST_ROWS).to_html(index=False, border=0, na_rep="", float_format=f"{{:.{DIGITS}g}}".format)
    return SourceTable(
        name=table.name,
        files=", ".join(f"{root}/{table.stage}/{folder}/{table.file}" for folder in folders),
        rows=len(rows),
        html=Markup(html),
    )


def part(entry: FigureEntry, experiment: Experiment) -> str:
    """The part of an experiment that a figure shows."""
    parts = [
        entry.env,
        None if entry.algorithm is None else experiment.label(entry.algorithm),
        None if entry.agent is None else f"agent {entry.agent}",
        None if entry.update_pairs is None else f"update from {entry.update_pairs:,} pairs",
    ]
    return ", ".join(filter(None, parts)) or "all tasks"


def returns(experiment: Experiment) -> Iterator[dict[str, Any]]:
    """For each cell: its name, number of agents, pairs per agent, and mean and interquartile mean of final returns."""
    for cell in experiment.cells():
        finals = final_returns(cell[History])
        yield {
            "cell": str(cell),
            "agents": len(finals),
            "pairs": int(cell[History]["pairs"].max()),
            "mean": spread(interval_over_agents(finals, cell.statistics)),
            "middle": spread(interquartile_mean(finals, cell.statistics)),
        }


def by_definition(experiment: Experiment) -> Iterator[dict[str, Any]]:
    """Errors of each agent's value nets on held-out pairs by two definitions, means over its later snapshots.

    The columns are those of `value/value.csv`, in which `hindsight_error` is the error of the return itself where that
    is known: on `known_share` of the pairs.
    """
    for cell in experiment.cells():
        rows = select(later(cell[PredictionError]), split="heldout", target="returns")
        for agent, own in rows.groupby("agent"):
            pairs = own["release_pairs"].sum()
            known_share = own["hindsight_pairs"].sum() / pairs if pairs else math.nan
            yield {**own.mean(numeric_only=True), "cell": cell, "agent": agent, "known_share": known_share}


def percent(share: float) -> str:
    """A share in percent with one digit; empty where it is unknown."""
    return f"{share:.1%}" if math.isfinite(share) else ""


def slug(title: str) -> str:
    """A title as an anchor."""
    return title.lower().replace(" ", "-")
