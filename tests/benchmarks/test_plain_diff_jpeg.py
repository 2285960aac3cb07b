"""The plain differentiable JPEG must be right: a fast wrong rival makes everything look slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.plain_diff_jpeg import plain_diff_jpeg
from reference.diff_jpeg import diff_jpeg, diff_jpeg_vjp


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:4:0"])
@pytest.mark.parametrize("size", [(16, 48), (48, 64)])
def test_value_and_gradients_are_those_of_the_reference(
    subsampling: str, size: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(3, 3, *size, generator=generator, dtype=torch.float64) * 255
    weights = torch.randn(images.shape, generator=generator, dtype=torch.float64)
    # None of them makes a table that is a whole number plus a half: rounding is the same both ways.
    quality = torch.tensor([7.3, 41.9, 93.7], dtype=torch.float64)
    leaves = images.clone().requires_grad_(), quality.clone().requires_grad_()
    coded = plain_diff_jpeg(*leaves, subsampling=subsampling)
    coded.backward(weights)
    options: dict[str, Any] = {"quality": quality.numpy(), "subsampling": subsampling}
    expected = diff_jpeg(images.numpy(), **options)
    # A few hundred operations on numbers of 1e3.
    np.testing.assert_allclose(coded.detach().numpy(), expected, rtol=0, atol=1e-9)
    found = diff_jpeg_vjp(images.numpy(), weights.numpy(), **options)
    assert leaves[0].grad is not None
    assert leaves[1].grad is not None
    np.testing.assert_allclose(leaves[0].grad.numpy(), found.images, rtol=0, atol=1e-9)
    assert found.quality is not None
    np.testing.assert_allclose(leaves[1].grad.numpy(), found.quality, rtol=1e-8)


@pytest.mark.parametrize(("size", "subsampling"), [((8, 16), "4:2:0"), ((16, 12), "4:4:4")])
def test_sides_that_are_not_whole_are_refused(size: tuple[int, int], subsampling: str) -> None:
    with pytest.raises(ValueError, match="sides must be whole MCUs"):
        plain_diff_jpeg(torch.zeros(1, 3, *size), torch.ones(1), subsampling=subsampling)
