"""The reference of the quantizer baselines against exact fractions, differences and identities."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oracles.baselines import ROUNDINGS, step_tolerances
from reference import (
    StepPartials,
    cubic_partials,
    hard_partials,
    hard_quantize,
    learned_steps,
    step_gradient_scale,
    straight_through_partials,
    uniform_noise_partials,
)
from tests.strategies import Points, points, seeds

EPS = 2.0**-52
NAMES = ["uniform_noise", "cubic", "straight_through", "hard"]


def partials(name: str, z: Any, q: Any, u: Any, max_level: int) -> StepPartials:
    if name == "uniform_noise":
        return uniform_noise_partials(z, q, u, max_level=max_level)
    functions = {
        "cubic": cubic_partials,
        "straight_through": straight_through_partials,
        "hard": hard_partials,
    }
    return functions[name](z, q, max_level=max_level)


def exactly(name: str, z: Fraction, q: Fraction, u: Fraction, end: int) -> list[Fraction]:
    """Value, d/dz and d/dq in rational arithmetic, from the definition q R(clip(z/q))."""
    c = z / q
    x = min(max(c, Fraction(-end)), Fraction(end))
    r = Fraction(math.floor(x + Fraction(1, 2)))
    rounded, slope = {
        "uniform_noise": (x + u, Fraction(1)),
        "cubic": (r + (x - r) ** 3, 3 * (x - r) ** 2),
        "straight_through": (r, Fraction(1)),
        "hard": (r, Fraction(0)),
    }[name]
    if abs(c) >= end:
        slope = Fraction(0)
    return [q * rounded, slope, rounded - slope * x]


@pytest.mark.parametrize("name", NAMES)
@given(p=points(), seed=seeds)
@example(p=Points(*(np.array([x]) for x in (0.5, 1.0, 1.0)), 3, None), seed=0)
@example(p=Points(*(np.array([x]) for x in (-0.5, 1.0, 1.0)), 3, None), seed=0)
@example(p=Points(*(np.array([x]) for x in (3.0, 1.0, 1.0)), 3, None), seed=0)
@example(p=Points(*(np.array([x]) for x in (np.nextafter(-3.0, 0), 1.0, 1.0)), 3, None), seed=0)
@example(p=Points(*(np.array([x]) for x in (np.nextafter(0.5, 0), 1.0, 1.0)), 3, None), seed=0)
def test_values_and_gradients_are_those_of_exact_arithmetic(name, p, seed):
    u = np.random.default_rng(seed).uniform(-0.5, 0.5, p.z.shape)
    got = partials(name, p.z, p.q, u, p.max_level)
    tolerance = step_tolerances(p.z, p.q, max_level=p.max_level, dtype="float64")
    for i in range(len(p.z)):
        z, q, noise = (Fraction(float(a[i])) for a in (p.z, p.q, u))
        wanted = exactly(name, z, q, noise, p.max_level)
        for ours, want, allowed in zip(got, wanted, tolerance, strict=True):
            assert abs(Fraction(float(ours[i])) - want) <= Fraction(float(allowed[i]))


@given(level=st.integers(-6, 6), f=st.floats(-0.45, 0.45), log_q=st.floats(-4, 2), seed=seeds)
def test_gradients_of_noise_and_cubic_are_those_of_the_value(level, f, log_q, seed):
    # Away from ties and ends. Central differences of step s q are off by (s q)^2 / 6 times the
    # third derivative, 6 / q^2 in z and less than 6 (1 + |c|)^3 / q^2 in q, and by rounding.
    q, s = 10.0**log_q, 1e-4
    z = (level + f) * q
    u = np.random.default_rng(seed).uniform(-0.5, 0.5)
    step = s * q / (1 + abs(level))  # in q it moves z/q by up to |c| times as much
    for name in ("uniform_noise", "cubic"):

        def value(a, b, name=name):
            return float(partials(name, a, b, u, 7).value)

        _, dz, dq = partials(name, z, q, u, 7)
        noise = 40 * EPS * (1 + abs(level)) ** 2 / s
        bound = 2 * s * s * (1 + abs(level)) + noise
        assert abs((value(z + step, q) - value(z - step, q)) / (2 * step) - dz) <= bound
        assert abs((value(z, q + step) - value(z, q - step)) / (2 * step) - dq) <= bound


@pytest.mark.parametrize("name", NAMES)
@given(p=points(), seed=seeds)
def test_each_is_homogeneous_of_degree_one(name, p, seed):
    # Euler: z Q_z + q Q_q = Q, for the stand-ins of the straight-through gradient as well.
    u = np.random.default_rng(seed).uniform(-0.5, 0.5, p.z.shape)
    value, dz, dq = partials(name, p.z, p.q, u, p.max_level)
    size = np.abs(p.z * dz) + p.q * (np.abs(dq) + 1 + np.abs(value / p.q))
    assert (np.abs(p.z * dz + p.q * dq - value) <= ROUNDINGS * EPS * size).all()


@given(level=st.integers(-7, 7), f=st.floats(-0.499, 0.499))
def test_cubic_and_straight_through_are_odd(level, f):
    z = level + f
    for name in ("cubic", "straight_through"):
        plus, minus = (partials(name, s * z, 1.0, 0.0, 7) for s in (1, -1))
        assert (minus.value, minus.dz, minus.dq) == (-plus.value, plus.dz, -plus.dq)


@given(points())
def test_straight_through_and_hard_have_the_value_of_the_uniform_quantizer(p):
    wanted = hard_quantize(p.z, p.q, max_level=p.max_level)
    for name in ("straight_through", "hard"):
        got = partials(name, p.z, p.q, 0.0, p.max_level).value
        np.testing.assert_array_equal(got, wanted)


@given(p=points(), seed=seeds)
def test_noise_without_bias_and_within_one_bin_of_the_saturated_coefficient(p, seed):
    u = np.random.default_rng(seed).uniform(-0.5, 0.5, p.z.shape)
    plus, minus = (partials("uniform_noise", p.z, p.q, s * u, p.max_level) for s in (1, -1))
    end = p.max_level * p.q
    cut = np.clip(p.z, -end, end)
    size = 4 * EPS * (np.abs(cut) + p.q)
    assert (np.abs((plus.value + minus.value) / 2 - cut) <= size).all()
    assert (np.abs(plus.value) <= (p.max_level + 0.5) * p.q * (1 + EPS)).all()


@pytest.mark.parametrize("name", NAMES)
def test_infinity_saturates_and_nan_stays_where_it_was(name):
    z = np.array([np.inf, -np.inf, np.nan, 1e308, 0.3])
    value, dz, dq = partials(name, z, 0.5, 0.25, 7)
    shift = 0.25 if name == "uniform_noise" else 0.0
    ends = np.array([7 + shift, -7 + shift])
    np.testing.assert_array_equal(value[:2], 0.5 * ends)
    np.testing.assert_array_equal(dq[:2], ends)
    np.testing.assert_array_equal(dz[[0, 1, 3]], 0)
    for part in (value, dz, dq):
        np.testing.assert_array_equal(np.isnan(part), np.isnan(z))


def test_gradient_scale_acts_on_the_step_alone():
    z = np.linspace(-9, 9, 37)
    plain = straight_through_partials(z, 1.0, max_level=7)
    scaled = straight_through_partials(z, 1.0, max_level=7, gradient_scale=0.125)
    np.testing.assert_array_equal(scaled.value, plain.value)
    np.testing.assert_array_equal(scaled.dz, plain.dz)
    np.testing.assert_array_equal(scaled.dq, 0.125 * plain.dq)
    assert step_gradient_scale(784, 127) == 1 / math.sqrt(784 * 127)
    assert step_gradient_scale(1, 1) == 1.0


def test_learned_steps_follow_the_footnote():
    mean = np.array([[0.5, 8.0], [1e-9, 300.0]])
    np.testing.assert_allclose(learned_steps(mean, bits=8), 2 * mean / 255**0.5, rtol=4 * EPS)
    # Of the same mean: the ImageNet rule of section 4 starts from larger steps, by sqrt(2).
    ratio = 2 / math.sqrt(2**7) / learned_steps(1.0, bits=8)
    assert ratio == pytest.approx(math.sqrt(2), rel=2e-3)  # 255 is not 256


def test_broadcasting():
    z, q = np.linspace(-9, 9, 12).reshape(3, 4), np.array([0.5, 1.0, 2.0])[:, None]
    u = np.full((1, 4), 0.25)
    for name in NAMES:
        full = partials(name, z, np.broadcast_to(q, z.shape), np.broadcast_to(u, z.shape), 7)
        for a, b in zip(partials(name, z, q, u, 7), full, strict=True):
            assert a.shape == (3, 4)
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: uniform_noise_partials(1.0, 1.0, 0.6, max_level=3), ValueError, "noise must lie"),
        (lambda: uniform_noise_partials(1.0, 1.0, np.nan, max_level=3), ValueError, "noise must"),
        (
            lambda: uniform_noise_partials(np.ones(2), 1.0, np.zeros(3), max_level=3),
            ValueError,
            r"noise must broadcast to the shape of z and q, \(2,\), got \(3,\)",
        ),
        (
            lambda: uniform_noise_partials(np.ones(2), 1.0, np.zeros((3, 2)), max_level=3),
            ValueError,
            "noise must broadcast",
        ),
        (lambda: cubic_partials(1.0, 0.0, max_level=3), ValueError, "q must be positive"),
        (lambda: cubic_partials(1.0, 1.0, max_level=0), ValueError, "max_level must be at least"),
        (lambda: hard_partials("1", 1.0, max_level=3), TypeError, "z must be real numbers"),
        (
            lambda: straight_through_partials(1.0, 1.0, max_level=3, gradient_scale=0.0),
            ValueError,
            "gradient_scale must be a positive number",
        ),
        (
            lambda: straight_through_partials(1.0, 1.0, max_level=3, gradient_scale=np.inf),
            ValueError,
            "gradient_scale must be a positive number",
        ),
        (lambda: step_gradient_scale(0, 3), ValueError, "count must be at least 1"),
        (lambda: step_gradient_scale(1.5, 3), TypeError, "count must be an integer"),
        (lambda: step_gradient_scale(1, 0), ValueError, "max_level must be at least 1"),
        (lambda: learned_steps([1.0, 0.0], bits=8), ValueError, "mean_magnitude must be positive"),
        (lambda: learned_steps(1.0, bits=1), ValueError, "bits must be at least 2"),
        (lambda: learned_steps(1.0, bits=8.0), TypeError, "bits must be an integer"),
    ],
)
def test_wrong_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
