"""Colour conversion: inverses, adjoints, the printed formulas, and what each colour becomes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.color import (
    rgb_to_ycbcr,
    rgb_to_ycbcr_adjoint,
    ycbcr_to_rgb,
    ycbcr_to_rgb_adjoint,
)

seeds = st.integers(0, 2**32 - 1)
# Three products of numbers up to 255 x 1.8 and their sum: 4 eps of 460, doubled for the round trip.
ROUND_TRIP_ATOL = 1e-12


@given(seed=seeds, lead=st.sampled_from([(), (1,), (2, 3)]))
def test_there_and_back(seed, lead):
    image = np.random.default_rng(seed).uniform(0, 255, (*lead, 3, 5, 4))
    np.testing.assert_allclose(
        ycbcr_to_rgb(rgb_to_ycbcr(image)), image, rtol=0, atol=ROUND_TRIP_ATOL
    )


@given(seed=seeds)
def test_the_printed_formulas(seed):
    r, g, b = rgb = np.random.default_rng(seed).uniform(0, 255, (3, 4, 4))
    y, cb, cr = rgb_to_ycbcr(rgb)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    np.testing.assert_allclose(y, luma, rtol=1e-14)
    np.testing.assert_allclose(cb, (b - luma) / 1.772, rtol=0, atol=ROUND_TRIP_ATOL)
    np.testing.assert_allclose(cr, (r - luma) / 1.402, rtol=0, atol=ROUND_TRIP_ATOL)
    back = ycbcr_to_rgb([y, cb, cr])
    # T.871 prints 0.344136 and 0.714136: half a unit of the last digit times 128.
    np.testing.assert_allclose(back[0], y + 1.402 * cr, rtol=0, atol=ROUND_TRIP_ATOL)
    np.testing.assert_allclose(back[1], y - 0.344136 * cb - 0.714136 * cr, rtol=0, atol=1.3e-4)
    np.testing.assert_allclose(back[2], y + 1.772 * cb, rtol=0, atol=ROUND_TRIP_ATOL)


def test_grey_has_no_chroma_and_primaries_reach_the_ends():
    grey = np.full((3, 1, 1), 77.0)
    np.testing.assert_allclose(rgb_to_ycbcr(grey).ravel(), [77, 0, 0], rtol=0, atol=ROUND_TRIP_ATOL)
    blue, red = np.zeros((2, 3, 1, 1))
    blue[2], red[0] = 255, 255
    assert rgb_to_ycbcr(blue)[1].item() == 127.5
    assert rgb_to_ycbcr(red)[2].item() == 127.5


@pytest.mark.parametrize(
    ("function", "adjoint"),
    [(rgb_to_ycbcr, rgb_to_ycbcr_adjoint), (ycbcr_to_rgb, ycbcr_to_rgb_adjoint)],
)
@given(seed=seeds)
def test_adjoints(function, adjoint, seed):
    x, y = np.random.default_rng(seed).normal(size=(2, 2, 3, 4, 5))
    # <A x, y> = <x, A^T y>, up to the rounding of 360 products of order 1.
    assert np.vdot(function(x), y) == pytest.approx(np.vdot(x, adjoint(y)), rel=0, abs=1e-12)


@pytest.mark.parametrize(
    "function", [rgb_to_ycbcr, ycbcr_to_rgb, rgb_to_ycbcr_adjoint, ycbcr_to_rgb_adjoint]
)
def test_nan_stays_in_its_pixel(function):
    image = np.ones((3, 4, 4))
    image[1, 2, 3] = np.nan
    expected = np.zeros((3, 4, 4), dtype=bool)
    expected[:, 2, 3] = True
    np.testing.assert_array_equal(np.isnan(function(image)), expected)


@pytest.mark.parametrize(
    "function", [rgb_to_ycbcr, ycbcr_to_rgb, rgb_to_ycbcr_adjoint, ycbcr_to_rgb_adjoint]
)
@pytest.mark.parametrize("shape", [(3, 4), (1, 4, 4), (4, 4, 3), (2, 4, 8, 8)])
def test_three_channels_are_needed(function, shape):
    with pytest.raises(ValueError, match=r"image must have shape \(\.\.\., 3, H, W\)"):
        function(np.zeros(shape))
