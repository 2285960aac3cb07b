"""The definition against exact arithmetic, the identities it must obey, and its refusals."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reference import cpmf, hard_quantize, max_level_from_bits, soft_quantize
from reference import soft_quantize_partials as partials
from reference.cpmf import nearest_level
from reference.high_precision import soft_quantize_partials as exact_partials
from tests.reference._local_bounds import EPS, local_bounds
from tests.strategies import Points, points, seeds, steps, windows

small_levels = st.sampled_from([1, 2, 7, 15])
one_point = points(levels=small_levels, max_size=1)


def assert_matches_exact(z, q, alpha, max_level, window):
    """Every result within its bound of the arbiter's, where float64 can hold it."""
    ours = partials(z, q, alpha, max_level=max_level, window=window)
    bounds = local_bounds(
        *(np.asarray(a, float) for a in (z, q, alpha)), max_level=max_level, window=window
    )
    truth = exact_partials(z, q, alpha, max_level=max_level, window=window)
    for name, got, bound, expected in zip(ours._fields, ours, bounds, truth, strict=True):
        if abs(expected) > 1e300:  # beyond what the definition keeps (h is cut at 1e300)
            continue
        error = abs(mpmath.fsub(float(got), expected, exact=True))
        assert error <= float(bound), f"{name}: got {got!r}, expected {float(expected)!r}"


@given(one_point)
def test_agrees_with_exact_arithmetic(p: Points):
    assert_matches_exact(p.z[0], p.q[0], p.alpha[0], p.max_level, p.window)


@given(
    level=st.integers(-15, 15),
    gap=st.floats(-16, -1),
    sign=st.sampled_from([-1, 1]),
    q=steps,
    log_h=st.floats(0, 6),
    window=windows(15),
)
def test_agrees_with_exact_arithmetic_next_to_ties(level, gap, sign, q, log_h, window):
    # Where the problem is ill-conditioned in c, and exact remainders decide.
    z = (level + 0.5 + sign * 10.0**gap) * q
    assert_matches_exact(z, q, 10.0**log_h / q**2, 15, window)


@given(
    c=st.floats(-3, 3),
    log_q=st.floats(-310, 300),
    log_alpha=st.floats(-300, 300),
    window=windows(2),
)
@example(c=0.5, log_q=-310.0, log_alpha=300.0, window=None)
@example(c=0.5, log_q=300.0, log_alpha=300.0, window=3)
@example(c=-2.5, log_q=300.0, log_alpha=-300.0, window=3)
@example(c=1.2, log_q=-310.0, log_alpha=-300.0, window=None)
@example(c=0.1, log_q=-150.0, log_alpha=300.0, window=5)
def test_agrees_with_exact_arithmetic_at_any_scale(c, log_q, log_alpha, window):
    q = 10.0**log_q
    assert_matches_exact(c * q, q, 10.0**log_alpha, 2, window)


@given(z=st.floats(1e290, 1e308), q=steps, log_alpha=st.floats(-300, 100), window=windows(7))
def test_saturation_by_any_factor(z, q, log_alpha, window):
    for signed in (z, -z):
        assert_matches_exact(signed, q, 10.0**log_alpha, 7, window)


@given(points())
def test_probabilities_are_a_distribution_over_the_support(p: Points):
    levels, probabilities = cpmf(p.z, p.q, p.alpha, **p.support)
    width = p.window or 2 * p.max_level + 1
    assert levels.shape == probabilities.shape == (*p.z.shape, width)
    assert levels.dtype == np.int64
    assert (np.diff(levels) == 1).all()
    assert (np.abs(levels) <= p.max_level).all()
    assert (probabilities >= 0).all()
    # A division per level and their sum: at most K + 1 roundings.
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=0, atol=(width + 1) * EPS)
    # The nearer the level, the likelier; equally near ones are equally likely.
    c = np.clip(p.z / p.q, -2.0 * p.max_level, 2.0 * p.max_level)
    distance = np.abs(levels - c[:, None])
    order = np.argsort(distance, axis=-1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, -1)
    gaps = np.diff(np.take_along_axis(distance, order, -1))
    # Near-equal distances may swap: z/q itself is rounded here.
    assert (np.diff(ranked)[gaps > 1e-9 * (1 + p.max_level)] <= 0).all()


@given(points())
def test_the_value_is_the_mean_of_the_distribution(p: Points):
    levels, probabilities = cpmf(p.z, p.q, p.alpha, **p.support)
    mean = p.q * (probabilities * levels).sum(-1)
    # Levels up to L, K of them.
    tolerance = (levels.shape[-1] + 4) * EPS * p.q * (probabilities * np.abs(levels)).sum(-1)
    assert (np.abs(soft_quantize(p.z, p.q, p.alpha, **p.support) - mean) <= tolerance).all()


@given(p=points(), window=st.integers(1, 4).map(lambda half: 2 * half + 1))
def test_the_window_surrounds_the_nearest_level_and_stays_inside(p: Points, window: int):
    window = min(window, 2 * p.max_level + 1)
    levels, _ = cpmf(p.z, p.q, p.alpha, max_level=p.max_level, window=window)
    nearest = np.rint(hard_quantize(p.z, p.q, max_level=p.max_level) / p.q)
    first = np.clip(nearest - window // 2, -p.max_level, p.max_level - window + 1)
    np.testing.assert_array_equal(levels[:, 0], first)


@given(points(levels=st.sampled_from([1, 3, 127])))
def test_a_window_of_all_levels_is_the_full_space(p: Points):
    masked = partials(p.z, p.q, p.alpha, max_level=p.max_level, window=2 * p.max_level + 1)
    full = partials(p.z, p.q, p.alpha, max_level=p.max_level)
    for a, b in zip(masked, full, strict=True):
        np.testing.assert_array_equal(a, b)


@given(p=points(), exponent=st.integers(-40, 40))
def test_scaling_by_a_power_of_two_is_exact(p: Points, exponent: int):
    s = 2.0**exponent
    plain = partials(p.z, p.q, p.alpha, **p.support)
    scaled = partials(s * p.z, s * p.q, p.alpha / s**2, **p.support)
    # No rounding anywhere differs, unless something underflows (z = 1e-300 stays 1e-312).
    where = (p.z == 0) | (np.abs(p.z) > 1e-200)
    for name, power in (("value", 1), ("dz", 0), ("dq", 0), ("dalpha", 3)):
        want, got = getattr(plain, name) * s**power, getattr(scaled, name)
        held = where & (np.abs(want) > 1e-250)
        np.testing.assert_array_equal(got[held], want[held], err_msg=name)


@given(points())
def test_odd_in_z(p: Points):
    _, distance = nearest_level(p.z, p.q, p.max_level)
    # A masked window sits above a tie on both sides of 0: only the full space is odd there.
    held = (p.window is None) | (np.abs(distance) != p.q / 2)
    plus = partials(p.z, p.q, p.alpha, **p.support)
    minus = partials(-p.z, p.q, p.alpha, **p.support)
    bounds = local_bounds(p.z, p.q, p.alpha, **p.support)
    for name, sign in (("value", -1), ("dz", 1), ("dq", -1), ("dalpha", -1)):
        error = np.abs(getattr(minus, name) - sign * getattr(plus, name))
        assert (error <= 2 * getattr(bounds, name))[held].all(), name


@given(points())
def test_euler(p: Points):
    value, dz, dq, dalpha = partials(p.z, p.q, p.alpha, **p.support)
    bounds = local_bounds(p.z, p.q, p.alpha, **p.support)
    error = np.abs(p.z * dz + p.q * dq - 2 * p.alpha * dalpha - value)
    # Each term carries its own error and rounds twice on its way into the sum.
    weights = (np.abs(p.z), p.q, 2 * p.alpha, np.ones_like(p.z))
    terms = (dz, dq, dalpha, value)
    tolerance = sum(
        w * (b + 4 * EPS * np.abs(x))
        for w, b, x in zip(weights, (*bounds[1:], bounds[0]), terms, strict=True)
    )
    assert (error <= tolerance).all()


@given(level=st.integers(-900, 900), numerator=st.integers(-512, 512), log_h=st.floats(-2, 6))
def test_shift_by_one_step(level, numerator, log_h):
    # L = 1023: nearer than 100 levels to an end, exp(-h 100^2) <= 4e-44 is out of sight.
    z = level + numerator / 1024  # exact, and so is z + 1
    values = partials(np.array([z, z + 1]), 1.0, 10.0**log_h, max_level=1023)
    # Two sums over the same weights, at most at other positions of the array.
    bound = local_bounds(np.full(2, z), np.ones(2), np.full(2, 10.0**log_h), max_level=1023)
    assert abs(values.value[1] - values.value[0] - 1) <= 2 * bound.value[0] + EPS * (abs(z) + 2)
    for name in ("dz", "dalpha"):
        pair = getattr(values, name)
        assert abs(pair[1] - pair[0]) <= 2 * getattr(bound, name)[0], name


@given(seed=seeds, log_h=st.floats(-4, 6), max_level=st.sampled_from([1, 7, 127]))
def test_full_space_is_monotone_and_bounded(seed, log_h, max_level):
    q = 0.3
    c = np.sort(np.random.default_rng(seed).uniform(-1.5, 1.5, 50)) * max_level
    alpha = 10.0**log_h / q**2
    value, dz, _, _ = partials(c * q, q, alpha, max_level=max_level)
    bound = local_bounds(c * q, np.full(50, q), np.full(50, alpha), max_level=max_level).value
    assert (np.diff(value) >= -(bound[1:] + bound[:-1])).all()
    assert (dz >= 0).all()
    assert (np.abs(value) <= max_level * q).all()


@given(points())
def test_bounds(p: Points):
    value, dz, _, _ = partials(p.z, p.q, p.alpha, **p.support)
    assert (np.abs(value) <= p.max_level * p.q).all()
    assert (dz >= 0).all()


@given(level=st.integers(-6, 6), offset=st.floats(-0.49, 0.49), window=windows(7))
def test_infinite_alpha_is_the_hard_quantizer(level, offset, window):
    # h (1 - 2 * 0.49) = 2e4: the neighbour's weight underflows to 0.
    z = level + offset
    value, dz, dq, dalpha = partials(z, 1.0, 1e6, max_level=7, window=window)
    assert value == hard_quantize(z, 1.0, max_level=7) == level
    assert (dz, dq, dalpha) == (0, level, 0)


@given(level=st.integers(-7, 6), q=st.integers(-20, 8).map(lambda x: 2.0**x), window=windows(7))
def test_infinite_alpha_at_a_tie_is_the_mean_of_both_neighbours(level, q, window):
    value = soft_quantize((level + 0.5) * q, q, 1e6 / q**2, max_level=7, window=window)
    assert value == (level + 0.5) * q


@given(c=st.floats(-900, 900), log_h=st.floats(-2, -0.6), q=steps)
def test_small_h_is_the_identity_inside(c, log_h, q):
    h = 10.0**log_h
    value = soft_quantize(c * q, q, h / q**2, max_level=1023)
    # First term of the Poisson series; 4 pi covers the rest and 1/P. Cut-off: exp(-h 123^2).
    series = 4 * math.pi / (2 * h) * math.exp(-(math.pi**2) / h)
    # The sum over some hundred levels within reach of the nearest.
    assert abs(value - c * q) <= q * (series + 1e3 * EPS * (1 + abs(c)))


@given(points(levels=st.sampled_from([1, 7, 127])))
def test_zero_h_is_the_middle_of_the_support(p: Points):
    levels, probabilities = cpmf(p.z, p.q, 1e-300, **p.support)
    inside = np.abs(p.z) <= p.max_level * p.q
    width = levels.shape[-1]
    np.testing.assert_allclose(probabilities[inside], 1 / width, rtol=2 * EPS, atol=0)
    value = soft_quantize(p.z, p.q, 1e-300, **p.support)
    middle = (levels[:, 0] + levels[:, -1]) / 2
    # K levels up to L, equally likely.
    assert (np.abs(value - p.q * middle) <= width * EPS * p.q * p.max_level)[inside].all()


def test_a_coefficient_far_outside_still_feels_a_tiny_alpha():
    # h = alpha q^2 underflows to 0, but 2 alpha q z = 0.2 does not: the exponent is 0.2 k.
    q, alpha, z = 1e-200, 1e-100, 1e299
    _, probabilities = cpmf(z, q, alpha, max_level=1)
    expected = np.exp(0.2 * np.array([-1, 0, 1]))
    np.testing.assert_allclose(probabilities, expected / expected.sum(), rtol=8 * EPS, atol=0)


def test_ties_go_half_up():
    z = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    np.testing.assert_array_equal(hard_quantize(z, 1.0, max_level=9), [-2, -1, 0, 1, 2, 3])
    # The paper's Table 10: half-to-even gives 0.4973.
    assert round(float(soft_quantize(0.5, 1.0, 1.0, max_level=127, window=5)), 4) == 0.5027


@pytest.mark.parametrize(
    ("z", "q", "level"),
    [
        (0.49999999999999994, 1.0, 0),  # + 1/2 rounds to 1
        (-0.49999999999999994, 1.0, 0),
        (-0.5000000000000001, 1.0, -1),
        (0.5, 1.0, 1),
        (-0.5, 1.0, 0),
        (4503599627370497.5, 1.0, 2**53),  # far above the ends
        (np.nextafter(254.5, 0), 1.0, 254),
        (0.3, 0.2, 1),  # 0.3 < 1.5 * 0.2 in binary, though 0.3 / 0.2 rounds to 1.5
        (3 * 5e-324, 2 * 5e-324, 2),  # 1.5 in subnormal numbers
        (1.5e300, 1e300, 2),
    ],
)
def test_the_nearest_level_is_decided_exactly(z, q, level):
    max_level = 1023
    expected = min(level, max_level)
    assert hard_quantize(z, q, max_level=max_level) == expected * q
    levels, _ = cpmf(z, q, 1.0, max_level=max_level, window=3)
    assert levels[1] == min(expected, max_level - 1)


@given(p=points())
def test_hard_quantizer_is_the_nearest_level(p: Points):
    value = hard_quantize(p.z, p.q, max_level=p.max_level)
    grid = np.arange(-p.max_level, p.max_level + 1) * p.q[:, None]
    best = np.abs(p.z[:, None] - grid).min(-1)
    # The rounding of i q and of z - i q.
    assert (np.abs(p.z - value) <= best + 4 * EPS * np.maximum(np.abs(p.z), np.abs(value))).all()
    assert (np.abs(value) <= p.max_level * p.q).all()


@pytest.mark.parametrize("window", [None, 3, 15])
@pytest.mark.parametrize("alpha", [1e-300, 1e-3, 5.0, 1e300])
def test_infinities_saturate_and_nan_stays_where_it_was(window, alpha):
    z = np.array([np.inf, -np.inf, np.nan, 0.2])
    value, dz, dq, dalpha = partials(z, 0.5, alpha, max_level=7, window=window)
    np.testing.assert_array_equal(value[:3], [3.5, -3.5, np.nan])
    np.testing.assert_array_equal(dz[:3], [0, 0, np.nan])
    np.testing.assert_array_equal(dq[:3], [7, -7, np.nan])
    np.testing.assert_array_equal(dalpha[:3], [0, 0, np.nan])
    assert np.isfinite([value[3], dz[3], dq[3], dalpha[3]]).all()
    levels, probabilities = cpmf(z, 0.5, alpha, max_level=7, window=window)
    np.testing.assert_array_equal(np.isnan(probabilities).any(-1), [False, False, True, False])
    assert np.isnan(probabilities[2]).all()
    assert (probabilities[0, -1], probabilities[1, 0]) == (1, 1)
    np.testing.assert_array_equal(levels[2], cpmf(0.0, 0.5, 1, max_level=7, window=window).levels)
    np.testing.assert_array_equal(hard_quantize(z, 0.5, max_level=7), [3.5, -3.5, np.nan, 0.0])


def test_inputs_broadcast_and_elements_are_independent():
    rng = np.random.default_rng(5)
    z, q, alpha = rng.normal(size=(4, 1, 3)), rng.uniform(0.1, 1, (2, 1)), rng.uniform(1, 9, 3)
    together = partials(z, q, alpha, max_level=7, window=5)
    assert together.value.shape == (4, 2, 3)
    for i, j, k in np.ndindex(4, 2, 3):
        alone = partials(z[i, 0, k], q[j, 0], alpha[k], max_level=7, window=5)
        for a, b in zip(together, alone, strict=True):
            assert a[i, j, k] == b


def test_long_inputs_are_cut_into_pieces_without_a_seam():
    # 2^22 / 2047 = 2049 elements are summed at a time.
    z = np.random.default_rng(0).uniform(-1100, 1100, 4100)
    together = soft_quantize(z, 1.0, 0.7, max_level=1023)
    for i in (0, 2047, 2048, 2049, 2050, 4097, 4098, 4099):
        assert together[i] == soft_quantize(z[i], 1.0, 0.7, max_level=1023)


def test_empty_inputs_give_empty_outputs():
    empty = partials(np.empty((0, 3)), 1.0, 1.0, max_level=7)
    assert [a.shape for a in empty] == [(0, 3)] * 4
    assert cpmf(np.empty(0), 1.0, 1.0, max_level=7, window=5).probabilities.shape == (0, 5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32, np.uint8])
def test_other_real_dtypes_are_widened_exactly(dtype):
    z = np.array([0, 1, 5], dtype=dtype)
    expected = soft_quantize([0.0, 1.0, 5.0], 2.0, 1.0, max_level=7)
    np.testing.assert_array_equal(soft_quantize(z, 2, 1, max_level=7), expected)


def test_inputs_are_left_alone():
    z, q, alpha = np.array([0.3, np.nan, np.inf]), np.full(3, 0.5), np.ones(3)
    copies = [a.copy() for a in (z, q, alpha)]
    partials(z, q, alpha, max_level=7)
    cpmf(z, q, alpha, max_level=7, window=3)
    for a, b in zip((z, q, alpha), copies, strict=True):
        np.testing.assert_array_equal(a, b)


def test_max_level_from_bits():
    assert [max_level_from_bits(b) for b in (2, 3, 8, 11, np.int64(16))] == [1, 3, 127, 1023, 32767]
    with pytest.raises(ValueError, match="bits must be at least 2"):
        max_level_from_bits(1)
    for bad in (8.0, "8", None, True):
        with pytest.raises(TypeError, match="bits must be an integer"):
            max_level_from_bits(bad)


FUNCTIONS = [cpmf, soft_quantize, partials]


@pytest.mark.parametrize("function", [*FUNCTIONS, hard_quantize])
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(), (1, 2)])
def test_q_must_be_positive_and_finite(function, bad, place):
    q = np.ones((2, 3))
    q[place or ...] = bad
    q = q if place else bad
    arguments = {"max_level": 7} if function is hard_quantize else {"alpha": 1.0, "max_level": 7}
    where = r" at index \(1, 2\)" if place else ";"
    with pytest.raises(ValueError, match=rf"q must be positive and finite, got .*{where}"):
        function(np.zeros((2, 3)), q, **arguments)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_alpha_must_be_positive_and_finite(function, bad):
    with pytest.raises(ValueError, match="alpha must be positive and finite"):
        function(0.0, 1.0, [1.0, bad], max_level=7)


@pytest.mark.parametrize("function", [*FUNCTIONS, hard_quantize])
def test_max_level_must_be_a_positive_integer(function):
    rest = (0.0, 1.0) if function is hard_quantize else (0.0, 1.0, 1.0)
    for bad in (0, -3):
        with pytest.raises(ValueError, match="max_level must be at least 1"):
            function(*rest, max_level=bad)
    for bad in (7.0, "7", None, True):
        with pytest.raises(TypeError, match="max_level must be an integer"):
            function(*rest, max_level=bad)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_window_must_be_odd_and_fit(function):
    for bad in (4, 0, 1, -3):
        with pytest.raises(ValueError, match=r"window must be None .* or an odd number"):
            function(0.0, 1.0, 1.0, max_level=7, window=bad)
    with pytest.raises(ValueError, match="window must not exceed the 15 levels"):
        function(0.0, 1.0, 1.0, max_level=7, window=17)
    for bad in (5.0, "5", True):
        with pytest.raises(TypeError, match="window must be an integer"):
            function(0.0, 1.0, 1.0, max_level=7, window=bad)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("bad", [1j, "1", True, None])
def test_inputs_must_be_real_numbers(function, position, bad):
    arguments = [0.0, 1.0, 1.0]
    arguments[position] = bad
    with pytest.raises(TypeError, match=f"{('z', 'q', 'alpha')[position]} must be real numbers"):
        function(*arguments, max_level=7)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_shapes_must_broadcast(function):
    with pytest.raises(ValueError, match=r"must broadcast .* \(3,\), \(2,\), \(\)"):
        function(np.zeros(3), np.ones(2), 1.0, max_level=7)
