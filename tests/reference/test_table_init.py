"""Initial tables in NumPy: closed forms, Parseval, and the two rules of the paper."""

from __future__ import annotations

import numpy as np
import pytest

from reference import (
    mean_absolute_coefficients,
    sensitivity_from_gradients,
    tables_from_coefficients,
    tables_from_sensitivity,
)
from reference.standard import DCT_MATRIX, YCBCR_TO_RGB


def test_sensitivity_of_one_wave():
    # A gradient that is one wave of one component, on two blocks of one image of two.
    wave = np.outer(DCT_MATRIX[2], DCT_MATRIX[5])
    gradient = np.zeros((2, 3, 8, 16))
    gradient[0, :, :, :8] = 3 * wave
    gradient[0, :, :, 8:] = -4 * wave
    expected = np.zeros((3, 8, 8))
    # d RGB / d(Y, Cb, Cr) summed over R, G and B; 3^2 + 4^2, over two images.
    expected[:, 2, 5] = YCBCR_TO_RGB.sum(axis=0) ** 2 * 25 / 2
    np.testing.assert_allclose(sensitivity_from_gradients(gradient), expected, atol=1e-12)


@pytest.mark.parametrize("size", [(16, 24), (13, 9)])
def test_parseval(size):
    # The DCT is orthonormal and what fills up the last blocks has no influence.
    gradient = np.random.default_rng(0).normal(size=(4, 3, *size))
    ycbcr = np.einsum("ij,nihw->njhw", YCBCR_TO_RGB, gradient)
    expected = (ycbcr**2).sum(axis=(2, 3)).mean(axis=0)
    sums = sensitivity_from_gradients(gradient).sum(axis=(1, 2))
    np.testing.assert_allclose(sums, expected, rtol=1e-12)


def test_tables_from_sensitivity():
    s = np.random.default_rng(1).uniform(0.1, 3, (3, 8, 8))
    s[1:] /= 10  # the largest step is a chroma one
    luma, chroma = tables_from_sensitivity(s, q_max=7.0)
    assert luma.max() == pytest.approx(7.0, rel=1e-15)
    factor = luma * s[0]
    np.testing.assert_allclose(factor, factor[0, 0], rtol=1e-14)
    np.testing.assert_allclose(chroma * (s[1] + s[2]) / 2, factor[0, 0], rtol=1e-14)
    # A common factor of all sensitivities does not matter.
    np.testing.assert_allclose(tables_from_sensitivity(9 * s, q_max=7.0)[1], chroma, rtol=1e-14)


def test_mean_absolute_coefficients_of_flat_images():
    images = np.stack([np.full((3, 8, 16), 100.0), np.full((3, 8, 16), 188.0)])
    means = mean_absolute_coefficients(images)
    expected = np.zeros((3, 8, 8))
    expected[0, 0, 0] = 8 * (28 + 60) / 2
    np.testing.assert_allclose(means, expected, atol=1e-10)


def test_tables_from_coefficients():
    means = np.random.default_rng(2).uniform(1, 9, (3, 8, 8))
    luma, chroma = tables_from_coefficients(means, bits=9)
    np.testing.assert_allclose(luma, 2 * means[0] / 16, rtol=1e-15)
    np.testing.assert_allclose(chroma, (means[1] + means[2]) / 16, rtol=1e-15)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sensitivity_from_gradients(np.zeros((3, 8, 8))), ValueError, "gradient must"),
        (lambda: mean_absolute_coefficients(np.zeros((1, 1, 8, 8))), ValueError, "image must"),
        (lambda: tables_from_sensitivity(np.ones((2, 8, 8))), ValueError, "sensitivity must have"),
        (lambda: tables_from_sensitivity(np.zeros((3, 8, 8))), ValueError, "must be positive"),
        (lambda: tables_from_coefficients(np.ones((8, 8)), bits=8), ValueError, "means must have"),
        (lambda: tables_from_coefficients(np.ones((3, 8, 8)), bits=0), ValueError, "at least 1"),
        (lambda: tables_from_coefficients(np.ones((3, 8, 8)), bits=8.5), TypeError, "integer"),
    ],
)
def test_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
