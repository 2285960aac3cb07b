"""The substitutes of rounding, floor and clipping: values, derivatives, jumps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.standard import CHROMINANCE_TABLE, LUMINANCE_TABLE, annex_k_tables
from reference.surrogates import (
    KINDS,
    SMALLEST_STEP,
    Surrogate,
    quality_scale,
    scaled_table,
    soft_clip,
    soft_floor,
    soft_round,
)

BASE = np.stack([LUMINANCE_TABLE, CHROMINANCE_TABLE])
# Noise has tests of its own.
FIXED = [kind for kind in KINDS if kind != "uniform_noise"]
SMOOTH = [kind for kind in FIXED if kind != "straight_through"]
QUALITIES = np.arange(1, 101)
# Off the ties and the integers, on both sides of zero.
GENERIC = np.array([-7.81, -2.34, -0.77, -0.5001, -0.21, 0.03, 0.26, 0.49, 0.51, 1.7, 6.4, 300.3])
STEP = 1e-6
# A central difference errs by STEP^2 f''' / 6: f''' of the Fourier series and of the sigmoid is
# below 1e5, so by less than 1e-7; rounding adds 2e-16 * 300 / 1e-6.
DIFFERENCE = 2e-7


def nearest(x):
    return np.array([math.floor(v + 0.5) for v in np.ravel(x)], dtype=float).reshape(np.shape(x))


def _mean_and_variance(x):
    """Of whole numbers k weighed by exp(-10 (x - k)^2), and 2 alpha Var: JPEG-DL, eq. (5)-(7)."""
    weights = {k: math.exp(-10 * (x - k) ** 2) for k in range(-6, 12)}
    total = math.fsum(weights.values())
    mean = math.fsum(k * w for k, w in weights.items()) / total
    return mean, 20 * math.fsum((k - mean) ** 2 * w for k, w in weights.items()) / total


# Rounding


def test_kinds_at_one_point_by_hand():
    x = 2.3  # r = 2, d = 0.3
    # Pencil values of the thesis's formulas, with math.tanh for the one printed as tanh.
    expected = {
        "cubic": (2.027, 0.27),
        "linear": (2.03, 0.1),
        "fourier": (
            2.3
            - sum(
                (-1) ** (k + 1) / (k * math.pi) * math.sin(2 * math.pi * k * x)
                for k in range(1, 11)
            ),
            1 - 2 * sum((-1) ** (k + 1) * math.cos(2 * math.pi * k * x) for k in range(1, 11)),
        ),
        "sigmoid": (
            2 + 1 / (1 + math.exp(12)),
            60 * math.exp(12) / (1 + math.exp(12)) ** 2,
        ),
        "tanh": (2.5 + math.tanh(-1) / 2, 2.5 / math.cosh(1) ** 2),
        "straight_through": (2.0, 1.0),
        "soft": _mean_and_variance(2.3),
    }
    assert set(expected) == set(FIXED)
    for kind, (value, derivative) in expected.items():
        found = soft_round(x, kind)
        # A few roundings of numbers up to 12.
        assert found.value == pytest.approx(value, rel=1e-13), kind
        assert found.derivative == pytest.approx(derivative, rel=1e-12), kind


@pytest.mark.parametrize("part", [soft_round, soft_floor])
@pytest.mark.parametrize("kind", SMOOTH)
def test_the_derivative_is_that_of_the_value(part, kind):
    central = (part(GENERIC + STEP, kind).value - part(GENERIC - STEP, kind).value) / (2 * STEP)
    np.testing.assert_allclose(part(GENERIC, kind).derivative, central, rtol=1e-6, atol=DIFFERENCE)


@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize(("part", "kink"), [(soft_round, 3.5), (soft_floor, 3.0)])
def test_one_sided_derivatives_agree_where_the_rounding_jumps(part, kink, kind):
    right = (part(kink + STEP, kind).value - part(kink, kind).value) / STEP
    # The value at the kink belongs to the right; the left limit is one number below.
    below = np.nextafter(kink, 0)
    left = (part(below, kind).value - part(below - STEP, kind).value) / STEP
    # One-sided differences err by STEP |f''| / 2 with |f''| = 3 (cubic), and by 60^2 STEP^2 or
    # (20 pi)^2 STEP^2 of the slope where f'' is 0; rounding of values near 3 by 1e-9.
    np.testing.assert_allclose([left, right], part(kink, kind).derivative, rtol=1e-4)
    assert part(below, kind).derivative == pytest.approx(
        float(part(kink, kind).derivative), rel=1e-9
    )


# What is left of the jump of 1: 2 g(1/2) less than it, by the formulas.
JUMPS = {"cubic": 0.75, "linear": 0.9, "fourier": 0.0, "sigmoid": 0.0, "tanh": 0.0, "soft": 0.0}


@pytest.mark.parametrize("kind", JUMPS)
def test_how_far_each_kind_jumps_at_a_tie(kind):
    below = np.nextafter(2.5, 0)
    jump = soft_round(2.5, kind).value - soft_round(below, kind).value
    # Steepness 60 times the spacing of doubles at 2.5.
    assert jump == pytest.approx(JUMPS[kind], abs=1e-13)


@pytest.mark.parametrize("kind", FIXED)
@given(x=st.floats(-1e6, 1e6), step=st.integers(-1000, 1000))
def test_rounding_is_odd_off_ties_and_moves_with_integers(kind, x, step):
    d = x - nearest(x)
    if abs(d) < 0.4999 and abs(d) > 1e-9:  # at 0 tanh and sigmoid jump: 0 belongs to the right
        # A million has a spacing of 1e-10; steepness 60.
        assert soft_round(-x, kind).value == pytest.approx(-soft_round(x, kind).value, abs=1e-8)
        moved = soft_round(d + step, kind)
        assert moved.value - step == pytest.approx(soft_round(d, kind).value, abs=1e-8)


@pytest.mark.parametrize("kind", FIXED)
@given(x=st.floats(-1e6, 1e6))
def test_straight_through_has_the_value_of_rounding_and_the_derivative_of_the_kind(kind, x):
    found = soft_round(x, kind, straight_through=True)
    assert found.value == math.floor(x) + (x - math.floor(x) >= 0.5)
    assert found.derivative == soft_round(x, kind).derivative
    floor = soft_floor(x, kind, straight_through=True)
    assert floor.value == math.floor(x)
    assert floor.derivative == soft_floor(x, kind).derivative


@pytest.mark.parametrize("kind", FIXED)
def test_ties_go_up_and_the_number_below_one_half_does_not(kind):
    x = np.array([-1.5, -0.5, 0.5, 1.5, 2.5, np.nextafter(0.5, 0)])
    found = soft_round(x, kind, straight_through=True).value
    assert found.tolist() == [-1, 0, 1, 2, 3, 0]


@pytest.mark.parametrize("kind", FIXED)
def test_floor_is_rounding_of_half_less(kind):
    # The subtraction of 1/2 is exact for these: quarters.
    x = np.arange(-40, 41) / 4
    floor, rounded = soft_floor(x, kind), soft_round(x - 0.5, kind)
    assert np.array_equal(floor.value, rounded.value)
    assert np.array_equal(floor.derivative, rounded.derivative)


@pytest.mark.parametrize(("kind", "height"), [("cubic", 1 / 8), ("linear", 0.05), ("sigmoid", 0.5)])
def test_a_whole_number_is_half_way_up_the_floor(kind, height):
    assert soft_floor(7.0, kind).value == pytest.approx(7 - height, abs=1e-12)  # e^-30


@pytest.mark.parametrize(("part", "shift"), [(soft_round, 0.0), (soft_floor, 0.5)])
def test_noise_is_added_to_what_is_not_rounded(part, shift):
    noise = np.linspace(-0.5, 0.5, GENERIC.size)
    found = part(GENERIC, "uniform_noise", noise=noise)
    np.testing.assert_allclose(found.value, GENERIC - shift + noise, rtol=0, atol=1e-13)
    assert (found.derivative == 1).all()
    true = part(GENERIC, "uniform_noise", straight_through=True)
    assert np.array_equal(true.value, part(GENERIC, "cubic", straight_through=True).value)
    assert (true.derivative == 1).all()
    with pytest.raises(ValueError, match="noise must be given for uniform_noise"):
        part(GENERIC, "uniform_noise")
    with pytest.raises(ValueError, match="noise is for uniform_noise alone, not for cubic"):
        part(GENERIC, "cubic", noise=noise)


def test_a_function_may_stand_for_rounding():
    def half(x):
        return Surrogate(x / 2, np.full_like(x, 0.5))

    found = soft_round(GENERIC, half)
    assert np.array_equal(found.value, GENERIC / 2)
    assert np.array_equal(soft_floor(GENERIC, half).value, (GENERIC - 0.5) / 2)
    for part in (soft_round, soft_floor):
        true = part(GENERIC, half, straight_through=True)
        assert np.array_equal(true.value, part(GENERIC, "cubic", straight_through=True).value)
        assert (true.derivative == 0.5).all()


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match=r"kind must be one of cubic, .* got 'quartic'"):
        soft_round(1.0, "quartic")
    with pytest.raises(ValueError, match="kind must be one of"):
        soft_floor(1.0, "quartic")


# Clipping


def test_clipping_inside_outside_and_at_the_ends():
    x = np.array([-100.0, 0.0, 0.5, 255.0, 300.0])
    soft = soft_clip(x, 0, 255)
    np.testing.assert_allclose(soft.value, [-0.1, 0, 0.5, 255, 255.045], rtol=1e-15)
    assert soft.derivative.tolist() == [1e-3, 1, 1, 1, 1e-3]
    true = soft_clip(x, 0, 255, straight_through=True)
    assert true.value.tolist() == [0, 0, 0.5, 255, 255]
    assert np.array_equal(true.derivative, soft.derivative)
    hard = soft_clip(x, 0, 255, slope=0)
    assert np.array_equal(hard.value, true.value)
    assert hard.derivative.tolist() == [0, 1, 1, 1, 0]
    assert np.array_equal(soft_clip(x, 0, 255, slope=1).value, x)


@pytest.mark.parametrize("slope", [-1e-9, 1.1, math.nan])
def test_the_slope_lies_between_0_and_1(slope):
    with pytest.raises(ValueError, match=r"slope must lie in \[0, 1\]"):
        soft_clip(1.0, 0, 255, slope=slope)


# Tables of a quality


def test_straight_through_tables_are_those_of_libjpeg():
    for quality in QUALITIES:
        scale = quality_scale(quality, straight_through=True).value
        table = scaled_table(BASE, scale, straight_through=True).value
        assert np.array_equal(table, annex_k_tables(int(quality))), quality


@pytest.mark.parametrize("kind", FIXED)
def test_soft_tables_are_near_those_of_libjpeg(kind):
    for quality in QUALITIES:
        scale = quality_scale(quality, kind)
        table = scaled_table(BASE, scale.value, floor=kind)
        # A floor is off by at most 1/2, or 0.6 where Fourier overshoots. That of the scale moves
        # 121 * scale / 100 by less than 1, so its floor by one step, and 0.6 on top. Beyond 255
        # the slope adds 1e-3 * (121 * 50 - 255) < 5.8.
        assert np.abs(table.value - annex_k_tables(int(quality))).max() < 1.6 + 5.8
        assert (table.value > 0.99).all()
        assert np.isfinite(table.derivative).all()
        assert np.isfinite(scale.derivative).all()


def test_the_scale_is_smooth_at_50_before_the_floor():
    below, at = quality_scale(np.array([np.nextafter(50, 0), 50.0]), None).value
    assert at == 100
    assert below == pytest.approx(100, abs=1e-12)
    slope = quality_scale(np.array([np.nextafter(50, 0), 50.0]), None).derivative
    np.testing.assert_allclose(slope, -2, rtol=1e-12)


@pytest.mark.parametrize("quality", [1.0, 7.3, 49.2, 50.3, 88.8, 100.0])
@pytest.mark.parametrize("floor", [None, *SMOOTH])
def test_derivatives_of_scale_and_table(quality, floor):
    # Off the kinks: whole percents are where the floor jumps.
    q = quality + 0.0123
    if quality == 100:
        q = 99.987
    step = STEP / 5000  # the scale falls by up to 5000 a unit of quality
    ends = quality_scale(np.array([q - step, q + step]), floor).value
    # A scale of 5000 rounds by 1e-12, and a step of 2e-10 divides it.
    slope = quality_scale(q, floor).derivative
    assert slope == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-3, abs=5e-3)
    scale = quality_scale(q, floor).value + 0.00321
    table = scaled_table(BASE, scale, floor=floor)
    ends = scaled_table(
        BASE, scale + np.array([-STEP, STEP])[:, None, None, None], floor=floor
    ).value
    # Steps of 6000 round by 1e-12, and STEP divides it.
    np.testing.assert_allclose(
        table.derivative, (ends[1] - ends[0]) / (2 * STEP), rtol=1e-3, atol=1e-6
    )


def test_without_parts_the_table_is_that_of_shin_and_song():
    table = scaled_table(BASE, 37.0, floor=None, slope=None)
    assert np.array_equal(table.value, BASE * 37.0 / 100)
    assert np.array_equal(table.derivative, BASE / 100)
    none = scaled_table(BASE, 0.0, floor=None, slope=None)  # quality 100
    assert (none.value == SMALLEST_STEP).all()
    assert (none.derivative == 0).all()
    assert scaled_table(BASE, 5000.0, floor=None).value.max() == pytest.approx(
        255 + 1e-3 * (121 * 50 - 255)
    )
