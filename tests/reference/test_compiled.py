"""The Numba twins against the definition: the same numbers, the same refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import compiled
from reference import soft_quantize_partials as definition
from tests.reference._local_bounds import local_bounds
from tests.strategies import Points, points, windows


def assert_equal_to_rounding(z, q, alpha, **support):
    ours = compiled.soft_quantize_partials(z, q, alpha, **support)
    theirs = definition(z, q, alpha, **support)
    bounds = local_bounds(*np.broadcast_arrays(z, q, alpha), **support)
    for name, a, b, bound in zip(ours._fields, ours, theirs, bounds, strict=True):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore"):  # where both overflow to the same infinity
            # Both sides may use their bound.
            close = np.abs(a - b) <= 2 * bound
        assert (same | close).all(), f"{name}: {a} != {b}, bound {bound}"


@given(points())
def test_same_numbers(p: Points):
    assert_equal_to_rounding(p.z, p.q, p.alpha, **p.support)


@given(
    c=st.floats(-3e6, 3e6),
    log_q=st.floats(-310, 300),
    log_alpha=st.floats(-300, 300),
    window=windows(7),
)
def test_same_numbers_at_any_scale(c, log_q, log_alpha, window):
    q = 10.0**log_q
    with np.errstate(over="ignore"):
        z = np.array([c * q])
    if not np.isfinite(z[0]):
        z[0] = np.copysign(1e308, c)
    assert_equal_to_rounding(
        z, np.array([q]), np.array([10.0**log_alpha]), max_level=7, window=window
    )


@pytest.mark.parametrize("window", [None, 3, 15])
@pytest.mark.parametrize("alpha", [1e-300, 1e-3, 5.0, 1e300])
def test_nan_and_infinities_are_identical(window, alpha):
    z = np.array([np.inf, -np.inf, np.nan, 1e308, -1e308, 0.0, -0.0])
    ours = compiled.soft_quantize_partials(z, 0.5, alpha, max_level=7, window=window)
    theirs = definition(z, 0.5, alpha, max_level=7, window=window)
    for name, a, b in zip(ours._fields, ours, theirs, strict=True):
        np.testing.assert_array_equal(a[:3], b[:3], err_msg=name)
        assert np.isfinite(a[3:]).all(), name


def test_the_value_alone_is_the_same():
    z = np.linspace(-9, 9, 301).reshape(7, 43)
    for window in (None, 5):
        np.testing.assert_array_equal(
            compiled.soft_quantize(z, 0.7, 2.0, max_level=7, window=window),
            compiled.soft_quantize_partials(z, 0.7, 2.0, max_level=7, window=window).value,
        )


def test_broadcast_empty_and_scalar_inputs():
    z, q = np.linspace(-4, 4, 6).reshape(2, 3), np.array([[0.5], [2.0]])
    assert_equal_to_rounding(z, q, 3.0, max_level=7)
    assert compiled.soft_quantize(np.empty((0, 2)), 1.0, 1.0, max_level=7).shape == (0, 2)
    scalar = compiled.soft_quantize_partials(0.3, 0.5, 2.0, max_level=7)
    assert [a.shape for a in scalar] == [()] * 4
    assert_equal_to_rounding(z.T[::-1], q.T, 3.0, max_level=7, window=3)


@pytest.mark.parametrize("function", [compiled.soft_quantize, compiled.soft_quantize_partials])
@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0.0, 0.0, 1.0), {}, ValueError, "q must be positive and finite"),
        ((0.0, [1.0, np.nan], 1.0), {}, ValueError, r"q must be .* at index \(1,\)"),
        ((0.0, 1.0, -1.0), {}, ValueError, "alpha must be positive and finite"),
        ((0.0, 1.0, np.inf), {}, ValueError, "alpha must be positive and finite"),
        ((1j, 1.0, 1.0), {}, TypeError, "z must be real numbers"),
        ((np.zeros(3), np.ones(2), 1.0), {}, ValueError, "must broadcast"),
        ((0.0, 1.0, 1.0), {"max_level": 0}, ValueError, "max_level must be at least 1"),
        ((0.0, 1.0, 1.0), {"max_level": 7.5}, TypeError, "max_level must be an integer"),
        ((0.0, 1.0, 1.0), {"window": 4}, ValueError, "window must be None"),
        ((0.0, 1.0, 1.0), {"window": 17}, ValueError, "window must not exceed the 15"),
    ],
)
def test_the_same_refusals(function, arguments, options, error, message):
    with pytest.raises(error, match=message):
        function(*arguments, **{"max_level": 7, **options})
