"""The linear steps of the torch layer against the reference, in both directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference import blocks, color, sampling
from reference.standard import SUBSAMPLINGS
from tests.strategies import seeds
from torch_impl import transforms

sides = st.integers(1, 4)
factor_pairs = st.sampled_from(sorted(SUBSAMPLINGS.values()))
EPS = 2.0**-52


def planes(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-128, 128, shape)


def assert_linear_map(function, forward, adjoint, array, roundings) -> None:
    """Same values as the reference, and same gradient as the reference's adjoint."""
    x = torch.tensor(array, requires_grad=True)
    got = function(x)
    expected = forward(array)
    assert got.shape == expected.shape
    # Weights of each step sum to at most 3 in magnitude (8 for a DCT).
    tolerance = roundings * EPS * 128 * 8
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=0, atol=tolerance)
    weight = planes(1, *expected.shape)
    (gradient,) = torch.autograd.grad(got, x, torch.from_numpy(weight))
    np.testing.assert_allclose(gradient.numpy(), adjoint(weight), rtol=0, atol=tolerance)


@settings(max_examples=25)
@given(seed=seeds, height=sides, width=sides)
def test_color(seed, height, width):
    image = planes(seed, 2, 3, height, width)
    assert_linear_map(
        transforms.rgb_to_ycbcr, color.rgb_to_ycbcr, color.rgb_to_ycbcr_adjoint, image, 4
    )
    assert_linear_map(
        transforms.ycbcr_to_rgb, color.ycbcr_to_rgb, color.ycbcr_to_rgb_adjoint, image, 4
    )


@settings(max_examples=50)
@given(seed=seeds, height=sides, width=sides, factors=factor_pairs)
def test_sampling(seed, height, width, factors):
    coarse = planes(seed, 2, 2, height, width)
    assert_linear_map(
        lambda x: transforms.upsample(x, factors),
        lambda x: sampling.upsample(x, factors),
        lambda x: sampling.upsample_adjoint(x, factors),
        coarse,
        8,
    )
    fine = planes(seed, 2, 2, height * factors[0], width * factors[1])
    assert_linear_map(
        lambda x: transforms.downsample(x, factors),
        lambda x: sampling.downsample(x, factors),
        lambda x: sampling.downsample_adjoint(x, factors),
        fine,
        8,
    )


@settings(max_examples=50)
@given(
    seed=seeds, height=st.integers(1, 20), width=st.integers(1, 20), unit=st.sampled_from([8, 16])
)
def test_padding(seed, height, width, unit):
    image = planes(seed, 1, 3, height, width)
    mcu = (8, unit)
    assert_linear_map(
        lambda x: transforms.pad_to_multiple(x, *mcu),
        lambda x: blocks.pad_edges(x, mcu),
        lambda x: blocks.pad_edges_adjoint(x, (height, width)),
        image,
        # The corner gathers up to 8 x 16 gradients.
        128,
    )


def as_blocks(coefficients: Tensor) -> Tensor:
    """(N, C, H/8, 8, W/8, 8) -> (N, C, H/8, W/8, 8, 8)."""
    return coefficients.transpose(3, 4)


@settings(max_examples=25)
@given(seed=seeds, height=sides, width=sides)
def test_dct(seed, height, width):
    plane = planes(seed, 2, 3, 8 * height, 8 * width)
    assert_linear_map(
        lambda x: as_blocks(transforms.dct(x)),
        lambda x: blocks.dct2(blocks.split_blocks(x)),
        # Orthonormal: the adjoint is the inverse.
        lambda x: blocks.merge_blocks(blocks.idct2(x)),
        plane,
        16,
    )
    coefficients = planes(seed, 2, 3, height, width, 8, 8)
    assert_linear_map(
        lambda x: transforms.inverse_dct(as_blocks(x)),
        lambda x: blocks.merge_blocks(blocks.idct2(x)),
        lambda x: blocks.dct2(blocks.split_blocks(x)),
        coefficients,
        16,
    )


def test_nan_stays_in_its_block():
    plane = torch.zeros(1, 1, 24, 24)
    plane[0, 0, 9, 17] = torch.nan
    expected = torch.zeros(1, 1, 24, 24, dtype=torch.bool)
    expected[..., 8:16, 16:24] = True
    coefficients = transforms.dct(plane)
    assert torch.equal(
        as_blocks(coefficients).isnan().all(-1).all(-1)[0, 0].nonzero().squeeze(),
        torch.tensor([1, 2]),
    )
    assert torch.equal(transforms.inverse_dct(coefficients).isnan(), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    plane = torch.ones(1, 3, 16, 16, dtype=dtype)
    for result in (
        transforms.dct(plane),
        transforms.inverse_dct(transforms.dct(plane)),
        transforms.upsample(plane, (2, 2)),
        transforms.downsample(plane, (2, 2)),
        transforms.rgb_to_ycbcr(plane),
        transforms.ycbcr_to_rgb(plane),
    ):
        assert result.dtype == dtype
        assert torch.isfinite(result).all()
