"""Parameter vectors: named arrays flattened into one vector, and the geometry of sets of vectors.

An agent's parameters are ONE vector of D numbers, since gradients, update steps, landscapes and conjugate gradients
all live in that space; a `Layout` gives the named arrays as views of it. Functions work on trailing axes and on NumPy
arrays and PyTorch tensors alike: leading axes (a population) pass through.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from jaxtyping import Float

from dpg.numerics.arrays import namespace
from dpg.numerics.ratios import ratio


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the arrays that a vector holds, in order."""

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Numbers in each array."""
        return tuple(prod(shape) for _, shape in self.shapes)

    @property
    def size(self) -> int:
        """D, numbers in the vector."""
        return sum(self.sizes)

    def unflatten(self, vector: Any) -> dict[str, Any]:
        """Views of `vector` (..., D) as named arrays (..., *shape)."""
        if vector.shape[-1] != self.size:
            raise ValueError(f"a vector of {self.size} numbers is expected, not {vector.shape[-1]}")
        leading = tuple(vector.shape[:-1])
        if isinstance(vector, np.ndarray):
            pieces = np.split(vector, np.cumsum(self.sizes)[:-1], axis=-1)
        else:
            pieces = vector.split(self.sizes, dim=-1)
        return {name: piece.reshape(leading + shape) for (name, shape), piece in zip(self.shapes, pieces, strict=True)}

    def flatten(self, arrays: dict[str, Any]) -> Any:
        """The vector (..., D) of named arrays (..., *shape)."""
        name, shape = self.shapes[0]
        leading = arrays[name].shape[: arrays[name].ndim - len(shape)]
        pieces = [arrays[name].reshape(*leading, size) for (name, _), size in zip(self.shapes, self.sizes, strict=True)]
        return namespace(pieces[0]).concat(pieces, -1)


def cosine_matrix(vectors: Float[np.ndarray, "*batch N D"]) -> Float[np.ndarray, "*batch N N"]:
    """Cosines between all pairs of N vectors; NaN where a vector is zero."""
    gram = vectors @ np.swapaxes(vectors, -1, -2)
    norms = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1))
    scale = norms[..., :, None] * norms[..., None, :]
    return ratio(gram, scale)


def cosine(a: Float[np.ndarray, "*#batch D"], b: Float[np.ndarray, "*#batch D"]) -> Float[np.ndarray, "*#batch"]:
    """Cosine between vectors; NaN where one is zero."""
    scale = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return ratio(np.sum(a * b, axis=-1), scale)


def dot(a: Any, b: Any) -> Any:
    """Inner products (...) of vectors (..., D)."""
    return (a * b).sum(-1)


def conjugate_gradient(product: Callable[[Any], Any], b: Any, steps: int, tolerance: float = 1e-10) -> Any:
    """Solve A x = b for each member of a population of symmetric positive definite A, in `steps` iterations.

    `product` maps x (..., D) to A x. A member stops when its squared residual is at most `tolerance` |b|^2.
    (Hestenes and Stiefel 1952; Nocedal and Wright, algorithm 5.2.)
    """
    where = namespace(b).where
    x = b * 0
    residual, direction = b, b
    squared = dot(residual, residual)
    enough = tolerance * squared
    for _ in range(steps):
        active = squared > enough
        image = product(direction)
        curvature = dot(direction, image)
        alpha = where(active, squared / where(active, curvature, curvature * 0 + 1), squared * 0)
        x = x + alpha[..., None] * direction
        residual = residual - alpha[..., None] * image
        following = dot(residual, residual)
        beta = where(active, following / where(active, squared, squared * 0 + 1), squared * 0)
        direction = residual + beta[..., None] * direction
        squared = where(active, following, squared)
    return x
