"""What this process is resident with, and the most that it has been (Linux; elsewhere the latter alone, by rusage)."""

import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path

KIB = 1024


def resident() -> int:
    """Bytes that the process is resident with now."""
    return _status("VmRSS") or peak()


def peak() -> int:
    """The most bytes that the process has been resident with since its start, or since `forget_peak`."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _status("VmHWM") or (used if sys.platform == "darwin" else used * KIB)


def forget_peak() -> None:
    """Give freed memory back to the system and begin to count the peak anew, where the system can."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _status(name: str) -> int | None:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) * KIB
    return None
