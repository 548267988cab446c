"""Durations and sizes in words."""

SPANS = ((1.0, "s"), (60.0, "min"), (3600.0, "h"), (86400.0, "days"))
SIZES = tuple((1000.0**power, unit) for power, unit in enumerate(("B", "kB", "MB", "GB", "TB")))


def duration(seconds: float | int) -> str:
    """Seconds in a suitable unit: `99 s`, `1.7 min`, `4.6 days`."""
    scale, unit = next((span for span in SPANS if seconds < 99.5 * span[0]), SPANS[-1])
    return _text(seconds / scale, unit, whole=unit == "s")


def size(num_bytes: float | int) -> str:
    """Bytes in a suitable unit: `999 B`, `1.5 kB`, `124 GB`; 1 kB is 1,000."""
    scale, unit = next((each for each in SIZES if num_bytes < 999.5 * each[0]), SIZES[-1])
    return _text(num_bytes / scale, unit, whole=unit == "B")


def _text(value: float, unit: str, *, whole: bool) -> str:
    return f"{value:,.0f} {unit}" if whole or value >= 9.95 else f"{value:.1f} {unit}"
