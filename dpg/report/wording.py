"""Numbers as text: on axes, in captions and in verdicts."""

import pandas as pd


def compact(count: float) -> str:
    """A count in short form: 0.4, 12, 3.4k."""
    scaled, suffix = (count, "") if count < 999.5 else (count / 1000, "k")
    return f"{scaled:.1f}{suffix}" if scaled < 9.95 else f"{scaled:.0f}{suffix}"


def span(counts: pd.Series) -> str:
    """The range of some counts, or their common value."""
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def scientific(number: float) -> str:
    """A number as in a parameters file: 3e-4, 1.25e-4."""
    mantissa, exponent = f"{number:.5e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def counted(counts: "int | pd.Series[int]", noun: str) -> str:
    """A number of things, or the range of some: 1 agent, 2,000 pairs, 3 to 4 trajectories."""
    numbers = pd.Series(counts)
    plural = f"{noun.removesuffix('y')}ies" if noun.endswith("y") else f"{noun}s"
    return f"{span(numbers)} {noun if (numbers == 1).all() else plural}"
