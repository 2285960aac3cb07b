"""The numbers and curves that "JPEG Inspired Deep Learning" prints, recomputed.

What is printed and what was computed stand side by side in docs/paper_numbers.md.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from reference import high_precision
from reference.cpmf import cpmf, hard_quantize, max_level_from_bits, soft_quantize_partials

ALPHAS = (1, 3, 5, 10)
FLOAT32_ULP = 2.0**-24  # half an eps: the gap above 1/2, printed as 5.96e-08

# Table 10, z = 0.5, q = 1, b = 8: alpha -> full space, masked, absolute difference.
TABLE_10 = {
    1: ("0.5", "0.5027", "0.0027"),
    3: ("0.5", "0.5", "5.96e-08"),
    5: ("0.5", "0.5", "5.96e-08"),
    10: ("0.5", "0.5", "0"),
}


@pytest.mark.parametrize("alpha", ALPHAS)
def test_table_10_values(alpha):
    full, masked, _ = TABLE_10[alpha]
    for window, printed in ((None, full), (5, masked)):
        value = soft_quantize_partials(0.5, 1.0, alpha, max_level=127, window=window).value
        assert f"{value:.4g}" == printed


def test_table_10_differences_in_exact_arithmetic():
    differences = {}
    for alpha in ALPHAS:
        full, masked = (
            high_precision.soft_quantize_partials(
                0.5, 1.0, alpha, max_level=127, window=window
            ).value
            for window in (None, 5)
        )
        differences[alpha] = abs(mpmath.fsub(full, masked, exact=True))
        # The window {-1..3} has one level too many above 1/2: level 3 pulls by 5/2 with weight
        # exp(-6 alpha) against the two nearest, e**(-2 alpha) more against the next two.
        pull = 2.5 * np.exp(-6.0 * alpha) / (2 + 2 * np.exp(-2.0 * alpha) + np.exp(-6.0 * alpha))
        assert float(differences[alpha]) == pytest.approx(pull, rel=1e-12)
    assert f"{float(differences[1]):.4f}" == TABLE_10[1][2]
    # What is printed for alpha = 3 and 5 is not the difference, which is smaller ...
    assert f"{float(differences[3]):.2e}" == "1.90e-08"
    assert f"{float(differences[5]):.2e}" == "1.17e-13"
    assert differences[3] < FLOAT32_ULP
    # ... and no number at all for alpha = 10.
    assert 0 < differences[10] < 1e-25


def pairwise_sum(numbers):
    numbers = list(numbers)
    while len(numbers) > 1:
        pairs = zip(numbers[0::2], [*numbers[1::2], np.float32(0)], strict=False)
        numbers = [np.float32(a + b) for a, b in pairs]
    return numbers[0]


def left_to_right_sum(numbers):
    total = np.float32(0)
    for number in numbers:
        total = np.float32(total + number)
    return total


def numpy_sum(numbers):
    return numbers.sum(dtype=np.float32)


def float32_softmax_mean(levels, alpha, total, divide_last):
    """Eq. (6) and (7) in float32; only the order of the operations is open."""
    levels = levels.astype(np.float32)
    exponents = -np.float32(alpha) * (np.float32(0.5) - levels) ** 2
    # Exponentials rounded once from float64, so that the platform's expf does not matter.
    weights = np.exp((exponents - exponents.max()).astype(np.float64)).astype(np.float32)
    if divide_last:
        return total(weights * levels) / total(weights)
    return total((weights / total(weights)) * levels)


def test_table_10_differences_are_one_ulp_of_float32():
    assert f"{FLOAT32_ULP:.2e}" == TABLE_10[3][2] == TABLE_10[5][2]
    seen = {alpha: set() for alpha in ALPHAS}
    for alpha in ALPHAS:
        for total in (pairwise_sum, left_to_right_sum, numpy_sum):
            for divide_last in (False, True):
                full, masked = (
                    float32_softmax_mean(levels, alpha, total, divide_last)
                    for levels in (np.arange(-127, 128), np.arange(-1, 4))
                )
                seen[alpha].add(abs(float(full) - float(masked)))
    # alpha = 3 and 5: equal or one ulp apart, as the order of summation has it; 10: equal.
    assert seen[3] == {0.0, FLOAT32_ULP}
    assert seen[5] == {0.0, FLOAT32_ULP}
    assert seen[10] == {0.0}
    assert {f"{difference:.4f}" for difference in seen[1]} == {TABLE_10[1][2]}


def test_table_10_differences_in_torch_float32():
    for alpha in ALPHAS:
        full, masked = (
            (torch.softmax(-alpha * (0.5 - levels) ** 2, dim=0) * levels).sum().item()
            for levels in (torch.arange(-127.0, 128), torch.arange(-1.0, 4))
        )
        if alpha == 1:
            assert f"{abs(full - masked):.4f}" == TABLE_10[1][2]
        else:
            assert abs(full - masked) in (0.0, FLOAT32_ULP)  # which of them is the machine's


# Fig. 13, z = 0.5, q = 1, L = 1023: levels 1, 2, 3, 4; 0, -1, -2, -3 mirror them.
FIGURE_13 = {
    1: ("4.39e-01", "5.95e-02", "1.09e-03", "2.70e-06"),
    3: ("4.99e-01", "1.24e-03", "7.60e-09", "1.16e-16"),
    5: ("5.00e-01", "2.27e-05", "4.68e-14", "4.38e-27"),
    10: ("5.00e-01", "1.03e-09", "4.38e-27", "3.83e-53"),
}


@pytest.mark.parametrize("alpha", ALPHAS)
def test_figure_13_probabilities(alpha):
    levels, probabilities = cpmf(0.5, 1.0, alpha, max_level=max_level_from_bits(11))
    assert levels[0] == -1023
    assert levels[-1] == 1023
    assert probabilities.sum() == pytest.approx(1, abs=1e-15)  # 2047 terms, five of them count
    right = probabilities[1024:1028]
    left = probabilities[1023:1019:-1]
    assert tuple(f"{p:.2e}" for p in right) == FIGURE_13[alpha]
    np.testing.assert_allclose(left, right, rtol=1e-14)
    # "M retains a total probability mass close to 1": the window's own share.
    window = cpmf(0.5, 1.0, alpha, max_level=1023, window=5).levels
    share = probabilities[window + 1023].sum()
    outside = (probabilities[:1022].sum()) + probabilities[1027:].sum()
    assert share == pytest.approx(1 - outside, abs=1e-15)
    assert 0 < outside < (1.1e-3 if alpha == 1 else 1e-8)


# Fig. 2 and 7: L = 3, q = 1. Exactly symmetric, with every midpoint on the grid.
GRID = np.arange(-4.5 * 4096, 4.5 * 4096 + 1) / 4096


@pytest.mark.parametrize("alpha", ALPHAS)
def test_figure_2_curves(alpha):
    curve = soft_quantize_partials(GRID, 1.0, alpha, max_level=3)
    # odd, rising, between the outermost levels; 2e-15 is rounding at size 3
    np.testing.assert_allclose(curve.value, -curve.value[::-1], rtol=0, atol=2e-15)
    assert (np.diff(curve.value) >= -2e-15).all()
    assert np.abs(curve.value).max() <= 3
    # Through 0; through the inner midpoints, where the two nearest levels tie and only the
    # ends of the index set, exp(-6 alpha) away, could pull.
    points = soft_quantize_partials(np.array([0.0, 0.5, -0.5]), 1.0, alpha, max_level=3)
    pull = 3.5 * np.exp(-alpha * (3.5**2 - 0.5**2))
    np.testing.assert_allclose(points.value, [0, 0.5, -0.5], rtol=0, atol=pull + 1e-15)
    # steepest there: two levels with probability 1/2, or close to it, have variance 1/4
    assert points.dz[1] == pytest.approx(curve.dz.max(), rel=0.02)
    if alpha >= 3:
        assert points.dz[1] == pytest.approx(alpha / 2, rel=0.03)


def test_figure_2_curves_close_in_on_the_uniform_quantizer():
    away = np.abs((GRID - 0.5) - np.rint(GRID - 0.5)) > 0.2  # at least 0.2 off every midpoint
    hard = hard_quantize(GRID, 1.0, max_level=3)
    gaps = [
        np.abs(soft_quantize_partials(GRID, 1.0, alpha, max_level=3).value - hard)[away].max()
        for alpha in (*ALPHAS, 100)
    ]
    # With two levels d and 1 - d away the gap is 1 / (1 + exp(alpha (1 - 2 d))), d <= 0.3.
    assert gaps == sorted(gaps, reverse=True)
    for alpha, gap in zip((*ALPHAS, 100), gaps, strict=True):
        if alpha >= 3:
            assert gap == pytest.approx(1 / (1 + np.exp(alpha * 0.4)), rel=0.02)


def test_figure_7_gradient_in_alpha_shrinks_as_alpha_grows():
    # b = 3, so L = 3, q = 1.
    alphas = (1, 2, 3, 5, 8, 10, 20, 100)
    peaks = []
    for alpha in alphas:
        dalpha = soft_quantize_partials(GRID, 1.0, alpha, max_level=max_level_from_bits(3)).dalpha
        np.testing.assert_allclose(dalpha, -dalpha[::-1], rtol=0, atol=1e-14)
        peaks.append(np.abs(dalpha).max())
    assert peaks == sorted(peaks, reverse=True)
    measured = [0.281, 0.116, 0.0751, 0.0448]
    np.testing.assert_allclose(peaks[:4], measured, rtol=0.005)  # three digits were noted
    # Between two levels Q = 1 / (1 + exp(alpha (1 - 2 z))): its slope in alpha peaks at
    # max x / (4 cosh^2(x/2)) / alpha = 0.2239 / alpha.
    x = np.linspace(0, 5, 100001)
    peak = (x / (4 * np.cosh(x / 2) ** 2)).max()
    np.testing.assert_allclose(np.array(peaks[4:]) * alphas[4:], peak, rtol=1e-3)


L6 = max_level_from_bits(6)
INSIDE = np.linspace(-L6, L6, 62 * 256 + 1)  # c = z / q; every midpoint is on the grid


def largest_dq(q, alpha):
    return np.abs(soft_quantize_partials(INSIDE * q, q, alpha, max_level=L6).dq).max()


def at_the_outermost_midpoint(h):
    # A tie: E = 30.5, Var = 1/4 and mu3 = 0 in units of q, so dQ/dq = E - 2 h E Var.
    return abs(30.5 - h * 30.5 / 2)


def test_figure_8a_gradient_in_q_grows_with_q():
    peaks = {q: largest_dq(q, 8.0) for q in (0.5, 1.0, 2.0, 4.0)}
    assert list(peaks.values()) == sorted(peaks.values())
    for q in (1.0, 2.0, 4.0):
        assert peaks[q] == pytest.approx(at_the_outermost_midpoint(8 * q**2), rel=1e-4)


def test_figure_8b_gradient_in_q_grows_with_alpha():
    peaks = {alpha: largest_dq(2.0, alpha) for alpha in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)}
    assert list(peaks.values()) == sorted(peaks.values())
    for alpha in (4.0, 8.0, 16.0):
        assert peaks[alpha] == pytest.approx(at_the_outermost_midpoint(alpha * 4), rel=1e-4)


def test_figure_9_gradient_in_q_depends_on_hbar_alone():
    pairs = [(0.25, 32.0), (0.5, 8.0), (1.0, 2.0), (2.0, 0.5), (4.0, 0.125), (0.3, 2 / 0.09)]
    peaks = [largest_dq(q, alpha) for q, alpha in pairs]
    # The same function of c = z / q. Powers of two scale without rounding; 0.3 does not.
    np.testing.assert_array_equal(peaks[:5], peaks[0])
    np.testing.assert_allclose(peaks, peaks[0], rtol=1e-12)
    # and another hbar has another peak
    assert largest_dq(1.0, 4.0) > 1.5 * largest_dq(1.0, 2.0)
