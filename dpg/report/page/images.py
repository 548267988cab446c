"""Figures as images inside a page."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from dpg.report.style import WIDTH

LARGEST_SVG = 400_000  # bytes: larger figures are embedded as PNG


@dataclass(frozen=True)
class Image:
    """A data URI, and the share of the page's width at which the letters have the size common to all figures."""

    source: str
    share: float


def embed(files: Mapping[str, bytes]) -> Image | None:
    """A figure from its files by format: SVG if it is small, else PNG; None if it has neither."""
    vector = files.get("svg", b"")
    kind = "svg" if vector and (len(vector) <= LARGEST_SVG or "png" not in files) else "png"
    if kind not in files:
        return None
    data = base64.b64encode(files[kind]).decode()
    return Image(f"data:image/{'svg+xml' if kind == 'svg' else kind};base64,{data}", share_of_width(vector))


def share_of_width(vector: bytes) -> float:
    """The width of an SVG over that of a page; 1 if unknown."""
    found = re.search(rb'<svg[^>]* width="([\d.]+)pt"', vector[:2000])
    return min(1.0, float(found[1]) / 72 / WIDTH) if found else 1.0
