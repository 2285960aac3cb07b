"""The learnable resizer against a plain NumPy twin, its gradients, identity; wrong input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.strategies import seeds
from torch_impl import MULLER_RESNET50_BIASES, MULLER_RESNET50_WEIGHTS, MullerResizer

Array = NDArray[np.float64]
PUBLISHED = {"weights": MULLER_RESNET50_WEIGHTS, "biases": MULLER_RESNET50_BIASES}


def interpolation(size: int, target: int) -> Array:
    """Matrix of bilinear resizing with half-pixel centres, edges repeated, no antialiasing."""
    matrix = np.zeros((target, size))
    for row in range(target):
        position = min(max((row + 0.5) * size / target - 0.5, 0), size - 1)
        left = int(position)
        matrix[row, left] += 1 - (position - left)
        matrix[row, min(left + 1, size - 1)] += position - left
    return matrix


def blur(size: int, kernel_size: int, sigma: float) -> Array:
    """Matrix of a Gaussian filter with zeros beyond the edge."""
    distance = np.arange(size)[:, None] - np.arange(size)
    reach = np.arange(-(kernel_size // 2), kernel_size // 2 + 1)
    bell = np.where(
        np.abs(distance) <= kernel_size // 2, np.exp(-(distance**2) / (2 * sigma**2)), 0
    )
    return bell / np.exp(-(reach**2) / (2 * sigma**2)).sum()


def twin(
    image: Array,
    size: tuple[int, int],
    weights: Any,
    biases: Any,
    *,
    kernel_size: int = 5,
    sigma: float = 1.0,
) -> Array:
    """MULLER by matrices: rows from the left, columns from the right."""
    height, width = image.shape[2:]
    up, across = interpolation(height, size[0]), interpolation(width, size[1]).T
    rows, columns = blur(height, kernel_size, sigma), blur(width, kernel_size, sigma).T
    x = image / 255
    y = up @ x @ across
    for w, b in zip(weights, biases, strict=True):
        smooth = rows @ x @ columns
        y = y + np.tanh(w * (up @ (smooth - x) @ across) + b)
        x = smooth
    return 255 * y


@given(data=st.data(), seed=seeds, dtype=st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=60, deadline=None)
def test_resizer_is_its_numpy_twin(data: st.DataObject, seed: int, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(seed)
    extent = st.integers(1, 17)
    shape = (data.draw(st.integers(1, 2)), 3, data.draw(extent), data.draw(extent))
    size = (data.draw(extent), data.draw(extent))
    layers = data.draw(st.integers(1, 3))
    kernel = {
        "kernel_size": data.draw(st.sampled_from([1, 3, 5, 7])),
        "sigma": data.draw(st.sampled_from([0.5, 1.0, 2.0])),
    }
    image = torch.from_numpy(rng.uniform(0, 255, shape)).to(dtype)
    weights, biases = rng.normal(0, 6, layers), rng.normal(0, 0.5, layers)
    resizer = MullerResizer(size, layers=layers, weights=weights, biases=biases, **kernel).double()
    with torch.no_grad():  # as the twin has them, not rounded to float32
        resizer.weight.copy_(torch.from_numpy(weights))
        resizer.bias.copy_(torch.from_numpy(biases))
    expected = twin(image.double().numpy(), size, weights, biases, **kernel)
    result = resizer.to(dtype)(image)
    assert result.dtype == dtype
    # In eps of the full range: each pass of a filter rounds the weights, k products and as many
    # sums, so layer l has a band wrong by 2 l (k + 2), and |w| multiplies it. A resizing has
    # positions wrong by three roundings of at most 17 along each axis, and a few more roundings.
    # Largest seen in 2000 draws: 10 % of it.
    resizing = 3 * (shape[2] + shape[3]) + 6
    bands = 2 * (kernel["kernel_size"] + 2) * np.arange(1, layers + 1) + resizing
    units = resizing + bands @ np.abs(weights) + 2 * layers
    tolerance = units * torch.finfo(dtype).eps * 255
    np.testing.assert_allclose(result.detach().double(), expected, rtol=0, atol=tolerance)


def test_published_parameters_boost_the_second_band_and_weaken_the_first() -> None:
    resizer = MullerResizer(**PUBLISHED)
    assert resizer.weight.tolist() == pytest.approx([1.892, -11.295])
    assert resizer.bias.tolist() == pytest.approx([-0.014, 0.003])
    position = torch.arange(64.0)

    def gain(period: float) -> float:
        wave = (2 * torch.pi * position / period).cos().expand(1, 3, 64, 64)
        inner = slice(16, 48)
        moved = resizer(128 + wave) - resizer(torch.full((1, 3, 64, 64), 128.0))
        return (moved[..., inner, inner].std() / wave[..., inner, inner].std()).item()

    # 1 - w1 (1 - g) - w2 (g - g^2) with g the response of the filter: 0.02 at period 2, 0.59 at
    # 6, 0.88 at 12 (columns are constant here, so the filter acts along rows alone).
    for period in (2.0, 6.0, 12.0):
        kernel = np.exp(-(np.arange(-2, 3) ** 2) / 2)
        g = (kernel * np.cos(2 * np.pi * np.arange(-2, 3) / period)).sum() / kernel.sum()
        expected = 1 - 1.892 * (1 - g) + 11.295 * (g - g * g)
        # tanh bends: third order in 11.3 * 0.17 / 255, and the slope at the biases; below 1e-3.
        assert gain(period) == pytest.approx(abs(expected), abs=2e-3)
    assert gain(6.0) > 2
    assert gain(2.0) < 0.6


def test_new_resizer_is_bilinear_resizing_and_without_a_size_the_identity() -> None:
    image = 255 * torch.rand(2, 3, 19, 24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(MullerResizer()(image), image)
    assert torch.equal(MullerResizer((19, 24))(image), image)
    resized = MullerResizer(16)(image).detach().double()
    up, across = interpolation(19, 16), interpolation(24, 16).T
    # Four products of at most 255 and their sums in float32.
    np.testing.assert_allclose(resized, up @ image.double().numpy() @ across, rtol=0, atol=2e-4)


def test_gradients_by_differences_in_double_precision() -> None:
    generator = torch.Generator().manual_seed(1)
    image = 255 * torch.rand(1, 3, 5, 6, generator=generator, dtype=torch.float64)
    resizer = MullerResizer((4, 3), **PUBLISHED).double()

    def function(image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        parameters = {"weight": weight, "bias": bias}
        return torch.func.functional_call(resizer, parameters, (image,))

    inputs = (image, resizer.weight.detach().clone(), resizer.bias.detach().clone())
    assert torch.autograd.gradcheck(function, tuple(x.requires_grad_() for x in inputs))


def test_a_new_resizer_learns_from_the_first_step() -> None:
    generator = torch.Generator().manual_seed(2)
    image = 255 * torch.rand(4, 3, 16, 16, generator=generator)
    target = MullerResizer(8, weights=(0.5, -0.8), biases=(0.02, -0.01))(image).detach()
    resizer = MullerResizer(8)
    optimizer = torch.optim.Adam(resizer.parameters(), lr=0.05)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = (resizer(image) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # Measured: 4e-6 of it.
    assert losses[-1] < 1e-3 * losses[0]


def test_half_precision_and_autocast_compute_in_single_precision() -> None:
    image = 255 * torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(3))
    resizer = MullerResizer((9, 10), **PUBLISHED)
    with torch.autocast("cpu", torch.bfloat16):
        inside = resizer(image)
    assert torch.equal(inside, resizer(image))
    half = image.half()
    assert torch.equal(resizer(half), resizer(half.float()).half())


def test_state_is_one_weight_and_one_bias_per_layer() -> None:
    resizer = MullerResizer(8, layers=3, weights=(1, 2, 3))
    state = resizer.state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        "weight": (3,),
        "bias": (3,),
    }
    other = MullerResizer(8, layers=3)
    other.load_state_dict(state)
    assert other.weight.tolist() == [1, 2, 3]
    assert repr(resizer) == "MullerResizer(size=(8, 8), layers=3, kernel_size=5, sigma=1.0)"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": (1, 2, 3)}, ValueError, r"size must be one number or \(height, width\)"),
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"size": 8.5}, TypeError, "size must be an integer, got 8.5"),
        ({"layers": 0}, ValueError, "layers must be at least 1, got 0"),
        ({"kernel_size": 2}, ValueError, "kernel_size must be odd"),
        ({"sigma": -1.0}, ValueError, "sigma must be positive"),
        ({"weights": (1.0,)}, ValueError, "weights must hold one number for each of the 2 layers"),
        ({"biases": (1.0, float("inf"))}, ValueError, "biases must be finite"),
    ],
)
def test_wrong_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MullerResizer(**options)


def test_wrong_images() -> None:
    with pytest.raises(TypeError, match="image must be floating point"):
        MullerResizer()(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="image must be RGB"):
        MullerResizer()(torch.zeros(1, 1, 8, 8))
