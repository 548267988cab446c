"""PyTorch, imported at its first use: what learns is imported by stages and commands that never compute with it."""

import importlib
import sys
from typing import TYPE_CHECKING, Any


class _Late:
    """A module that is imported when something of it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, found)  # asked for once
        return found


if TYPE_CHECKING or "torch" in sys.modules:
    import torch
    from torch import Tensor
else:
    torch = _Late("torch")
    Tensor = Any  # shapes in annotations are checked of any array

__all__ = ["Tensor", "torch"]
