"""NumPy's matrix products under PyTorch's automatic differentiation."""

import numpy as np
import pytest
import torch

from dpg.numerics.pytorch import numpy_product


@pytest.mark.parametrize(
    ("a", "b"), [((3, 4), (4, 2)), ((2, 3, 4), (2, 4, 1)), ((1, 3, 4), (2, 4, 2)), ((3, 4), (2, 4, 2))]
)
def test_first_and_second_derivatives_of_a_product_are_those_of_finite_differences(a, b):
    generator = torch.Generator().manual_seed(0)
    pair = [torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True) for shape in (a, b)]
    np.testing.assert_allclose(numpy_product(*pair).detach().numpy(), (pair[0] @ pair[1]).detach().numpy())
    assert torch.autograd.gradcheck(numpy_product, pair)
    assert torch.autograd.gradgradcheck(numpy_product, pair)


def test_a_product_rounds_alike_wherever_it_lies_and_whatever_is_computed_with_it():
    a, memory = torch.randn(3, 62, 64), torch.randn(3, 1000)
    b = memory[:, 5:69].view(3, 64, 1)
    together = numpy_product(a, b)
    for member in range(3):
        alone = numpy_product(a[member].clone(), b[member].clone())
        assert together[member].numpy().tobytes() == alone.numpy().tobytes()
