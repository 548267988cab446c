"""Networks as functions of named arrays, and how they start."""

import numpy as np
import pytest
import torch

from dpg.agent import networks


def arrays_of(rng: np.random.Generator, sizes: tuple[int, ...], leading: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(leading + shape) for name, shape in networks.mlp_shapes(sizes)}


def slow_forward(arrays: dict[str, np.ndarray], x: np.ndarray) -> list[float]:
    """One input through a network, number by number."""
    depth = len(arrays) // 2
    signal = [float(number) for number in x]
    for layer in range(depth):
        weight, bias = arrays[f"w{layer}"], arrays[f"b{layer}"]
        total = [
            sum(signal[i] * weight[i, j] for i in range(weight.shape[0])) + bias[j] for j in range(weight.shape[1])
        ]
        signal = total if layer == depth - 1 else [np.tanh(number) for number in total]
    return signal


@pytest.mark.parametrize("sizes", [(3, 2), (3, 4, 2), (2, 5, 4, 3, 1)], ids=str)
def test_forward_pass_against_plain_loops(sizes):
    rng = np.random.default_rng(0)
    arrays, x = arrays_of(rng, sizes), rng.standard_normal((6, sizes[0]))
    expected = [slow_forward(arrays, row) for row in x]
    np.testing.assert_allclose(networks.mlp(arrays, x, "tanh"), expected, rtol=1e-12)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    np.testing.assert_allclose(networks.mlp(tensors, torch.from_numpy(x), "tanh").numpy(), expected, rtol=1e-12)


def test_every_member_of_a_population_computes_its_own_network():
    rng = np.random.default_rng(1)
    sizes = (3, 4, 4, 2)
    arrays, x = arrays_of(rng, sizes, leading=(5,)), rng.standard_normal((5, 7, 3))
    together = networks.mlp(arrays, x, "tanh")
    for member in range(5):
        alone = networks.mlp({name: array[member] for name, array in arrays.items()}, x[member], "tanh")
        np.testing.assert_allclose(together[member], alone, rtol=1e-12)


def test_without_hidden_layers_the_network_is_linear():
    rng = np.random.default_rng(2)
    arrays, x = arrays_of(rng, (3, 2)), 100 * rng.standard_normal((6, 3))
    np.testing.assert_allclose(networks.mlp(arrays, x, "tanh"), x @ arrays["w0"] + arrays["b0"])


def test_layer_inputs_are_the_input_and_the_hidden_activations():
    rng = np.random.default_rng(3)
    arrays, x = arrays_of(rng, (3, 4, 2)), rng.standard_normal((6, 3))
    inputs, output = networks.layer_inputs(arrays, x, "tanh")
    hidden = np.tanh(x @ arrays["w0"] + arrays["b0"])
    np.testing.assert_array_equal(inputs[0], x)
    np.testing.assert_allclose(inputs[1], hidden)
    np.testing.assert_allclose(output, inputs[1] @ arrays["w1"] + arrays["b1"])


@pytest.mark.parametrize("activation", ["tanh", "relu", "elu"])
def test_activations_and_their_derivatives_are_those_of_pytorch(activation):
    """Catches a derivative that belongs to another activation, and NumPy and PyTorch going different ways."""
    rng = np.random.default_rng(4)
    arrays, x = arrays_of(rng, (3, 8, 8, 2)), 2 * rng.standard_normal((20, 3))
    tensors = {name: torch.from_numpy(array).requires_grad_() for name, array in arrays.items()}
    own = getattr(torch.nn.functional, activation)
    hidden = own(torch.from_numpy(x) @ tensors["w0"] + tensors["b0"])
    output = own(hidden @ tensors["w1"] + tensors["b1"]) @ tensors["w2"] + tensors["b2"]
    (output**2).sum().backward()
    inputs, found = networks.layer_inputs(arrays, x, activation)
    np.testing.assert_allclose(found, output.detach().numpy(), rtol=1e-12)
    gradient = networks.gradient(inputs, networks.layer_errors(arrays, inputs, 2 * found, activation))
    for name, tensor in tensors.items():
        np.testing.assert_allclose(gradient[name], tensor.grad.numpy(), rtol=1e-10, atol=1e-12)
    if activation != "tanh":
        wrong = networks.gradient(inputs, networks.layer_errors(arrays, inputs, 2 * found, "tanh"))
        assert np.abs(wrong["w0"] - gradient["w0"]).max() > 0.1


@pytest.mark.parametrize("activation", ["tanh", "relu", "elu"])
def test_numpy_and_pytorch_activate_alike(activation):
    z = np.array([-800.0, -1.0, 0.0, 2.0, 800.0], np.float32)
    found = networks.activate(z, activation)
    assert found.dtype == np.float32
    np.testing.assert_allclose(networks.activate(torch.from_numpy(z), activation).numpy(), found, rtol=1e-6)


@pytest.mark.parametrize("sizes", [(7, 4, 6, 2), (4, 9, 4, 4)], ids=["narrowing", "widening"])
def test_orthogonal_weights_have_orthogonal_columns_or_rows_of_the_gains_length(sizes):
    arrays = networks.init_mlp(np.random.default_rng(0), sizes, "orthogonal", np.sqrt(2), 0.01)
    for layer, gain in enumerate((np.sqrt(2), np.sqrt(2), 0.01)):
        weight = arrays[f"w{layer}"].astype(np.float64)
        rows, columns = weight.shape
        gram = weight.T @ weight if rows >= columns else weight @ weight.T
        np.testing.assert_allclose(gram, gain**2 * np.eye(len(gram)), atol=1e-6 * gain**2)


def test_orthogonal_weights_point_in_every_direction():
    """QR alone fixes signs: the first entry would always be of one sign. 200 draws; chance of failure under 1e-8."""
    firsts = [
        networks.init_mlp(np.random.default_rng(seed), (3, 3), "orthogonal", 1.0, 1.0)["w0"][0, 0]
        for seed in range(200)
    ]
    assert 60 <= np.sum(np.array(firsts) > 0) <= 140


def test_xavier_weights_are_uniform_with_variance_two_over_fans_and_take_no_gain():
    """90,000 weights: the sample variance has a relative standard error of 0.3 %, so 2 % is 6.7 of them."""
    arrays = networks.init_mlp(np.random.default_rng(0), (300, 300, 300), "xavier", 100.0, 0.0)
    for name in ("w0", "w1"):
        weight = arrays[name]
        assert weight.var() == pytest.approx(2 / 600, rel=0.02)
        assert 0.99 * np.sqrt(6 / 600) < np.abs(weight).max() <= np.sqrt(6 / 600) * (1 + 1e-6)


@pytest.mark.parametrize("scheme", ["orthogonal", "xavier"])
def test_biases_start_at_zero_and_all_is_float32(scheme):
    arrays = networks.init_mlp(np.random.default_rng(0), (3, 4, 2), scheme, 1.0, 1.0)
    assert list(arrays) == ["w0", "b0", "w1", "b1"]
    assert all(array.dtype == np.float32 for array in arrays.values())
    assert not arrays["b0"].any() and not arrays["b1"].any()
