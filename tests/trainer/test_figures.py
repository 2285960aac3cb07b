"""The data of Fig. 2, 7, 8, 9, 13 and Table 10: against the reference and the paper's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reference import cpmf, hard_quantize, soft_quantize_partials
from reference.cpmf import max_level_from_bits
from trainer.figures import draw_quantizer
from trainer.figures import quantizer_curves as data
from trainer.figures._drawing import new_figure, save

# torch and NumPy sum other terms in another order: a few units in the last place of numbers
# up to 31 (values) or, for derivatives, of terms up to alpha q^2 times 31^2.
VALUE = {"rtol": 1e-13, "atol": 1e-14}
GRADIENT = {"rtol": 1e-9, "atol": 1e-9}


def test_figure_2_is_the_reference() -> None:
    hard, *soft = data.quantizer_curves()
    np.testing.assert_array_equal(hard.y, hard_quantize(hard.x.numpy(), 1.0, max_level=3))
    assert len(soft) == 4
    for curve, alpha in zip(soft, (1, 3, 5, 10), strict=True):
        expected = soft_quantize_partials(curve.x.numpy(), 1.0, alpha, max_level=3).value
        np.testing.assert_allclose(curve.y, expected, **VALUE)
        assert f"={alpha}$" in curve.label


def test_figure_7_is_the_reference() -> None:
    curves = data.alpha_gradients()
    for curve, alpha in zip(curves, data.ALPHA_GRADIENT_ALPHAS, strict=True):
        expected = soft_quantize_partials(curve.x.numpy(), 1.0, alpha, max_level=3).dalpha
        np.testing.assert_allclose(curve.y, expected, **GRADIENT)
        assert f"={alpha:g}$" in curve.label
    peaks = [curve.y.abs().max().item() for curve in curves]
    assert peaks == sorted(peaks, reverse=True)  # the paper's reading of it


@pytest.mark.parametrize(
    ("curves", "pairs"),
    [
        (data.q_gradients_over_q, [(q, 8.0) for q in (4.0, 2.0, 1.0, 0.5)]),
        (data.q_gradients_over_alpha, [(2.0, alpha) for alpha in (8.0, 4.0, 2.0, 0.5)]),
        (data.matched_gradients, [(q, 2 / q**2) for q in (4.0, 2.0, 1.0, 0.5)]),
    ],
)
def test_figures_8_and_9_are_the_reference(curves, pairs) -> None:
    for curve, (q, alpha) in zip(curves(per_level=16), pairs, strict=True):
        expected = soft_quantize_partials(curve.x.numpy(), q, alpha, max_level=31).dq
        np.testing.assert_allclose(curve.y, expected, **GRADIENT)
        assert any(f"={value:g}$" in curve.label for value in (q, alpha))


def test_figures_8_show_every_peak() -> None:
    # Derivative at the outermost midpoint, a tie: 30.5 (1 - h / 2), h = alpha q^2 large.
    for curves in (data.q_gradients_over_q(), data.q_gradients_over_alpha()):
        peaks = [curve.y.abs().max().item() for curve in curves]
        assert peaks == sorted(peaks, reverse=True)
    assert data.q_gradients_over_q()[0].y.abs().max().item() == pytest.approx(30.5 * 63, rel=1e-4)


def test_figure_9_has_one_maximum() -> None:
    peaks = [curve.y.abs().max().item() for curve in data.matched_gradients()]
    np.testing.assert_allclose(peaks, peaks[0], rtol=1e-12)  # steps are powers of two
    assert peaks[0] == pytest.approx(18.1638, abs=5e-5)  # docs/paper_numbers.md


PRINTED = {1: ["4.39e-01", "5.95e-02", "1.09e-03", "2.70e-06"]}
"""Fig. 13a, levels 1 to 4; the paper's text has 5.9e-02 for the second."""


def test_figure_13_is_the_reference_and_the_paper() -> None:
    for mass, alpha in zip(data.masses(), (1, 3, 5, 10), strict=True):
        assert mass.alpha == alpha
        levels, probabilities = cpmf(0.5, 1.0, alpha, max_level=1023)
        assert mass.levels.tolist() == levels[1020:1028].tolist() == list(range(-3, 5))
        # exponents up to 120, rounded to 1e-16 of themselves
        np.testing.assert_allclose(mass.probabilities, probabilities[1020:1028], rtol=1e-13)
        window = cpmf(0.5, 1.0, alpha, max_level=1023, window=5).levels
        assert mass.window == (window[0], window[-1]) == (-1, 3)
        right = [f"{p:.2e}" for p in mass.probabilities[4:].tolist()]
        assert right == PRINTED.get(alpha, right)


def test_table_10_is_the_reference_and_the_paper() -> None:
    for row, (alpha, printed) in zip(
        data.masking_rows(), draw_quantizer.PAPER_TABLE_10.items(), strict=True
    ):
        assert row.alpha == alpha
        for value, window, text in ((row.full, None, printed[0]), (row.masked, 5, printed[1])):
            expected = soft_quantize_partials(0.5, 1.0, alpha, max_level=127, window=window).value
            assert value == pytest.approx(float(expected), rel=1e-15)
            assert f"{value:.4g}" == text
        # weight exp(-6 alpha) of level 3, 5/2 away from 1/2, against two and two levels
        tail = np.exp(-6.0 * alpha)
        pull = 2.5 * tail / (2 + 2 * np.exp(-2.0 * alpha) + tail)
        assert row.difference == pytest.approx(pull, rel=1e-6, abs=2.3e-16)  # eps of float64


def test_levels_are_those_of_the_reference() -> None:
    for bits in (3, 6, 8, 11):
        assert data.max_level(bits) == max_level_from_bits(bits)


def test_table_10_has_twelve_computed_and_twelve_printed_numbers() -> None:
    rows = [line.split() for line in draw_quantizer.table_10().splitlines()]
    rows = [row for row in rows if row and row[0] in ("1", "3", "5", "10")]
    assert [row[0] for row in rows] == ["1", "3", "5", "10"]
    assert [row[4:] for row in rows] == [
        list(row) for row in draw_quantizer.PAPER_TABLE_10.values()
    ]
    assert [float(row[2]) for row in rows] == [row.masked for row in data.masking_rows()]


@pytest.mark.parametrize(
    "draw",
    [
        draw_quantizer.draw_quantizers,
        draw_quantizer.draw_alpha_gradients,
        draw_quantizer.draw_q_gradients,
        draw_quantizer.draw_matched_gradients,
        draw_quantizer.draw_masses,
    ],
)
def test_every_drawing_is_labelled(draw) -> None:
    for axes in draw().axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        assert axes.get_title()


def test_drawn_probabilities_are_printed_and_the_window_is_red() -> None:
    axes = draw_quantizer.draw_masses().axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert texts[4:8] == PRINTED[1]
    edges = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert edges == [-1.5, 3.5]


def test_a_figure_is_written_as_png_and_svg_and_repeats(tmp_path: Path) -> None:
    written = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        figure = new_figure(2, 2)
        figure.subplots().plot([0, 1], label="$x$")
        written.append([path.read_bytes() for path in save(figure, tmp_path / folder, "one")])
    assert written[0] == written[1]
    assert written[0][0].startswith(b"\x89PNG")
    assert b"<svg" in written[0][1]
