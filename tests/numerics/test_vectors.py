"""Parameter vectors and the geometry of sets of vectors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dpg.numerics.vectors import Layout, conjugate_gradient, cosine, cosine_matrix

dims = st.integers(1, 3)
shapes = st.lists(st.lists(dims, max_size=3).map(tuple), min_size=1, max_size=5)
leading_axes = st.lists(dims, max_size=2).map(tuple)


def layout_of(shapes: list[tuple[int, ...]]) -> Layout:
    return Layout(tuple((f"array{index}", shape) for index, shape in enumerate(shapes)))


@given(shapes, leading_axes)
def test_flatten_undoes_unflatten_with_any_leading_axes_in_both_libraries(shapes, leading):
    layout = layout_of(shapes)
    vector = np.arange(np.prod(leading, dtype=int) * layout.size, dtype=np.float64).reshape(*leading, layout.size)
    arrays = layout.unflatten(vector)
    assert [array.shape for array in arrays.values()] == [leading + shape for shape in shapes]
    np.testing.assert_array_equal(layout.flatten(arrays), vector)
    from_torch = layout.unflatten(torch.from_numpy(vector))
    for name, array in arrays.items():
        np.testing.assert_array_equal(from_torch[name].numpy(), array)


def test_arrays_lie_in_the_order_of_the_layout():
    layout = layout_of([(2,), (2, 2)])
    arrays = layout.unflatten(np.arange(6.0))
    np.testing.assert_array_equal(arrays["array0"], [0, 1])
    np.testing.assert_array_equal(arrays["array1"], [[2, 3], [4, 5]])


@pytest.mark.parametrize("vector", [np.zeros((2, 5)), torch.zeros(2, 7)], ids=["numpy", "torch"])
def test_a_vector_of_the_wrong_size_is_refused(vector):
    with pytest.raises(ValueError, match=f"6 numbers is expected, not {vector.shape[-1]}"):
        layout_of([(2,), (2, 2)]).unflatten(vector)


def test_cosine_of_parallel_opposed_orthogonal_and_zero_vectors():
    a = np.array([[1.0, 2.0, 2.0], [1.0, 2.0, 2.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    b = np.array([[3.0, 6.0, 6.0], [-0.5, -1.0, -1.0], [0.0, 7.0, 0.0], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(cosine(a, b), [1, -1, 0, np.nan], atol=1e-15)
    assert cosine(a[0], b[0]) == pytest.approx(1)


def test_cosine_matrix_holds_the_cosine_of_every_pair():
    vectors = np.random.default_rng(0).standard_normal((2, 5, 3))
    vectors[1, 4] = 0
    matrix = cosine_matrix(vectors)
    for batch in range(2):
        for i in range(5):
            for j in range(5):
                expected = cosine(vectors[batch, i], vectors[batch, j])
                np.testing.assert_allclose(matrix[batch, i, j], expected, atol=1e-12)
    assert np.isnan(matrix[1, 4]).all()
    assert np.isfinite(matrix[1, :4, :4]).all()


def spd(rng: np.random.Generator, members: int, size: int) -> np.ndarray:
    factors = rng.standard_normal((members, size, size))
    return factors @ factors.swapaxes(-1, -2) + np.eye(size)


@pytest.mark.parametrize("wrap", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_conjugate_gradient_is_exact_after_as_many_steps_as_dimensions(wrap):
    rng = np.random.default_rng(1)
    matrices, b = spd(rng, 3, 6), rng.standard_normal((3, 6))
    wrapped = wrap(matrices)
    x = conjugate_gradient(lambda v: (wrapped @ v[..., None])[..., 0], wrap(b), steps=6, tolerance=0.0)
    np.testing.assert_allclose(np.asarray(x), np.linalg.solve(matrices, b[..., None])[..., 0], rtol=1e-8, atol=1e-10)


def test_conjugate_gradient_minimises_over_the_krylov_space_at_every_step():
    """Fewer steps than dimensions, as TRPO uses it: x_k minimises 1/2 x'Ax - b'x over span(b, Ab, ..)."""
    rng = np.random.default_rng(2)
    matrix, b = spd(rng, 1, 6)[0], rng.standard_normal(6)
    krylov = np.stack([np.linalg.matrix_power(matrix, power) @ b for power in range(3)], axis=1)
    best = krylov @ np.linalg.solve(krylov.T @ matrix @ krylov, krylov.T @ b)
    x = conjugate_gradient(lambda v: matrix @ v, b, steps=3)
    np.testing.assert_allclose(x, best, rtol=1e-8)


@pytest.mark.parametrize("wrap", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_a_member_that_has_converged_stays_while_others_go_on(wrap):
    """Member 0 is done after one step and member 1 has nothing to do; 0/0 in either would be NaN."""
    rng = np.random.default_rng(3)
    matrices, b = spd(rng, 3, 6), rng.standard_normal((3, 6))
    matrices[0] = 2 * np.eye(6)
    b[1] = 0
    wrapped = wrap(matrices)
    x = conjugate_gradient(lambda v: (wrapped @ v[..., None])[..., 0], wrap(b), steps=20)
    np.testing.assert_array_equal(np.asarray(x)[:2], [b[0] / 2, np.zeros(6)])
    np.testing.assert_allclose(np.asarray(x)[2], np.linalg.solve(matrices[2], b[2]), rtol=1e-5)
