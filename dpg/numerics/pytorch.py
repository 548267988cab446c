"""PyTorch, imported at its first use: what learns is imported by stages and commands that never compute with it."""

import importlib
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np


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

__all__ = ["Tensor", "numpy_product", "torch"]


def numpy_product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product `a @ b`, and its derivatives of any order, by NumPy.

    NumPy multiplies one matrix at a time. PyTorch's kernels round by the number of matrices and by where they lie in
    memory, so that an agent's numbers would depend on the agents that are computed with it.
    """
    leading = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return _product().apply(a.expand(*leading, -1, -1), b.expand(*leading, -1, -1))


@cache
def _product() -> Any:
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
            ctx.save_for_backward(a, b)
            with np.errstate(over="ignore", invalid="ignore"):  # PyTorch does not warn
                return torch.from_numpy(a.detach().numpy() @ b.detach().numpy())

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None]:
            (error,), (a, b) = grad_outputs, ctx.saved_tensors
            of_a, of_b = ctx.needs_input_grad
            return (
                Product.apply(error, b.mT) if of_a else None,
                Product.apply(a.mT, error) if of_b else None,
            )

    return Product
