"""Markdown tables of a record's verdicts and numbers."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dpg.numerics.statistics import Interval
from dpg.report.claims.verdicts import Verdict, number, spread


def summary(claims: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of claims: the verdict, an effect that decides it, and in how many cells or tasks it is so."""
    rows = ["| claim | verdict | effect | cells |", "|---|---|---|---|"]
    for claim in claims:
        found = Counter(finding["verdict"] for finding in claim["findings"])
        cells = ", ".join(f"{count} {verdict}" for verdict, count in found.items())
        rows.append(f"| {claim['id']}: {claim['claim'].rstrip('.')} | {claim['verdict']} | {effect(claim)} | {cells} |")
    return "\n".join(rows).replace("V*", "V\\*") + "\n"


def effect(claim: Mapping[str, Any]) -> str:
    """A claim's effect with its cell, interval and threshold, and its range in the other cells.

    Without an effect, the reason why there is none.
    """
    if claim["effect"] is None:
        return claim["reason"]
    headline = {name: claim[name] for name in ("quantity", "effect", "low", "high")}
    deciding = next(
        finding for finding in claim["findings"] if any(headline.items() <= part.items() for part in finding["parts"])
    )
    interval = "" if claim["low"] is None else f" [{number(claim['low'])}, {number(claim['high'])}]"
    others = [_effect_in(claim, finding) for finding in claim["findings"] if finding is not deciding]
    measured = [value for value in others if value is not None]
    ends = dict.fromkeys(number(end(measured)) for end in (min, max) if measured)
    elsewhere = f"; elsewhere {' to '.join(ends)}" if ends else ""
    decided = f"{deciding['where']}: {claim['quantity']} {number(claim['effect'])}{interval}"
    return f"{decided}, threshold: {_threshold(claim)}{elsewhere}"


def by_cell(claims: Iterable[Mapping[str, Any]]) -> str:
    """A Markdown table of what was found where: a row for each claim with an effect, a column for each cell.

    Claims about a whole task or all tasks follow in a list.
    """
    measured = [claim for claim in claims if claim["effect"] is not None]
    cells = _in_order(finding["where"] for claim in measured for finding in claim["findings"])
    if not cells:
        return "No cell has been measured yet.\n"
    rows = [f"| claim | {' | '.join(cells)} |", f"|---|{'---|' * len(cells)}"]
    others: list[str] = []
    for claim in measured:
        found = {finding["where"]: _outcome(claim, finding) for finding in claim["findings"]}
        name = f"{claim['id']}: {claim['quantity']}, {_threshold(claim)}"
        if found.keys() <= set(cells):
            rows.append(f"| {name} | {' | '.join(found.get(cell, '') for cell in cells)} |")
        else:
            others.append(f"- {name}: {'; '.join(map(': '.join, found.items()))}.")
    symbols = ", ".join(f"{verdict.symbol} {verdict}" for verdict in Verdict)
    legend = (
        f"{symbols}. The number is the effect named on the left; where a claim has several, another may decide, and a "
        "premise may fail. The page has all of them, with intervals and sample sizes.\n"
    )
    return "\n".join([legend, *rows, *(["", *others] if others else [])]) + "\n"


def _in_order(places: Iterable[str]) -> list[str]:
    """Cells by task and then by algorithm, both in the order of their appearance."""
    cells = {where: tuple(where.split(", ", 1)) for where in places if ", " in where}
    orders = [list(dict.fromkeys(names)) for names in zip(*cells.values(), strict=True)]
    ranks = {where: [order.index(name) for order, name in zip(orders, cells[where], strict=True)] for where in cells}
    return sorted(cells, key=ranks.__getitem__)


def _outcome(claim: Mapping[str, Any], finding: Mapping[str, Any]) -> str:
    """The verdict of a finding as a symbol, with the claim's effect there."""
    value = _effect_in(claim, finding)
    return Verdict(finding["verdict"]).symbol + ("" if value is None else f" {number(value)}")


def _effect_in(claim: Mapping[str, Any], finding: Mapping[str, Any]) -> float | None:
    """The quantity that the claim's headline has, in one finding."""
    effects = (part["effect"] for part in finding["parts"] if part["quantity"] == claim["quantity"])
    return next((effect for effect in effects if effect is not None), None)


def _threshold(claim: Mapping[str, Any]) -> str:
    return f"{claim['side']} {number(claim['threshold'])}"


def numbers(cells: Mapping[str, Mapping[str, float]], headings: Mapping[str, str]) -> str:
    """A Markdown table of metrics, with their intervals where there are any: a row for each cell.

    Args:
        cells: metrics by the name of the cell.
        headings: the heading of each column by the name of its metric; empty for the name itself.
    """
    columns = [
        heading or " ".join(name.split(".")[1:] or [name]).replace("_", " ") for name, heading in headings.items()
    ]
    rows = [f"| cell | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    rows += [f"| {cell} | {' | '.join(_metric(own, name) for name in headings)} |" for cell, own in cells.items()]
    return "\n".join(rows) + "\n"


def _metric(own: Mapping[str, float], name: str) -> str:
    """A metric with its interval; a dash where it was not measured."""
    mean, low, high = (own.get(f"{name}{end}", math.nan) for end in ("", "_low", "_high"))
    return spread(Interval(mean, low, high))
