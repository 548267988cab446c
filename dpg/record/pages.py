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

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dpg.record import tables
from dpg.record.compare import read_json, until_error
from dpg.record.sources import RecordError
from dpg.report.experiment import styles_of
from dpg.report.figures import catalog
from dpg.report.metrics import flat
from dpg.runtime import config

NOT_YET = "not measured yet."
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


def fill(record: Path, at: Path) -> tuple[dict[Path, str], list[str]]:
    """All pages with their parts from a record that will be `at` a place; what these show and it does not have yet.

    Raises:
        RecordError: a part is not whole, or names a claim or a figure that there is not.
    """
    filled, lacking = {}, list[str]()
    for page in PAGES:
        filled[page], names = fill_page(page, record, at)
        lacking += [f"{page}: {at} has no {name} yet" for name in names]
    return filled, lacking


def disagreements(record: Path) -> Iterator[str]:
    """The parts of pages that are not the record's, a line each."""
    for page in PAGES:
        yield from until_error(_differing(page, record), page)


def _differing(page: Path, record: Path) -> Iterator[str]:
    text = _parts(page)
    filled, _ = fill_page(page, record, record)
    for part, renewed in zip(_PART.finditer(text), _PART.finditer(filled), strict=True):
        if part.group() != renewed.group():
            line = text.count("\n", 0, part.start()) + 1
            remedy = "`python -m dpg.record write` renews it"
            yield f"{page}, line {line}: {part[1].strip()} is not what {record} says; {remedy}"


def fill_page(page: Path, record: Path, at: Path) -> tuple[str, list[str]]:
    """The text of a page with its parts from a record that will be `at` a place.

    Figures and metrics that the record does not have yet are named, and the page says so in their places.

    Raises:
        RecordError: a part is not whole, or names a claim or a figure that there is not.
    """
    claims = {claim["id"]: claim for claim in read_json(record / "claims.json")}
    figures = {entry["name"]: entry for entry in read_json(record / "figures/index.json")}
    folder = Path(os.path.relpath(at, page.parent)).as_posix()
    source = f"From [the published record]({folder}/README.md), which says what has run.\n"
    lacking: list[str] = []

    def verdicts(names: list[str]) -> str:
        return f"\n{tables.summary([claims[name] for name in names or claims])}\n{source}\n"

    def cells(names: list[str]) -> str:
        return f"\n{tables.by_cell([claims[name] for name in names or claims])}\n"

    def numbers(names: list[str]) -> str:
        headings = {name: heading for name, _, heading in (item.partition("=") for item in names)}
        metrics = _metrics(record)
        lacking.extend(name for name in headings if not any(name in own for own in metrics.values()))
        return f"\n{tables.numbers(metrics, headings)}\n"

    def figure(names: list[str]) -> str:
        absent = [name for name in names if name not in figures]
        _require_declared(absent)
        lacking.extend(absent)
        shown = (_figure(figures[name], folder) if name in figures else f"`{name}`: {NOT_YET}\n\n" for name in names)
        return "".join(["\n", *shown, source, "\n"])

    kinds = {"verdicts": verdicts, "cells": cells, "numbers": numbers, "figure": figure}

    def renew(match: re.Match[str]) -> str:
        head, kind, names, _, tail = match.groups()
        try:
            if kind not in kinds:
                raise RecordError(f"{kind!r} is none of {', '.join(kinds)}")
            return head + kinds[kind](shlex.split(names)) + tail
        except KeyError as error:
            raise RecordError(f"{page}: {head.strip()}: {at} has no {error.args[0]}") from None
        except (RecordError, ValueError) as error:
            raise RecordError(f"{page}: {head.strip()}: {error}") from None

    return _PART.sub(renew, _parts(page)), lacking


def _metrics(record: Path) -> dict[str, dict[str, float]]:
    """The metrics of each cell that has any, by its name."""
    params, found = config.load(record / "params.yaml"), read_json(record / "metrics.json")
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
