"""The twin of the authors' code: against the reference layer, differences, and by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from reference import jpeg_dl_code as module
from reference import jpeg_layer, jpeg_layer_vjp
from reference.jpeg_dl_code import jpeg_dl_code, jpeg_dl_code_vjp, quantize_code_partials
from tests.reference._naive_layer import draw_case


@pytest.mark.parametrize("bits", [3, 5, 8])
@pytest.mark.parametrize("rounds", [None, 2])
def test_without_offset_and_padding_it_is_the_reference_layer(bits, rounds, monkeypatch):
    # Random coefficients meet no tie, so half-to-even and half-up agree.
    monkeypatch.setattr(module, "CHROMA_OFFSET", 0.0)
    image, q, alpha, weight = draw_case(bits, (2, 16, 24), rounds)
    support = {"max_level": 2 ** (bits - 1) - 1, "window": 5}
    # Values up to 1e3 in float64, gradients up to 1e5.
    np.testing.assert_allclose(
        jpeg_dl_code(image, q, alpha, bits=bits),
        jpeg_layer(image, q, alpha, **support),
        atol=1e-9,
    )
    ours = jpeg_dl_code_vjp(image, q, alpha, weight, bits=bits)
    theirs = jpeg_layer_vjp(image, q, alpha, weight, **support)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-7)


def test_gradients_are_those_of_differences():
    image, q, alpha, weight = draw_case(1, (1, 9, 13), 2)
    alpha = np.minimum(alpha, 2 / q**2)  # smooth enough for differences
    grads = jpeg_dl_code_vjp(image, q, alpha, weight, bits=6)
    rng = np.random.default_rng(0)
    for index, grad in enumerate(grads):
        arguments = [image, q, alpha]
        direction = rng.normal(size=grad.shape) * (alpha if index == 2 else 1)
        step = 1e-6

        def loss(sign, index=index, direction=direction, arguments=arguments):
            moved = list(arguments)
            moved[index] = moved[index] + sign * 1e-6 * direction
            return float((jpeg_dl_code(*moved, bits=6) * weight).sum())

        slope = (loss(1) - loss(-1)) / (2 * step)
        # Rounding of a loss of 1e4 in float64, over 2e-6.
        np.testing.assert_allclose((grad * direction).sum(), slope, rtol=1e-5, atol=1e-4)


def test_window_rule():
    z = np.array([0.5, 1.5, -0.5, -1.5, 2.5, 200.0, -200.0])
    value = quantize_code_partials(z, 1.0, 1e-12, bits=8).value
    # At alpha -> 0 the mean of the five levels is the middle one: ties went to the even level, the
    # highest window is 123..127 and the lowest -127..-123.
    np.testing.assert_allclose(value, [0, 2, 0, -2, 2, 125, -125], atol=1e-8)


def test_a_grey_image_has_chroma_coefficients_of_four(monkeypatch):
    seen = []

    def spy(z, q, alpha, *, bits):
        seen.append(z.copy())
        return quantize_code_partials(z, q, alpha, bits=bits)

    monkeypatch.setattr(module, "quantize_code_partials", spy)
    ones = np.ones((2, 8, 8))
    jpeg_dl_code(np.full((1, 3, 8, 12), 128.0), ones, 5 * ones)
    (z,) = seen
    np.testing.assert_allclose(z[0, 0], 0, atol=1e-12)
    np.testing.assert_allclose(z[0, 1:, 0, 0, 0, 0], 4, atol=1e-12)
    # Half of the second block is filled with zeros: half the mean.
    np.testing.assert_allclose(z[0, 1:, 0, 1, 0, 0], 2, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": np.zeros((3, 8, 8))}, ValueError, "image must be RGB"),
        ({"image": np.zeros((1, 3, 8, 8), dtype=int)}, TypeError, "image must be a NumPy array"),
        ({"q": np.ones((8, 8))}, ValueError, "q must have shape"),
        ({"q": np.zeros((2, 8, 8))}, ValueError, "q must be positive"),
        ({"alpha": np.ones((1, 2, 8, 8))}, ValueError, "alpha must have the shape of q"),
        ({"bits": 2}, ValueError, "bits must be at least 3"),
        ({"bits": 8.0}, TypeError, "bits must be an integer"),
        ({"grad_output": np.zeros((1, 3, 8, 9))}, ValueError, "grad_output must have the shape"),
    ],
)
def test_wrong_input_is_named(change, error, message):
    image, tables = np.zeros((1, 3, 8, 8)), np.ones((2, 8, 8))
    arguments = {"image": image, "q": tables, "alpha": tables, "grad_output": image, "bits": 8}
    arguments |= change
    with pytest.raises(error, match=message):
        jpeg_dl_code_vjp(**arguments)


def test_table_of_differences_is_current():
    pytest.importorskip("skimage")
    path = Path(__file__).parents[2] / "docs" / "figures" / "compat.py"
    spec = importlib.util.spec_from_file_location("compat_figures", path)
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    stored = figures.PAGE.read_text().split(figures.BEGIN)[1].split(figures.END)[0]
    fresh = figures.markdown()
    stored_rows, fresh_rows = (
        [row.strip("| ").split(" | ") for row in text.strip().splitlines()[2:]]
        for text in (stored, fresh)
    )
    assert [row[0] for row in stored_rows] == [row[0] for row in fresh_rows]
    for (name, *old), (_, *new) in zip(stored_rows, fresh_rows, strict=True):
        # In grey pictures at q = 8 rounding decides on ties: the page says so.
        columns = 4 if "half-up" in name else 6
        # Two digits, and the share of those ties in the rows below.
        numbers = [[float(x) for x in row[:columns]] for row in (old, new)]
        assert numbers[0] == pytest.approx(numbers[1], rel=0.1, abs=1e-9)
