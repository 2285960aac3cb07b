"""The tolerances: wide enough for the conditioning, narrow enough to mean something."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.tolerance import CONSTANTS, ambiguous_windows, tolerances, windowed
from reference import high_precision
from reference.compiled import soft_quantize_partials

NAMES = ("value", "dz", "dq", "dalpha")
EPS = float(np.finfo(np.float32).eps)


def _exact(z: Any, q: Any, alpha: Any, level: int) -> list[Any]:
    row = high_precision.soft_quantize_partials(float(z), float(q), float(alpha), max_level=level)
    return [getattr(row, name) for name in NAMES]


@given(
    c=st.floats(-9.0, 9.0),
    log_h=st.floats(-5.0, 12.0),
    log_q=st.floats(-4.0, 5.0),
    which=st.integers(0, 2),
    up=st.booleans(),
)
def test_one_ulp_of_an_input_is_within_the_tolerance(
    c: float, log_h: float, log_q: float, which: int, up: bool
) -> None:
    """What rounding an input does, in forty digits, is never more than a sound error."""
    q = np.float32(np.exp(log_q))
    z = np.float32(c * float(q))
    alpha = np.float32(np.exp(log_h) / float(q) ** 2)
    moved = [z, q, alpha]
    moved[which] = np.nextafter(moved[which], np.float32(np.inf if up else -np.inf))
    before, after = _exact(z, q, alpha, 7), _exact(*moved, 7)
    limit = tolerances(z, q, alpha, max_level=7)
    for name, one, other, allowed in zip(NAMES, before, after, limit, strict=True):
        # A quarter: an implementation rounds several times.
        assert abs(one - other) <= mpmath.mpf(float(allowed)) / 4, name


@pytest.mark.parametrize("window", [None, 5])
def test_tolerances_mean_something(window: int | None) -> None:
    """Away from ties some 100 eps of the natural size of each output; no vacuous atol."""
    rng = np.random.default_rng(0)
    c, h = rng.uniform(-3, 3, 500), np.exp(rng.uniform(np.log(0.1), np.log(30.0), 500))
    q = np.ones(500)
    limit = tolerances(c * q, q, h, max_level=127, window=window)
    assert limit.value.max() < 1000 * EPS
    assert np.median(limit.value) < 150 * EPS
    assert np.median(limit.dz) < 1000 * EPS
    assert np.median(limit.dq) < 3000 * EPS
    assert np.median(limit.dalpha) < 1000 * EPS
    wide = tolerances(c * q, q, h, max_level=127, window=window, dtype="float64")
    for narrow, double in zip(limit, wide, strict=True):
        # eps64 / eps32 is 2e-9; float64 has room for the noise of autograd on top.
        assert np.all(double < 1e-7 * narrow)
        assert np.median(double / narrow) < 1e-8


def test_a_tie_of_a_hard_quantizer_is_ill_conditioned() -> None:
    """At the tie a rounding decides; 0.3 steps away nothing does."""
    z, q, alpha = np.array([10.5, 10.2]), np.ones(2), np.full(2, 1e5)
    value = tolerances(z, q, alpha, max_level=127).value
    assert value[0] > 0.5
    assert value[1] < 1e-4


def test_every_constant_is_used() -> None:
    # Points where each of them is felt: soft, near a tie, and a result that cancels.
    z = np.array([0.3, 2.5003, 40.2, 0.0])
    q = np.ones(4)
    alpha = np.array([0.7, 400.0, 1e-3, 600.0])
    base = tolerances(z, q, alpha, max_level=127)
    for name in CONSTANTS._fields:
        doubled = CONSTANTS._replace(**{name: 2 * getattr(CONSTANTS, name)})
        wider = tolerances(z, q, alpha, max_level=127, constants=doubled)
        assert any(np.any(w > b) for w, b in zip(wider, base, strict=True)), name


def test_extremes_give_finite_positive_tolerances() -> None:
    z = np.array([0.0, -0.0, 1e30, -1e6, 3e-39, 5e-324, 1e300])
    q = np.array([1.0, 1e-30, 1.0, 1.0, 3e-39, 5e-324, 1e-5])
    alpha = np.array([1e-38, 1e38, 1e-38, 1e-6, 1.0, 1e300, 1e-300])
    for window in (None, 3):
        for dtype in ("float32", "float64"):
            limit = tolerances(z, q, alpha, max_level=127, window=window, dtype=dtype)
            for name, part in zip(NAMES, limit, strict=True):
                # q^3 of the smallest q has no float64.
                assert np.all(part >= 0), name
                assert np.all(np.isfinite(part[:4])), name
                assert np.all(part[:4] > 0) or name == "dalpha"


def test_shapes_broadcast_and_non_finite_inputs_are_refused() -> None:
    limit = tolerances(np.zeros((3, 1)), np.ones(4), 1.0, max_level=3)
    assert [part.shape for part in limit] == [(3, 4)] * 4
    assert np.all(limit.value == limit.value[0, 0])
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="must be finite"):
            tolerances(bad, 1.0, 1.0, max_level=3)


def test_a_given_window_is_the_windowed_quantizer() -> None:
    """Where no tie is near, the window that is given is the one that is chosen."""
    rng = np.random.default_rng(5)
    q = rng.uniform(0.1, 5, 200)
    n = rng.integers(-12, 13, 200).astype(float)
    z = (n + rng.uniform(-0.45, 0.45, 200)) * q
    alpha = rng.uniform(0.2, 3, 200) / q**2
    centre = np.clip(n, -10, 10)
    found, limit = windowed(z, q, alpha, centre, max_level=12, window=5, dtype="float64")
    expected = np.array(soft_quantize_partials(z, q, alpha, max_level=12, window=5))
    same = np.array(tolerances(z, q, alpha, max_level=12, window=5, dtype="float64"))
    assert np.all(np.abs(found - expected) <= same)
    np.testing.assert_allclose(limit, same, rtol=1e-12)


def test_only_ties_that_round_are_ambiguous() -> None:
    below = float(np.nextafter(np.float32(2.5), np.float32(0)))
    z = np.array([2.5, below, 2.4, 7.5, 4.5, 130.5, 126.5])
    q = np.array([1.0, 1.0, 1.0, 3.0, 3.0, 1.0, 1.0])
    ambiguous, centre, other = ambiguous_windows(z, q, max_level=127, window=5, dtype="float32")
    # Exact with q a power of two: half-up is strict. One ulp below it, or q = 3: either. Where
    # the window is pushed back anyway, no difference.
    assert ambiguous.tolist() == [False, True, False, True, True, False, False]
    assert centre[:5].tolist() == [3, 2, 2, 3, 2]
    assert other[[1, 3, 4]].tolist() == [3, 2, 1]
