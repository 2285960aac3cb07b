"""The arbiter against the definition: eq. (5) and (7) written out, and differentiated."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reference.cpmf import soft_quantize_partials as float64_partials
from reference.high_precision import nearest_level, soft_quantize_partials, support

# A thousand digits leave enough where the definition cancels by a few hundred.
DEFINITION_DIGITS = 1000


def definition(z, q, alpha, levels):
    """Q_d exactly as eq. (5) and (7) have it, at the precision that is set."""
    weights = [mpmath.exp(-alpha * (z - i * q) ** 2) for i in levels]
    return mpmath.fsum(w * i * q for w, i in zip(weights, levels, strict=True)) / mpmath.fsum(
        weights
    )


def half_up(z, q, max_level):
    """Nearest level by a search over all of them; of two equally near ones the larger."""
    z, q = Fraction(z), Fraction(q)
    return min(range(-max_level, max_level + 1), key=lambda i: (abs(z - i * q), -i))


def levels_of(z, q, max_level, window):
    if window is None:
        return range(-max_level, max_level + 1)
    middle = half_up(z, q, max_level)
    first = min(max(middle - window // 2, -max_level), max_level - window + 1)
    return range(first, first + window)


def relative_error(got, expected):
    if got == expected:
        return mpmath.mpf(0)
    return abs(mpmath.fsub(got, expected, exact=True)) / abs(expected)


# q over its trainable range, h = alpha q^2 and c = z / q over everything an image produces.
steps = st.floats(-5, 2.4).map(lambda x: 10.0**x)
hardnesses = st.floats(-3, 2).map(lambda x: 10.0**x)
supports = st.sampled_from([(1, None), (1, 3), (3, None), (7, 3), (7, 5), (7, 15), (15, None)])


@settings(max_examples=25)
@given(c=st.floats(-1.3, 1.3), q=steps, h=hardnesses, kind=supports)
@example(c=0.0, q=1.0, h=1.0, kind=(7, None))
@example(c=0.5 / 7, q=1.0, h=1.0, kind=(7, 5))
@example(c=0.5 / 7, q=1.0, h=100.0, kind=(7, None))
@example(c=-0.5 / 7, q=1.0, h=3.0, kind=(7, 3))
@example(c=1.0, q=0.1, h=2.0, kind=(7, None))
@example(c=1e-200, q=1.0, h=2.0, kind=(7, None))
@example(c=0.3, q=1.0, h=1e-12, kind=(7, None))
def test_value_and_partials_are_the_definition_and_its_numerical_derivatives(c, q, h, kind):
    max_level, window = kind
    z, alpha = c * max_level * q, h / q**2
    got = soft_quantize_partials(z, q, alpha, max_level=max_level, window=window, digits=40)
    levels = levels_of(z, q, max_level, window)
    with mpmath.workdps(DEFINITION_DIGITS):
        point = tuple(mpmath.mpf(x) for x in (z, q, alpha))
        value = definition(*point, levels)
        # A numerical derivative of order h^1 at 1000 digits: mpmath.diff steps by 10^-1000 at
        # a working precision that makes up for it.
        slopes = [
            mpmath.diff(lambda *p: definition(*p, levels), point, order)
            for order in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
        ]
        scales = (q, 1, 1, q**3)  # natural units of value, d/dz, d/dq, d/dalpha
        for name, ours, truth, scale in zip(
            got._fields, got, [value, *slopes], scales, strict=True
        ):
            # A derivative that is truly 0 comes out of differences as noise of 10^-1000; what
            # is smaller than 10^-900 of its unit is compared absolutely.
            if abs(truth) < scale * mpmath.mpf(10) ** -900:
                assert abs(ours) < scale * mpmath.mpf(10) ** -900, name
            else:
                # 40 digits were asked for; the last one is rounded.
                assert relative_error(ours, truth) < mpmath.mpf(10) ** -39, name


@settings(max_examples=50)
@given(c=st.floats(-1.3, 1.3), q=steps, h=hardnesses, kind=supports)
def test_float64_reference_is_near(c, q, h, kind):
    max_level, window = kind
    z, alpha = c * max_level * q, h / q**2
    if window is not None and abs((z / q) % 1 - 0.5) < 1e-12:
        return  # z / q rounds across the jump of a masked window; exact ties are tested below
    exact = soft_quantize_partials(z, q, alpha, max_level=max_level, window=window)
    near = float64_partials(z, q, alpha, max_level=max_level, window=window)
    # Natural sizes: levels up to L, variance and third moment up to L^2 and L^3 for tiny h.
    spread = 1 + max_level * min(1.0, 1 / h)
    scales = (
        max_level * q,
        1 + 2 * h * spread**2,
        max_level * (1 + 2 * h * spread**3),
        q**3 * (1 + spread**3),
    )
    for name, e, n, scale in zip(exact._fields, exact, near, scales, strict=True):
        # 100 eps: exponentials, sums over up to 31 levels, and c rounded once.
        assert abs(e - float(n)) <= 100 * np.finfo(float).eps * scale, name


@settings(max_examples=30)
@given(c=st.floats(0, 1.3), h=hardnesses, q=steps)
def test_odd_in_z(c, h, q):
    z, alpha = c * 15 * q, h / q**2
    plus = soft_quantize_partials(z, q, alpha, max_level=15)
    minus = soft_quantize_partials(-z, q, alpha, max_level=15)
    tolerance = mpmath.mpf(10) ** -39
    for sign, a, b in zip((-1, 1, -1, -1), plus, minus, strict=True):
        assert relative_error(b, a if sign > 0 else mpmath.fneg(a, exact=True)) < tolerance


def test_symmetric_points_are_exact():
    at_zero = soft_quantize_partials(0.0, 0.7, 2.0, max_level=127)
    assert (at_zero.value, at_zero.dq, at_zero.dalpha) == (0, 0, 0)
    assert at_zero.dz > 0
    on_level = soft_quantize_partials(3.0, 1.0, 2.0, max_level=7, window=5)
    assert (on_level.value, on_level.dalpha) == (3, 0)
    # Full space, same point: the support is not symmetric about 3. The first level without a
    # partner lies five steps down and weighs w = exp(-50) = 2e-22, so d/dalpha is about 125 w.
    full = soft_quantize_partials(3.0, 1.0, 2.0, max_level=7)
    assert 1e-21 < full.dalpha < 1e-18


@pytest.mark.parametrize(
    ("z", "q", "alpha"),
    [
        (1e300, 1e-300, 1e300),
        (1e300, 1.0, 1e-300),
        (1e300, 1e300, 1e300),
        (1e300, 255.0, 1e-2),
        (1e300, 1e-5, 5.0),
    ],
)
@pytest.mark.parametrize("window", [None, 5])
def test_saturated_coefficients_of_any_size(z, q, alpha, window):
    max_level = 7
    for sign in (1, -1):
        got = soft_quantize_partials(sign * z, q, alpha, max_level=max_level, window=window)
        assert all(mpmath.isfinite(x) for x in got)
        end = min(max_level, half_up(z, q, max_level))
        if alpha * q * abs(z - end * q) > 50:  # the runner-up weighs exp(-2 x 50) or less
            assert relative_error(got.value, mpmath.fmul(sign * end, q, exact=True)) < 1e-40
            assert relative_error(got.dq, mpmath.mpf(sign * end)) < 1e-40
        # Both are positive numbers times sign: tiny is not zero, and of the right sign.
        assert got.dz > 0
        assert abs(got.value) <= max_level * mpmath.mpf(q)


def test_a_far_tail_is_right_to_its_last_digit():
    # L = 1, z = 1000, q = 1, alpha = 1: levels 0 and -1 weigh exp(-1999) and exp(-4000)
    # against level 1, in closed form.
    got = soft_quantize_partials(1000.0, 1.0, 1.0, max_level=1, digits=50)
    with mpmath.workdps(2500):
        a, b = mpmath.exp(-1999), mpmath.exp(-4000)
        value = (1 - b) / (1 + a + b)
        slope = 2 * ((1 + b) / (1 + a + b) - value**2)
    assert relative_error(got.value, value) < mpmath.mpf(10) ** -49
    assert relative_error(got.dz, slope) < mpmath.mpf(10) ** -49


def test_underflow_of_every_float_is_not_zero():
    # alpha q^2 = 2.5e-647 is no double. For h -> 0 the levels are equally likely: variance
    # L (L + 1) / 3 in units of q^2, and Q_d = 2 alpha Var z.
    q = z = 5e-324
    got = soft_quantize_partials(z, q, 1.0, max_level=7)
    variance = Fraction(7 * 8, 3) * Fraction(q) ** 2
    expected = 2 * variance * Fraction(z)
    with mpmath.workdps(60):
        limit = mpmath.mpf(expected.numerator) / expected.denominator
    assert relative_error(got.value, limit) < mpmath.mpf(10) ** -39


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("window", [None, 5])
def test_infinite_z_is_the_limit(sign, window):
    got = soft_quantize_partials(sign * float("inf"), 0.5, 3.0, max_level=7, window=window)
    assert got == (sign * 3.5, 0, sign * 7, 0)


def test_nan_z_gives_nan():
    got = soft_quantize_partials(float("nan"), 0.5, 3.0, max_level=7)
    assert all(mpmath.isnan(x) for x in got)


@settings(max_examples=300)
@given(z=st.floats(-1e3, 1e3), q=st.floats(1e-3, 1e3), max_level=st.integers(1, 12))
@example(z=0.49999999999999994, q=1.0, max_level=3)  # z / q + 1/2 rounds to 1 in float64
@example(z=0.5, q=1.0, max_level=3)
@example(z=-0.5, q=1.0, max_level=3)
@example(z=2.5, q=1.0, max_level=3)
def test_nearest_level_and_window_are_decided_exactly(z, q, max_level):
    nearest = nearest_level(Fraction(z), Fraction(q), max_level)
    assert nearest == half_up(z, q, max_level)
    for window in (None, 3):
        got = support(Fraction(z), Fraction(q), max_level, window)
        assert list(got) == list(levels_of(z, q, max_level, window))
        assert nearest in got


def test_masked_window_at_a_tie_is_the_upper_one():
    above = soft_quantize_partials(0.5, 1.0, 1.0, max_level=127, window=5)
    below = soft_quantize_partials(0.49999999999999994, 1.0, 1.0, max_level=127, window=5)
    assert mpmath.nstr(above.value, 4) == "0.5027"  # JPEG-DL, Table 10
    assert mpmath.nstr(below.value, 4) == "0.4973"


@pytest.mark.parametrize("digits", [1, 15, 100, 500])
def test_digits_are_delivered(digits):
    z, q, alpha = 0.37, 1.1, 2.3
    got = soft_quantize_partials(z, q, alpha, max_level=31, digits=digits)
    with mpmath.workdps(DEFINITION_DIGITS):
        point = tuple(mpmath.mpf(x) for x in (z, q, alpha))
        truth = definition(*point, range(-31, 32))
    assert relative_error(got.value, truth) <= mpmath.mpf(10) ** -digits
    more = soft_quantize_partials(z, q, alpha, max_level=31, digits=digits + 30)
    for a, b in zip(got, more, strict=True):
        assert 0 < relative_error(a, b) <= mpmath.mpf(10) ** -digits  # rounded, and no worse


def test_the_precision_of_the_caller_is_left_alone():
    with mpmath.workdps(17):
        soft_quantize_partials(0.3, 1.0, 1.0, max_level=7)
        assert mpmath.mp.dps == 17


BAD = [
    ({"q": 0.0}, ValueError, "q must be positive and finite"),
    ({"q": float("nan")}, ValueError, "q must be positive and finite"),
    ({"alpha": -1.0}, ValueError, "alpha must be positive and finite"),
    ({"alpha": float("inf")}, ValueError, "alpha must be positive and finite"),
    ({"max_level": 0}, ValueError, "max_level must be at least 1"),
    ({"max_level": 7.0}, TypeError, "max_level must be an integer"),
    ({"window": 4}, ValueError, "window must be None"),
    ({"window": 17}, ValueError, "window must not exceed"),
    ({"digits": 0}, ValueError, "digits must be at least 1, got 0"),
    ({"digits": 3.5}, TypeError, "digits must be an integer"),
    ({"z": [1.0]}, TypeError, r"z must be a scalar, got shape \(1,\)"),
    ({"q": np.ones((2, 2))}, TypeError, r"q must be a scalar, got shape \(2, 2\)"),
    ({"z": "1"}, TypeError, "z must be real numbers"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_wrong_arguments(change, error, message):
    arguments = {"z": 0.3, "q": 1.0, "alpha": 1.0, "max_level": 7} | change
    with pytest.raises(error, match=message):
        soft_quantize_partials(**arguments)
