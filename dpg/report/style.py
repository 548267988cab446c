"""The appearance of figures: type, sizes, colours, and how a figure becomes bytes.

No pyplot and no global state: `paper` sets all of matplotlib's parameters for a block or for a decorated function, so
that a user's own settings change no figure. Files are byte-stable: the same figure gives the same PNG, PDF and SVG,
without dates or versions of software in them.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator

_RC = mpl.rc_params_from_file(Path(__file__).with_name("paper.mplstyle"), use_default_template=False)
# Matplotlib's defaults for all else. The backend is kept: no figure here needs one.
_DEFAULTS: Any = {name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith("backend")}

WIDTH = 6.75  # inches: the full text width of a conference paper
NARROW = 4.2  # inches: a figure of one panel, with room for its title and legend

INK, GREY = _RC["text.color"], _RC["axes.edgecolor"]
FAINT = "#BDBDBD"
COLORMAP = "viridis"  # monotone in lightness: it survives grey printing
BAND = 0.18  # opacity of an interval

_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}


@dataclass(frozen=True)
class SeriesStyle:
    """The label and looks of an algorithm, a baseline, or a step of a sequence."""

    label: str
    color: str
    marker: str
    dashes: tuple[int, tuple[float, ...]] | str

    def line(self, **options: Any) -> dict[str, Any]:
        """Options of a line in this style; `options` take precedence."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.dashes} | options


# For algorithms without a colour of their own (Paul Tol's bright scheme, safe for colour-blind readers).
COLORS = ("#000000", "#66CCEE", "#AA3377", "#228833", "#EE6677", "#CCBB44")


def fallback_style(name: str) -> SeriesStyle:
    """The style of an algorithm that is not registered here, from a table made elsewhere."""
    return SeriesStyle(name, COLORS[sum(name.encode()) % len(COLORS)], "D", (0, (1.5, 1.5)))


@contextmanager
def paper() -> Generator[None]:
    """Set matplotlib's parameters for a figure of a paper, as a context manager or a decorator."""
    with mpl.rc_context(_DEFAULTS | _RC):
        yield


def tints(color: str, count: int) -> list[str]:
    """`count` tints of a colour, from itself towards white: one per agent."""
    red, green, blue = colors.to_rgb(color)
    lightest = 0.45
    shares = [lightest * index / max(count - 1, 1) for index in range(count)]
    return [colors.to_hex((red + (1 - red) * s, green + (1 - green) * s, blue + (1 - blue) * s)) for s in shares]


# One for each learning rate, from solid to dotted.
_PATTERNS = (
    "solid",
    (0, (6.0, 1.4)),
    (0, (3.0, 1.4)),
    (0, (5.0, 1.3, 1.2, 1.3)),
    (0, (3.0, 1.2, 1.1, 1.2, 1.1, 1.2)),
    (0, (1.2, 1.2)),
)


def sequence(count: int) -> list[SeriesStyle]:
    """Styles for an ordered quantity, from light to dark; dashes distinguish neighbours in grey print.

    The yellow end of the colour map is left out, since it is too pale for a line.
    """
    shades = mpl.colormaps[COLORMAP](np.linspace(0.78, 0.0, count) if count > 1 else [0.0])
    return [
        SeriesStyle("", colors.to_hex(shade), "o", _PATTERNS[(count - 1 - index) % len(_PATTERNS)])
        for index, shade in enumerate(shades)
    ]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure with automatic layout; sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def pairs_axis(axes: Axes) -> None:
    """Make the x axis a linear one of pairs, from zero, with labels such as 50k and 1M."""
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(5))


def quiet_grid(axes: Axes, axis: str = "y") -> None:
    """Draw faint grid lines behind the data."""
    axes.set_axisbelow(True)
    axes.grid(visible=True, axis=axis)  # pyright: ignore[reportArgumentType]


def log_scale(*panels: Axes, base: int = 10) -> None:
    """Give drawn panels one logarithmic scale whose range is that of the positive values of their lines.

    Bands that reach zero or below end at the frame.
    """
    lines = [line for axes in panels for line in axes.lines]
    heights = [np.asarray(line.get_ydata(), float) for line in lines]
    for line, y in zip(lines, heights, strict=True):
        line.set_ydata(np.where(y > 0, y, np.nan))  # otherwise the line would drop to the frame
    positive = [y[y > 0] for y in heights]
    for axes in panels:
        axes.set_yscale("log", base=base)
        if any(map(len, positive)):
            found = np.concatenate(positive)
            axes.set_ylim(found.min() / 1.6, found.max() * 1.6)
        for path in (path for band in axes.collections for path in band.get_paths()):
            y = np.asarray(path.vertices, float)[:, 1]
            y[y <= 0] = axes.get_ylim()[0]  # otherwise its edge would drop to the frame at the points around


def curve(axes: Axes, rows: pd.DataFrame, x: str, series: SeriesStyle, y: str = "mean", **line: Any) -> None:
    """Draw a line through the columns `x` and `y` and a band from `low` to `high`; by default without markers."""
    axes.fill_between(rows[x], rows["low"], rows["high"], color=series.color, alpha=BAND, linewidth=0)
    axes.plot(rows[x], rows[y], **series.line(**{"marker": "", **line}))


def line_handle(label: str, **options: Any) -> Line2D:
    """A legend entry for a line."""
    return Line2D([], [], label=label, **options)


def legend_below(figure: Figure, handles: Sequence[Line2D | Patch], columns: int) -> Legend:
    """Add one legend below all panels; a narrow figure has at most two columns."""
    columns = columns if figure.get_figwidth() > NARROW else min(columns, 2)
    return figure.legend(handles=list(handles), loc="outside lower center", ncols=columns)


def render(figure: Figure, formats: Sequence[str], dpi: int) -> dict[str, bytes]:
    """A figure in every format, byte for byte reproducible.

    Its layout is solved once, for `dpi`, so that all formats have the same; the figure keeps it.
    """
    files: dict[str, bytes] = {}
    with paper():
        figure.set_dpi(dpi)
        if layout := figure.get_layout_engine():
            layout.execute(figure)
            figure.set_layout_engine("none")
        for kind in formats:
            buffer = BytesIO()
            figure.savefig(buffer, format=kind, dpi=dpi, metadata=_METADATA[kind])
            files[kind] = buffer.getvalue()
    return files


def save(figure: Figure, directory: Path, name: str, formats: Sequence[str], dpi: int) -> list[Path]:
    """Write a figure in every format; return the files."""
    files = {directory / f"{name}.{kind}": data for kind, data in render(figure, formats, dpi).items()}
    for path, data in files.items():
        path.write_bytes(data)
    return list(files)
