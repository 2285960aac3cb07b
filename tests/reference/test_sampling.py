"""Chroma sampling: against the definition, against torch, and adjointness."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reference.sampling import downsample, downsample_adjoint, upsample, upsample_adjoint
from reference.standard import SUBSAMPLINGS

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 9)
factor_pairs = st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)])


def interpolated(plane: np.ndarray, factors: tuple[int, int]) -> np.ndarray:
    """Bilinear interpolation straight from its definition, one sample at a time."""
    height, width = plane.shape
    result = np.empty((height * factors[0], width * factors[1]))
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            y = (row + 0.5) / factors[0] - 0.5
            x = (column + 0.5) / factors[1] - 0.5
            total = 0.0
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(x), math.floor(x) + 1):
                    weight = (1 - abs(y - i)) * (1 - abs(x - j))
                    i_edge, j_edge = min(max(i, 0), height - 1), min(max(j, 0), width - 1)
                    total += weight * plane[i_edge, j_edge]
            result[row, column] = total
    return result


@given(seed=seeds, height=sides, width=sides, factors=factor_pairs)
def test_upsampling_is_bilinear_with_half_pixel_centres(seed, height, width, factors):
    plane = np.random.default_rng(seed).uniform(-128, 128, (height, width))
    ours = upsample(plane, factors)
    # Weights are multiples of 1/16, so only sums round: a few eps of 128.
    np.testing.assert_allclose(ours, interpolated(plane, factors), rtol=0, atol=1e-13)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(plane)[None, None],
        scale_factor=tuple(float(factor) for factor in factors),
        mode="bilinear",
        align_corners=False,
    )
    np.testing.assert_allclose(ours, theirs[0, 0].numpy(), rtol=0, atol=1e-13)


@given(seed=seeds, height=sides, width=sides, factors=factor_pairs)
def test_downsampling_is_the_mean_of_each_cell(seed, height, width, factors):
    v, h = factors
    plane = np.random.default_rng(seed).uniform(-128, 128, (2, height * v, width * h))
    ours = downsample(plane, factors)
    for i in range(height):
        for j in range(width):
            cell = plane[:, v * i : v * i + v, h * j : h * j + h]
            np.testing.assert_allclose(ours[:, i, j], cell.mean(axis=(1, 2)), rtol=0, atol=1e-13)


@given(seed=seeds, height=sides, width=sides, factors=factor_pairs)
def test_adjoints(seed, height, width, factors):
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(3, height, width))
    fine = rng.normal(size=(3, height * factors[0], width * factors[1]))
    # <A x, y> = <x, A^T y>, up to the rounding of a thousand products of order 1.
    assert np.vdot(upsample(coarse, factors), fine) == pytest.approx(
        np.vdot(coarse, upsample_adjoint(fine, factors)), rel=0, abs=1e-12
    )
    assert np.vdot(downsample(fine, factors), coarse) == pytest.approx(
        np.vdot(fine, downsample_adjoint(coarse, factors)), rel=0, abs=1e-12
    )


@given(factors=factor_pairs, value=st.floats(-128, 128), height=sides, width=sides)
def test_a_constant_survives_both(factors, value, height, width):
    plane = np.full((height * factors[0], width * factors[1]), value)
    # 3/4 v + 1/4 v rounds twice.
    np.testing.assert_allclose(
        upsample(downsample(plane, factors), factors), plane, rtol=1e-15, atol=0
    )


def test_full_resolution_is_left_alone():
    plane = np.random.default_rng(0).normal(size=(3, 5))
    for function in (downsample, upsample, downsample_adjoint, upsample_adjoint):
        np.testing.assert_array_equal(function(plane, SUBSAMPLINGS["4:4:4"]), plane)


def test_nan_reaches_one_sample_beyond_its_cell_and_no_further():
    plane = np.zeros((6, 6))
    plane[2, 3] = np.nan
    expected = np.zeros((12, 12), dtype=bool)
    expected[3:7, 5:9] = True
    np.testing.assert_array_equal(np.isnan(upsample(plane, (2, 2))), expected)
    coarse = np.isnan(downsample(np.where(expected, np.nan, 0.0), (2, 2)))
    np.testing.assert_array_equal(np.argwhere(coarse).min(axis=0), [1, 2])
    np.testing.assert_array_equal(np.argwhere(coarse).max(axis=0), [3, 4])


@pytest.mark.parametrize("function", [downsample, upsample, downsample_adjoint, upsample_adjoint])
@pytest.mark.parametrize("factors", [(0, 1), (4, 1), (1, 3), (2,), (1, 1, 1), (2.5, 1)])
def test_factors_are_one_or_two(function, factors):
    with pytest.raises(ValueError, match=r"factors must be \(vertical, horizontal\)"):
        function(np.zeros((12, 12)), factors)


@pytest.mark.parametrize("function", [downsample, upsample, downsample_adjoint, upsample_adjoint])
@pytest.mark.parametrize("shape", [(4,), (), (0, 4), (4, 0)])
def test_planes_need_two_axes_with_something_in_them(function, shape):
    with pytest.raises(ValueError, match=r"must have shape \(\.\.\., H, W\)"):
        function(np.zeros(shape), (1, 1))


@pytest.mark.parametrize("function", [downsample, upsample_adjoint])
@pytest.mark.parametrize(("shape", "factors"), [((3, 4), (2, 1)), ((4, 3), (1, 2))])
def test_factors_must_divide_the_sides(function, shape, factors):
    with pytest.raises(ValueError, match="divide"):
        function(np.zeros(shape), factors)
