"""Figures as images inside a page."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from imageio.v3 import immeta, improps

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
    return Image(f"data:image/{'svg+xml' if kind == 'svg' else kind};base64,{data}", share_of_width(files))


def share_of_width(files: Mapping[str, bytes]) -> float:
    """The width of a figure over that of a page, from its SVG or from the resolution of its PNG; 1 if unknown."""
    if found := re.search(rb'<svg[^>]* width="([\d.]+)pt"', files.get("svg", b"")[:2000]):
        return min(1.0, float(found[1]) / 72 / WIDTH)
    if "png" not in files:
        return 1.0
    width, resolution = improps(files["png"]).shape[1], immeta(files["png"]).get("dpi")
    return min(1.0, width / resolution[0] / WIDTH) if resolution else 1.0
