"""Parts of the README and of the docs that come from the published record.

A part is between two comments, of which the first says what it is: `verdicts`, of some claims or of all, `figure` with
its caption, or `image`, which is the figure alone.

    <!-- record: verdicts G1 G2 -->
    <!-- record: figure fig09_rewards -->
    ...
    <!-- end of record -->
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dpg.record import overview
from dpg.record.sources import RecordError
from dpg.runtime.outputs import write_atomic

PAGES = (Path("README.md"), Path("docs/record.md"))
_PART = re.compile(r"(<!-- record: (\w+) ?([^>]*?) -->\n).*?(<!-- end of record -->)", re.DOTALL)


def fill_all(record: Path) -> None:
    """Renew the parts of all pages."""
    for page in PAGES:
        write_atomic(filled(page, record), page)


def disagreements(record: Path) -> Iterator[str]:
    """The pages with parts that are not the record's."""
    for page in PAGES:
        if page.read_text(encoding="utf-8") != filled(page, record):
            yield f"{page}: is not what {record} says; `python -m dpg.record write` renews it"


def filled(page: Path, record: Path) -> str:
    """The text of a page with its parts from the record.

    Raises:
        RecordError: a part names a claim or a figure that the record does not have.
    """

    def fill(match: re.Match[str]) -> str:
        head, kind, names, tail = match.groups()
        try:
            return f"{head}\n{_KINDS[kind](record, page, names.split())}\n{tail}"
        except KeyError as error:
            raise RecordError(f"{page}: {head.strip()}: {record} has no {error.args[0]}") from None

    return _PART.sub(fill, page.read_text(encoding="utf-8"))


def _verdicts(record: Path, page: Path, names: list[str]) -> str:  # noqa: ARG001 - one shape for all kinds
    """The table of some claims, or of all."""
    claims = {claim["id"]: claim for claim in _read(record / "claims.json")}
    return overview.verdicts(claims[name] for name in names or claims)


def _image(record: Path, page: Path, names: list[str]) -> str:
    """Figures alone."""
    entries = _entries(record)
    folder = Path(os.path.relpath(record / "figures", page.parent)).as_posix()
    return "".join(f"![{entries[name]['title']}]({folder}/{name}.png)\n" for name in names)


def _figure(record: Path, page: Path, names: list[str]) -> str:
    """Figures with their captions."""
    entries = _entries(record)
    return "\n".join(
        f"{_image(record, page, [name])}\n*{entries[name]['title']}. {entries[name]['caption']}*\n" for name in names
    )


def _entries(record: Path) -> dict[str, Any]:
    return {entry["name"]: entry for entry in _read(record / "figures/index.json")}


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


_KINDS = {"verdicts": _verdicts, "figure": _figure, "image": _image}
