"""The integer codec on CUDA: the same bits as on the CPU."""

from __future__ import annotations

import math

import pytest
import torch

from tests.torch_impl._coding import batch_of, images_of
from torch_impl import jpeg_coefficients, jpeg_roundtrip

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:4:0"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (40, 33), (224, 224)])
@pytest.mark.parametrize("grey", [False, True])
def test_the_bits_are_those_of_the_cpu(size, subsampling, grey):
    images = batch_of(images_of(3, *size, count=6, grey=grey))
    qualities = torch.tensor([1, 30, 75, 90, 99, 100])
    options = {"quality": qualities, "subsampling": subsampling}
    coded = jpeg_roundtrip(images.cuda(), **options)
    assert coded.is_cuda
    assert torch.equal(coded.cpu(), jpeg_roundtrip(images, **options))
    found = jpeg_coefficients(images.cuda(), **options)
    for one, expected in zip(found, jpeg_coefficients(images, **options), strict=True):
        assert torch.equal(one.cpu(), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_floating_point_is_rounded_as_on_the_cpu(dtype):
    generator = torch.Generator().manual_seed(0)
    images = (300 * torch.rand(3, 3, 30, 21, generator=generator) - 20).mul(2).round().div(2)
    images = images.to(dtype)
    expected = jpeg_roundtrip(images, quality=95)
    assert torch.equal(jpeg_roundtrip(images.cuda(), quality=95).cpu(), expected)


def test_tables_on_either_device():
    images = batch_of(images_of(1, 20, 20))
    tables = torch.arange(1, 129).view(2, 8, 8)
    expected = jpeg_roundtrip(images, qtables=tables)
    for given in (tables, tables.cuda()):
        assert torch.equal(jpeg_roundtrip(images.cuda(), qtables=given).cpu(), expected)
    assert torch.equal(jpeg_roundtrip(images, qtables=tables.cuda()), expected)


def test_values_that_are_not_finite_are_refused():
    images = torch.full((1, 3, 8, 8), math.nan, device="cuda")
    with pytest.raises(ValueError, match="images must be finite"):
        jpeg_roundtrip(images)
