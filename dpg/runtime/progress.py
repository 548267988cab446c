"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

LINE_INTERVAL_S = 10.0


class Progress:
    """Shows completed work out of `total`, in `unit`s."""

    def __init__(self, description: str, total: int, unit: str = "pairs") -> None:
        self.unit = unit
        self._description = description
        self._total = total
        self._done = self._resumed = 0
        self._started = self._printed = time.monotonic()
        interactive = sys.stderr.isatty()
        self._bar = (
            tqdm(total=total, desc=description, unit=f" {unit}", unit_scale=True, file=sys.stderr)
            if interactive
            else None
        )

    def advance(self, amount: int, *, resumed: bool = False) -> None:
        """Count `amount` more units; `resumed` units come from an earlier run and do not count towards the rate."""
        self._done += amount
        if resumed:
            self._resumed += amount
        if self._bar is not None:
            if resumed:
                self._bar.initial += amount
            self._bar.update(amount)
            return
        now = time.monotonic()
        if now - self._printed >= LINE_INTERVAL_S or self._done == self._total:
            self._printed = now
            print(self._line(now - self._started), file=sys.stderr, flush=True)

    def _line(self, elapsed: float) -> str:
        rate = (self._done - self._resumed) / max(elapsed, 1e-9)
        remaining = self._total - self._done
        left = tqdm.format_interval(remaining / rate if remaining else 0) if rate > 0 or not remaining else "?"
        return (
            f"{self._description}: {self._done / max(self._total, 1):4.0%}, {self._done:,} of {self._total:,} "
            f"{self.unit}, {rate:,.0f} {self.unit}/s, {tqdm.format_interval(elapsed)} gone, "
            f"{left} left"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
