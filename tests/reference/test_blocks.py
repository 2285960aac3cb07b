"""Blocks, DCT, zigzag and padding: against SciPy, and by their algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import fft

from reference.blocks import (
    dct2,
    from_zigzag,
    idct2,
    merge_blocks,
    pad_edges,
    pad_edges_adjoint,
    split_blocks,
    to_zigzag,
)

seeds = st.integers(0, 2**32 - 1)
# Coefficients of samples in [-128, 128] reach 1024; 1e-12 is 4 eps of that, and what sixteen
# rounded products and sums leave (measured: 6e-13).
COEFFICIENT_ATOL = 1e-12


@given(seed=seeds, lead=st.sampled_from([(), (3,), (2, 3)]))
def test_dct_is_scipys_orthonormal_dct_of_each_block(seed, lead):
    blocks = np.random.default_rng(seed).uniform(-128, 128, (*lead, 2, 1, 8, 8))
    expected = fft.dctn(blocks, norm="ortho", axes=(-2, -1))
    np.testing.assert_allclose(dct2(blocks), expected, rtol=0, atol=COEFFICIENT_ATOL)
    np.testing.assert_allclose(idct2(expected), blocks, rtol=0, atol=COEFFICIENT_ATOL)


def test_dc_is_eight_times_the_mean():
    coefficients = dct2(np.full((8, 8), 100.0))
    expected = np.zeros((8, 8))
    expected[0, 0] = 800
    np.testing.assert_allclose(coefficients, expected, rtol=0, atol=COEFFICIENT_ATOL)


@given(seed=seeds, down=st.integers(1, 4), across=st.integers(1, 4))
def test_blocks_are_the_tiles_of_the_plane(seed, down, across):
    plane = np.random.default_rng(seed).normal(size=(2, 8 * down, 8 * across))
    blocks = split_blocks(plane)
    for i in range(down):
        for j in range(across):
            tile = plane[:, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8]
            np.testing.assert_array_equal(blocks[:, i, j], tile)
    np.testing.assert_array_equal(merge_blocks(blocks), plane)


def test_zigzag_goes_out_and_comes_back():
    table = np.arange(128.0).reshape(2, 8, 8)
    sequence = to_zigzag(table)
    # T.81 Figure A.6: right, down-left, down, up-right twice, ...
    np.testing.assert_array_equal(sequence[0, :10], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24])
    np.testing.assert_array_equal(sequence[1, -4:], 64 + np.array([47, 55, 62, 63]))
    np.testing.assert_array_equal(from_zigzag(sequence), table)


def test_nan_stays_in_its_block():
    plane = np.ones((24, 16))
    plane[9, 10] = np.nan
    image = merge_blocks(idct2(dct2(split_blocks(plane))))
    expected = np.zeros((24, 16), dtype=bool)
    expected[8:16, 8:16] = True
    np.testing.assert_array_equal(np.isnan(image), expected)


@given(
    seed=seeds,
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    multiples=st.sampled_from([(8, 8), (8, 16), (16, 16)]),
)
def test_padding_repeats_the_edges_and_its_adjoint_collects_them(seed, shape, multiples):
    rng = np.random.default_rng(seed)
    plane = rng.normal(size=(2, *shape))
    padded = pad_edges(plane, multiples)
    extra = [-size % multiple for size, multiple in zip(shape, multiples, strict=True)]
    expected = np.pad(plane, ((0, 0), (0, extra[0]), (0, extra[1])), mode="edge")
    np.testing.assert_array_equal(padded, expected)
    gradient = rng.normal(size=padded.shape)
    # <A x, y> = <x, A^T y>, up to the rounding of a few thousand products of order 1.
    assert np.vdot(padded, gradient) == pytest.approx(
        np.vdot(plane, pad_edges_adjoint(gradient, shape)), rel=0, abs=1e-11
    )


@pytest.mark.parametrize("shape", [(7, 8), (8, 12), (1, 1)])
def test_splitting_needs_whole_blocks(shape):
    with pytest.raises(ValueError, match=r"sides that 8 divides.*pad_edges"):
        split_blocks(np.zeros(shape))


@pytest.mark.parametrize("shape", [(8,), (), (0, 8), (8, 0)])
@pytest.mark.parametrize("function", [split_blocks, lambda plane: pad_edges(plane, (8, 8))])
def test_planes_need_two_axes_with_something_in_them(function, shape):
    with pytest.raises(ValueError, match=r"plane must have shape \(\.\.\., H, W\)"):
        function(np.zeros(shape))


@pytest.mark.parametrize("function", [dct2, idct2, to_zigzag, merge_blocks])
@pytest.mark.parametrize("shape", [(8,), (8, 7), (64,), (4, 4)])
def test_blocks_must_be_eight_by_eight(function, shape):
    with pytest.raises(ValueError, match=r"blocks must have shape \(\.\.\., 8, 8\)"):
        function(np.zeros(shape))


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8)])
def test_merging_needs_a_grid_of_blocks(shape):
    with pytest.raises(ValueError, match=r"H/8, W/8, 8, 8"):
        merge_blocks(np.zeros(shape))


@pytest.mark.parametrize("shape", [(), (63,), (64, 1)])
def test_zigzag_sequences_have_64_entries(shape):
    with pytest.raises(ValueError, match="sequence must have 64 entries"):
        from_zigzag(np.zeros(shape))


@pytest.mark.parametrize("shape", [(0, 4), (9, 8), (8, 9)])
def test_padding_adjoint_needs_a_shape_that_fits(shape):
    with pytest.raises(ValueError, match="shape must lie within the padded plane"):
        pad_edges_adjoint(np.zeros((8, 8)), shape)
