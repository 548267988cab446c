"""Quadratic functions of Gaussian vectors: substitution, expectation, and joint moments of up to four.

A function q(x) = x'M x + b'x + c of x in R^n is ONE symmetric matrix of n + 1 rows, [[M, b/2], [b'/2, c]], acting on
(x, 1). An affine map from R^m to R^n is a matrix (n + 1, m + 1) whose last row is (0, ..., 0, 1). So composition is a
matrix product, and rewards, value functions and advantages have one type.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Form = Float[np.ndarray, "n1 n1"]
Affine = Float[np.ndarray, "n1 m1"]


@dataclass(frozen=True)
class Gaussian:
    """N(mean, covariance)."""

    mean: Float[np.ndarray, " n"]
    covariance: Float[np.ndarray, "n n"]

    @property
    def second_moment(self) -> Form:
        """E[(x, 1) (x, 1)']."""
        extended = np.append(self.mean, 1.0)
        result = np.outer(extended, extended)
        result[:-1, :-1] += self.covariance
        return result


def affine(matrix: Float[np.ndarray, "n m"], offset: Float[np.ndarray, " n"]) -> Affine:
    """The map x -> matrix x + offset."""
    last = np.append(np.zeros(matrix.shape[1]), 1.0)
    return np.vstack([np.column_stack([matrix, offset]), last])


def constant(value: float, dimension: int) -> Form:
    """The function that is `value` everywhere in R^dimension."""
    form = np.zeros((dimension + 1, dimension + 1))
    form[-1, -1] = value
    return form


def evaluate(form: Form, x: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch"]:
    """q(x)."""
    extended = np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1)
    return np.einsum("...i,ij,...j->...", extended, form, extended)


def substitute(form: Form, inner: Affine) -> Float[np.ndarray, "m1 m1"]:
    """x -> q(inner(x))."""
    return inner.T @ form @ inner


def smooth(form: Form, covariance: Float[np.ndarray, "n n"]) -> Form:
    """x -> E q(x + w) = q(x) + tr(M covariance), w ~ N(0, covariance)."""
    return form + constant(float(np.sum(form[:-1, :-1] * covariance)), len(covariance))


def expectation(form: Form, x: Gaussian) -> float:
    """E q(x)."""
    return float(np.sum(form * x.second_moment))


def product_expectation(p: Form, q: Form, x: Gaussian) -> float:
    """E p(x) q(x): the product of the means, and the covariance 2 tr(P C Q C) + grad p(m)' C grad q(m)."""
    covariance = x.covariance
    extended = np.append(x.mean, 1.0)
    slopes = [2 * (form @ extended)[:-1] for form in (p, q)]
    curved = 2 * float(np.sum((p[:-1, :-1] @ covariance) * (q[:-1, :-1] @ covariance).T))
    return expectation(p, x) * expectation(q, x) + curved + float(slopes[0] @ covariance @ slopes[1])
