"""Waiting for events of other processes, however busy the machine is."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TIMEOUT_S = 300.0  # seconds for anything to happen


def wait_for(condition: Callable[[], Any], alive: Callable[[], bool] = lambda: True, log: Path | None = None) -> None:
    """Wait until a condition holds. A process that has to be alive until then has a `log`, which says why it is not."""
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert alive() and time.monotonic() < end, log.read_text(encoding="utf-8") if log else "it never came"
        time.sleep(0.01)
