"""One equation for NumPy and PyTorch: the namespace that an array's functions come from.

Agents act in NumPy and learn in PyTorch. What both need (a network's forward pass, a log-probability) is written once
in terms of `namespace(x)`, for the functions that the two libraries name alike.
"""

from typing import Any

import numpy as np


def namespace(array: Any) -> Any:
    """`numpy` for NumPy arrays and `torch` for tensors."""
    if isinstance(array, np.ndarray):
        return np
    import torch  # late: the probes act and measure in NumPy alone, and never pay for this import

    return torch
