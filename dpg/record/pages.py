"""Parts of the README and of the docs that come from the published record.

A part is between two comments, of which the first says what it is: `verdicts` or `cells` (the verdicts by cell), of
some claims or of all; `numbers`, some metrics of every cell, each with a heading of its own or without; or `figure`,
with its caption.

    <!-- record: verdicts G1 G2 -->
    <!-- record: numbers final_return ablation.final_return="without a baseline" -->
    <!-- record: figure fig09_rewards -->
    ...
    <!-- end of record -->
"""

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dpg.record import tables
from dpg.record.sources import RecordError
from dpg.report.experiment import styles_of
from dpg.report.figures import catalog
from dpg.report.metrics import flat
from dpg.runtime import config
from dpg.runtime.outputs import write_atomic

PAGES = (Path("README.md"), Path("docs/record.md"))
_PART = re.compile(r"(<!-- record: (\w+) ?([^>]*?) -->\n)(.*?)(<!-- end of record -->)", re.DOTALL)

_MARK = re.compile(r"<!--\s*(?:record\s*:|end of record)[^>]*>", re.IGNORECASE)


def require_whole() -> None:
    """Check that the pages are there, and that every mark in them begins or ends a part.

    Raises:
        RecordError: a page is missing, or has a mark that does not.
    """
    for page in PAGES:
        if not page.is_file():
            raise RecordError(f"{page} is missing: run this in the project's root")
        _parts(page)


def _parts(page: Path) -> str:
    """The text of a page whose parts are whole."""
    text = page.read_text(encoding="utf-8")
    ends = {position for part in _PART.finditer(text) for position in (part.start(1), part.start(5))}
    for mark in _MARK.finditer(text):
        if mark.start() not in ends:
            form = "a line `<!-- record: KIND ... -->`, and later `<!-- end of record -->`, without others between"
            line = text.count("\n", 0, mark.start()) + 1
            raise RecordError(f"{page}, line {line}: {mark.group()} is not of a whole part: {form}")
    return text


def fill_all(record: Path) -> Iterator[str]:
    """Renew the parts of all pages; a line for each part that stays as it is, since the record lacks its figure."""
    for page in PAGES:
        text, missing = filled(page, record)
        write_atomic(text, page)
        for name in missing:
            yield f"{page}: {record} has no {name} yet; this part of the page stays as it is"


def disagreements(record: Path) -> Iterator[str]:
    """The pages with parts that are not the record's."""
    for page in PAGES:
        if page.read_text(encoding="utf-8") != filled(page, record)[0]:
            yield f"{page}: is not what {record} says; `python -m dpg.record write` renews it"


def filled(page: Path, record: Path) -> tuple[str, list[str]]:
    """The text of a page with its parts from the record, and the figures that the record does not have yet.

    Raises:
        RecordError: a part is not whole, or names a claim, a metric or a figure that there is not.
    """
    claims = {claim["id"]: claim for claim in _read(record / "claims.json")}
    figures = {entry["name"]: entry for entry in _read(record / "figures/index.json")}
    folder = Path(os.path.relpath(record, page.parent)).as_posix()
    source = f"From [the published record]({folder}/README.md), which says what has run.\n"
    missing: list[str] = []

    def verdicts(names: list[str], _: str) -> str:
        return f"\n{tables.summary([claims[name] for name in names or claims])}\n{source}\n"

    def cells(names: list[str], _: str) -> str:
        return f"\n{tables.by_cell([claims[name] for name in names or claims])}\n"

    def numbers(names: list[str], _: str) -> str:
        headings = {name: heading for name, _, heading in (item.partition("=") for item in names)}
        return f"\n{tables.numbers(_metrics(record), headings)}\n"

    def figure(names: list[str], before: str) -> str:
        if lacking := [name for name in names if name not in figures]:
            missing.extend(lacking)
            _require_declared(lacking)
            return before
        return "".join(["\n", *(_figure(figures[name], folder) for name in names), source, "\n"])

    kinds = {"verdicts": verdicts, "cells": cells, "numbers": numbers, "figure": figure}

    def fill(match: re.Match[str]) -> str:
        head, kind, names, before, tail = match.groups()
        try:
            words = shlex.split(names)
        except ValueError as error:
            raise RecordError(f"{page}: {head.strip()}: {error}") from None
        try:
            return head + kinds[kind](words, before) + tail
        except KeyError as error:
            raise RecordError(f"{page}: {head.strip()}: {record} has no {error.args[0]}") from None

    return _PART.sub(fill, _parts(page)), missing


def _metrics(record: Path) -> dict[str, dict[str, float]]:
    """The metrics of each cell that has any, by its name."""
    params, found = config.load(record / "params.yaml"), _read(record / "metrics.json")
    styles = styles_of(params.algorithms, params.modules)
    cells = ((env, name) for env in params.envs for name in params.algorithms if name in found.get(env, {}))
    return {f"{env}, {styles[name].label}": flat(found[env][name]) for env, name in cells}


def _require_declared(names: list[str]) -> None:
    """Raise a KeyError for a name that no figure can have."""
    for name in names:
        if not any(name.startswith(spec.name) for spec in catalog.figures()):
            raise KeyError(name)


def _figure(entry: dict[str, Any], folder: str) -> str:
    """A figure with its caption."""
    title, caption = (entry[name].replace("*", "\\*") for name in ("title", "caption"))
    return f"![{title}]({folder}/figures/{entry['name']}.png)\n\n*{title}. {caption}*\n\n"


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
