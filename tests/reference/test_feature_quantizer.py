"""The reference of the layer replacement: the layer for images, differences, wrong input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference import (
    feature_quantizer,
    feature_quantizer_vjp,
    jpeg_layer,
    jpeg_layer_vjp,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)
from reference.color import ycbcr_to_rgb_adjoint


def test_it_is_the_layer_for_images_without_colour_and_shift():
    # The components of a picture, shifted by hand, as three feature maps with the tables of theirs.
    rng = np.random.default_rng(3)
    image = rng.uniform(0, 255, (2, 3, 19, 10))
    tables, alphas = rng.uniform(4, 20, (2, 8, 8)), rng.uniform(0.01, 0.1, (2, 8, 8))
    components = [0, 1, 1]
    support = {"max_level": 31, "window": None}
    got = feature_quantizer(
        rgb_to_ycbcr(image - 128), tables[components], alphas[components], **support
    )
    want = jpeg_layer(image, tables, alphas, **support)
    # Rounding of coefficients up to 1024, 2e-13, steepened by at most h / 2 = 20 at a tie and added
    # up over a block.
    np.testing.assert_allclose(ycbcr_to_rgb(got) + 128, want, rtol=0, atol=1e-9)
    # Gradients with respect to the tables: of luma alike, of chroma the sum over Cb and Cr.
    weight = rng.normal(size=image.shape)
    grads = jpeg_layer_vjp(image, tables, alphas, weight, **support)
    adjoint = ycbcr_to_rgb_adjoint(weight)
    ours = feature_quantizer_vjp(
        rgb_to_ycbcr(image - 128), tables[components], alphas[components], adjoint, **support
    )
    for table, whole in ((ours.q, grads.q), (ours.alpha, grads.alpha)):
        scale = np.abs(whole).max()
        np.testing.assert_allclose(table[0], whole[0], rtol=0, atol=1e-9 * scale)
        np.testing.assert_allclose(table[1] + table[2], whole[1], rtol=0, atol=1e-9 * scale)


def test_the_reference_by_differences():
    # Central differences, step 1e-5: off by 1e-10 / 6 times third derivatives of up to 50.
    rng = np.random.default_rng(1)
    x, q, alpha = rng.normal(size=(1, 2, 9, 10)), np.full((2, 8, 8), 0.9), np.full((2, 8, 8), 2.0)
    weight, s = rng.normal(size=x.shape), 1e-5
    grads = feature_quantizer_vjp(x, q, alpha, weight, max_level=31)

    def loss(*arrays: Any) -> float:
        return float((weight * feature_quantizer(*arrays, max_level=31)).sum())

    for which, grad in enumerate(grads):
        direction = rng.normal(size=grad.shape)
        plus, minus = (
            [a + sign * s * direction if i == which else a for i, a in enumerate((x, q, alpha))]
            for sign in (1, -1)
        )
        slope = (loss(*plus) - loss(*minus)) / (2 * s)
        assert slope == pytest.approx((grad * direction).sum(), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("features", "q", "error", "message"),
    [
        ([[1.0]], np.ones((1, 8, 8)), TypeError, "features must be a NumPy array of floats"),
        (np.ones((1, 1, 8, 8), int), np.ones((1, 8, 8)), TypeError, "got int64"),
        (np.ones((1, 8, 8)), np.ones((1, 8, 8)), ValueError, r"shape \(N, C, H, W\)"),
        (np.ones((1, 2, 8, 8)), np.ones((1, 8, 8)), ValueError, r"q must have shape \(2, 8, 8\)"),
        (np.ones((1, 1, 8, 8)), np.zeros((1, 8, 8)), ValueError, "q must be positive"),
    ],
)
def test_wrong_input_to_the_reference(features, q, error, message):
    with pytest.raises(error, match=message):
        feature_quantizer(features, q, q, max_level=31)


def test_wrong_weights_for_the_reference():
    table = np.ones((1, 8, 8))
    with pytest.raises(ValueError, match="grad_output must have the shape of the features"):
        feature_quantizer_vjp(
            np.ones((1, 1, 8, 8)), table, table, np.ones((1, 1, 8, 9)), max_level=3
        )
    with pytest.raises(ValueError, match="max_level must be at least 1"):
        feature_quantizer(np.ones((1, 1, 8, 8)), table, table, max_level=0)
