"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Any, Self

from tqdm import tqdm

LINE_INTERVAL_S = 10.0


class Progress:
    """Shows completed work out of `total`, in `unit`s."""

    def __init__(self, description: str, total: int, unit: str = "pairs") -> None:
        self.unit = unit
        self._style: dict[str, Any] = {"total": total, "unit": f" {unit}", "unit_scale": True}
        self._description = description
        self._done = self._resumed = 0
        self._started = self._printed = time.monotonic()
        self._bar = tqdm(desc=description, file=sys.stderr, **self._style) if sys.stderr.isatty() else None

    def advance(self, amount: int, *, resumed: bool = False) -> None:
        """Count `amount` more units; `resumed` units come from an earlier run and do not count towards the rate."""
        self._done += amount
        self._resumed += amount * resumed
        if self._bar is not None:
            self._bar.initial = self._resumed
            self._bar.update(amount)
            return
        now = time.monotonic()
        if now - self._printed >= LINE_INTERVAL_S or self._done == self._style["total"]:
            self._printed = now
            progress = {"n": self._done, "initial": self._resumed, "elapsed": now - self._started}
            line = tqdm.format_meter(**progress, ncols=0, prefix=self._description, **self._style)
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
