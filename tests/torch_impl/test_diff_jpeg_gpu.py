"""Differentiable JPEG on CUDA against its float64 twin, and libjpeg's bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reference import diff_jpeg as twin
from tests.torch_impl._coding import batch_of, images_of
from torch_impl import diff_jpeg, jpeg_roundtrip
from torch_impl.surrogates import KINDS

pytestmark = pytest.mark.gpu
DEVICE = "cuda"


@pytest.mark.parametrize("straight_through", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:4:0"])
@pytest.mark.parametrize("size", [(1, 1), (17, 19), (40, 33)])
def test_values_and_gradients_are_those_of_the_reference(size, subsampling, straight_through):
    generator = torch.Generator().manual_seed(size[0])
    images = torch.rand(2, 3, *size, generator=generator, dtype=torch.float64) * 255
    weights = torch.randn(images.shape, generator=generator, dtype=torch.float64)
    quality = np.array([21.37, 83.6])
    options = {"subsampling": subsampling, "straight_through": straight_through}
    leaf = images.to(DEVICE, copy=True).requires_grad_()
    given = torch.tensor(quality, device=DEVICE, requires_grad=True)
    coded = diff_jpeg(leaf, quality=given, **options)
    assert coded.device == leaf.device
    coded.backward(weights.to(DEVICE))
    arguments = {"quality": quality, **options}
    if not straight_through:
        expected = twin.diff_jpeg(images.numpy(), **arguments)
        # A few hundred operations on numbers of 1e3, in any order.
        np.testing.assert_allclose(coded.detach().cpu().numpy(), expected, rtol=0, atol=1e-9)
    found = twin.diff_jpeg_vjp(images.numpy(), weights.numpy(), **arguments)
    np.testing.assert_allclose(leaf.grad.cpu().numpy(), found.images, rtol=1e-8, atol=1e-8)
    size_of = max(1.0, float(np.abs(found.quality).max()))
    np.testing.assert_allclose(
        given.grad.cpu().numpy(), found.quality, rtol=1e-7, atol=1e-7 * size_of
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_straight_through_form_is_libjpeg_in_float32(kind):
    images = batch_of(images_of(3, 40, 33, count=6)).float()
    quality = torch.tensor([1.0, 30.0, 50.0, 75.0, 99.0, 100.0])
    leaf = images.to(DEVICE, copy=True).requires_grad_()
    coded = diff_jpeg(leaf, quality=quality.to(DEVICE), rounding=kind, straight_through=True)
    assert torch.equal(coded.cpu(), jpeg_roundtrip(images, quality=quality.long()))
    coded.square().sum().backward()
    assert bool(leaf.grad.isfinite().all())


def test_half_precision_and_autocast():
    images = batch_of(images_of(3, 40, 33, count=6)).float().to(DEVICE)
    expected = diff_jpeg(images, quality=30)
    with torch.autocast(DEVICE, dtype=torch.float16):
        assert torch.equal(diff_jpeg(images, quality=30), expected)
    coded = diff_jpeg(images.half(), quality=30)
    assert coded.dtype == torch.float16
    # Whole pixels are exact in half precision; the result is rounded to 11 bits.
    torch.testing.assert_close(coded.float(), expected, rtol=2**-11, atol=1e-3)
