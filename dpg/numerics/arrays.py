"""One equation for NumPy and PyTorch: the namespace of an array's functions.

Agents act in NumPy and learn in PyTorch. Equations that both need (a network's forward pass, a log-probability) are
written once with `namespace(x)`, for functions that have the same name in both libraries.
"""

from typing import Any

import numpy as np

from dpg.numerics.pytorch import torch


def namespace(array: Any) -> Any:
    """`numpy` for NumPy arrays and `torch` for tensors."""
    return np if isinstance(array, np.ndarray) else torch
