"""Whether a record agrees with what its sources say: everything is derived again, and compared file by file."""

import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from html import unescape
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from imageio.v3 import imread

from dpg.record import SOURCES, sources
from dpg.record.derive import derive
from dpg.runtime.errors import UserError
from dpg.runtime.outputs import read_table

# Measured numbers differ in rounding from one kind of processor to another, and pixels with them.
RELATIVE, ABSOLUTE = 1e-6, 1e-9
LEVELS = 8  # of 255, by which a pixel's colour may differ
CONTEXT, LONGEST = 60, 80  # characters that a line shows: around a difference, and of a value

# A number with decimals, but none that is given: a threshold, a section, a version, or the id of a paper.
_GIVEN = r"(?<!below )(?<!above )(?<!least )(?<![Ss]ection )(?<!sec\. )(?<!arXiv:)(?<!abs/)"
_NUMBER = re.compile(_GIVEN + r"(?<![\w.,-])(-?\d[\d,]*\.\d+(?:e[+-]?\d+)?)(?!\.?\d|\+)")
_IMAGE = re.compile(r'src="data:image/png;base64,([^"]*)" alt="([^"]*)"')


def disagreements(record: Path) -> Iterator[str]:
    """Where a record disagrees with its sources, and these with each other: a line each, naming file and value."""
    yield from until_error(_disagreements(record), record)


def _disagreements(record: Path) -> Iterator[str]:
    yield from (f"{record}/{line}" for line in sources.problems(record))
    with TemporaryDirectory() as folder:
        again = Path(folder)
        derive(record, again)
        yield from compare(record, again)


def until_error(lines: Iterator[str], checked: Path) -> Iterator[str]:
    """The lines, and in place of an error that ends them a last line that says what it was."""
    try:
        yield from lines
    except UserError as error:
        yield from str(error).splitlines()
    except Exception as error:  # anything may have been altered
        yield f"{checked}: cannot be checked any further ({type(error).__name__}: {error})"


def compare(record: Path, again: Path) -> Iterator[str]:
    """Where the derived files of a record differ from those that were derived again."""
    here, there = files(record), files(again)
    for name in sorted(there - here):
        yield f"{record / name}: is missing"
    for name in sorted(here - there):
        remedy = f"`python -m dpg.record write {record} {record}` removes it"
        yield f"{record / name}: does not follow from the tables; {remedy}"
    for name in sorted(here & there):
        try:
            for line in KINDS[Path(name).suffix](record / name, again / name):
                yield f"{record / name}: {line}"
        except (OSError, ValueError) as error:
            yield f"{record / name}: cannot be read ({error})"


def files(folder: Path) -> set[str]:
    """The derived files in a record, or in a folder of nothing else."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.parts[0] not in SOURCES}


def _json(path: Path, again: Path) -> Iterator[str]:
    yield from _values(read_json(path), read_json(again), "")


def read_json(path: Path) -> Any:
    """The contents of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _values(found: Any, expected: Any, where: str) -> Iterator[str]:
    """Differences between two JSON values; `where` is the path to them."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in dict.fromkeys([*expected, *found]):
            yield from _values(found.get(key, "absent"), expected.get(key, "absent"), f"{where}.{key}".lstrip("."))
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            name = other.get("id") or other.get("name") or index if isinstance(other, dict) else index
            yield from _values(one, other, f"{where}.{name}".lstrip("."))
    elif not _equal(found, expected):
        yield f"{where} is {_short(found)}; the tables give {_short(expected)}"


def _equal(found: Any, expected: Any) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        if math.isnan(found) or math.isnan(expected):
            return math.isnan(found) == math.isnan(expected)
        return math.isclose(found, expected, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    if isinstance(found, str) and isinstance(expected, str):
        return _same_text(found, expected)
    return type(found) is type(expected) and found == expected


def _same_text(found: str, expected: str) -> bool:
    """Whether texts are equal but for the last digit of numbers with decimals, which rounding may move by one."""
    if found == expected:
        return True
    ours, theirs = _NUMBER.split(found), _NUMBER.split(expected)
    return len(ours) == len(theirs) and all(
        one == other or (index % 2 == 1 and _same_number(one, other))
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True))
    )


def _same_number(one: str, other: str) -> bool:
    """Whether two numbers with as many decimals differ by at most one in the last."""
    (first, _, e1), (second, _, e2) = one.partition("e"), other.partition("e")
    decimals = len(first.partition(".")[2])
    gap = abs(float(first.replace(",", "")) - float(second.replace(",", "")))
    return e1 == e2 and decimals == len(second.partition(".")[2]) and gap < 1.5 * 10.0**-decimals


def _text(path: Path, again: Path) -> Iterator[str]:
    """Differences of a text, line by line; images in it count as their names."""
    found, expected = (_IMAGE.sub(r'alt="\2"', file.read_text(encoding="utf-8")).splitlines() for file in (path, again))
    for number, (one, other) in enumerate(zip_longest(found, expected, fillvalue="the end"), 1):
        if not _same_text(one, other):
            yield f"line {number} is {_around(one, other)}; the tables give {_around(other, one)}"
            if len(found) != len(expected):  # all that follows is shifted
                return


def _around(text: str, other: str) -> str:
    """The part of a text around its first difference from another."""
    first = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    start = max(first - CONTEXT // 2, 0)
    return _short(text[start : start + CONTEXT])


def _page(path: Path, again: Path) -> Iterator[str]:
    """Differences of a page, and images in it that are not those that the folder next to it has by their titles."""
    yield from _text(path, again)
    names = {entry["title"]: entry["name"] for entry in read_json(again.parent / "figures/index.json")}
    for data, title in _IMAGE.findall(path.read_text(encoding="utf-8")):
        figure = path.parent / "figures" / f"{names.get(unescape(title))}.png"
        if figure.exists() and data != b64encode(figure.read_bytes()).decode():
            yield f"image {title!r} is not figures/{figure.name}"


def _table(path: Path, again: Path) -> Iterator[str]:
    found, expected = read_table(path), read_table(again)
    if list(found) != list(expected) or len(found) != len(expected):
        shapes = (f"{len(table)} rows of {', '.join(map(str, table))}" for table in (found, expected))
        yield "has {}; the tables give {}".format(*shapes)
        return
    yield from _values(found.to_dict("records"), expected.to_dict("records"), "row")


def _figure(path: Path, again: Path) -> Iterator[str]:
    """Whether a figure differs, but for shades."""
    try:
        one, other = (imread(file, plugin="pillow", mode="RGB").astype(np.int16) for file in (path, again))
    except (OSError, ValueError, SyntaxError):
        yield "is not an image"
        return
    if one.shape != other.shape:
        yield f"has {one.shape[1]} x {one.shape[0]} pixels; the tables give {other.shape[1]} x {other.shape[0]}"
    elif changed := int((np.abs(one - other).max(axis=-1) > LEVELS).sum()):
        yield f"differs from the one that the tables give in {changed:,} of {one[..., 0].size:,} pixels"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


KINDS: dict[str, Callable[[Path, Path], Iterator[str]]] = {
    ".json": _json,
    ".csv": _table,
    ".png": _figure,
    ".html": _page,
    ".md": _text,
}
