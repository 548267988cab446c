"""Numbers as a reader wants them, on the page and in the terminal."""

import math

from dpg.diagnose.findings import Effect, Range


def amount(effect: Effect) -> str:
    """A measured quantity with its interval and unit; one that is read, not estimated, has no interval."""
    mean, low, high = effect.interval
    interval = "" if low == high else f" [{number(low)}, {number(high)}]"
    return f"{number(mean)}{interval}{' ' * bool(effect.unit)}{effect.unit}"


def number(value: float) -> str:
    """Three digits, and no minus before a zero."""
    if math.isnan(value):
        return "?"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value + 0.0:.3g}"


def between(ends: Range) -> str:
    """A range with one end or two."""
    low, high = ends
    if math.isinf(low):
        return f"≤ {number(high)}"
    return f"≥ {number(low)}" if math.isinf(high) else f"{number(low)} to {number(high)}"
