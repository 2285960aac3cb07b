"""The constant-cost soft quantizer against exact arithmetic, the plain sum and its identities.

Errors are measured in units of eps64 times the natural scale of each quantity:

    value     E|V| + |z Q_z| + |q Q_q| + |alpha Q_alpha|     what rounding the inputs does
    d/dz      2 h Var + 1
    d/dq      E|V| + 2 h (E|V-E|^3 + (2|E| + |c|) Var) + 1 + min(|c|, L)
    d/dalpha  (E|V-E|^3 + 2 |E-c| Var + 1) q^3

(V the random level, E its mean; no factor 1 + |c| on the partials, which sound float64 softmaxes
need). Worst measured over 1.4 million points: 2.5, 3.5, 2.2 and 8.6 (docs/constant_cost.md).
"""

from __future__ import annotations

import math
from fractions import Fraction
from types import ModuleType
from typing import NamedTuple

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import constant_cost, constant_cost_compiled, high_precision
from reference.cpmf import nearest_level

EPS = 2.0**-52
TINY = float(np.finfo(np.float64).tiny)
SMALLEST = 5e-324  # spacing of subnormal numbers: nothing smaller can be represented
# C = 16 is the contract for values; the partials get about twice the worst measured.
LIMITS = (16.0, 6.0, 4.0, 25.0)
LEVELS = (1, 2, 3, 7, 31, 32, 127, 1023, 2047)
BOTH = pytest.mark.parametrize("impl", [constant_cost, constant_cost_compiled], ids=["np", "jit"])


class Exact(NamedTuple):
    partials: tuple[mpmath.mpf, ...]
    scales: tuple[mpmath.mpf, ...]  # natural scales of the four, in their own units


def exact(z: float, q: float, alpha: float, max_level: int) -> Exact:
    """Plain sum over the levels in 60 digits from exact rationals, tails below 1e-80 left out."""
    z_, q_, alpha_ = Fraction(z), Fraction(q), Fraction(alpha)
    c = z_ / q_
    r = max(-max_level, min(max_level, math.floor(c + Fraction(1, 2))))
    with mpmath.workdps(60):
        h, d, cm, qm = (to_mp(x) for x in (alpha_ * q_ * q_, c - r, c, q_))
        g = 2 * h * d
        weights = {0: mpmath.mpf(1)}
        for side, count in ((1, max_level - r), (-1, max_level + r)):
            weight, ratio, step = mpmath.mpf(1), mpmath.exp(side * g - h), mpmath.exp(-2 * h)
            floor = mpmath.mpf("1e-80") * min(ratio, 1)
            for k in range(1, count + 1):
                weight *= ratio
                ratio *= step
                weights[side * k] = weight
                if weight < floor:
                    break
        total = mpmath.fsum(weights.values())
        mean = mpmath.fsum(k * w for k, w in weights.items()) / total
        powers = [(k - mean, w / total) for k, w in weights.items()]
        var = mpmath.fsum(w * y**2 for y, w in powers)
        mu3 = mpmath.fsum(w * y**3 for y, w in powers)
        spread = mpmath.fsum(w * abs(y) ** 3 for y, w in powers)
        size = mpmath.fsum(w * abs(r + k) for k, w in weights.items()) / total
        level = r + mean
        dz, dq = 2 * h * var, level - 2 * h * (mu3 + (level + mean - d) * var)
        dalpha = -(mu3 + 2 * (mean - d) * var)
        return Exact(
            (qm * level, dz, dq, qm**3 * dalpha),
            (
                qm * (size + abs(cm * dz) + abs(dq) + abs(h * dalpha) + TINY / EPS),
                dz + 1,
                size
                + 2 * h * (spread + (2 * abs(level) + abs(cm)) * var)
                + 1
                + min(abs(cm), max_level),
                qm**3 * (spread + 2 * abs(mean - d) * var + 1),
            ),
        )


def to_mp(x: Fraction | int) -> mpmath.mpf:
    return mpmath.mpf(Fraction(x).numerator) / Fraction(x).denominator


def assert_accurate(impl: ModuleType, z: float, q: float, alpha: float, max_level: int) -> None:
    truth = exact(z, q, alpha, max_level)
    got = impl.soft_quantize_partials(z, q, alpha, max_level=max_level)
    for name, have, want, scale, limit in zip(
        got._fields, got, truth.partials, truth.scales, LIMITS, strict=True
    ):
        if math.isinf(have):  # only where the truth is beyond float64
            assert abs(want) > np.finfo(float).max * (1 - EPS), name
            continue
        error = abs(mpmath.mpf(float(have)) - want)
        assert error <= limit * EPS * scale + SMALLEST, (
            f"{name} at z={z!r}, q={q!r}, alpha={alpha!r}, max_level={max_level}: {float(have)!r}, "
            f"exact {mpmath.nstr(want, 20)}, error {float(error / (EPS * scale)):.3g} > {limit}"
        )


def adversarial(count: int, max_level: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points crowded on regime boundaries, ties, levels, ends and far outside; h in 1e-6..1e6."""
    rng = np.random.default_rng(seed)
    h = 10 ** rng.uniform(-6, 6, count)
    level = rng.integers(0, max_level + 1, count)
    hs = [
        h,
        10 ** rng.uniform(-6, 0.7, count),
        np.pi * (1 + 1e-3 * rng.normal(size=count) * rng.integers(0, 2, count)),
        45 / (rng.integers(1, 130, count) + rng.uniform(-0.6, 0.6, count)) ** 2,  # k-th level
        10 ** rng.uniform(-4, 2.5, count) / max_level**2,  # both ends within reach
    ]
    h = np.choose(rng.integers(0, len(hs), count), hs)
    h = np.clip(h, 1e-6, 1e6)
    near = 10 ** rng.uniform(-16, -1, count) * rng.choice([-1, 1], count)
    cs = [
        rng.uniform(0, 1.3 * max_level, count),
        level + 0.5,
        level * 1.0,
        max_level + rng.normal(size=count) * np.sqrt(45 / h),
        max_level + 10 ** rng.uniform(-2, 2, count) * np.minimum(1 / h, 1e6 * max_level),
        10 ** rng.uniform(-18, 0, count),
        max_level * 10 ** rng.uniform(-1, 6, count),
        level + near + rng.choice([0, 0.5], count),
    ]
    c = np.choose(rng.integers(0, len(cs), count), cs) * rng.choice([-1, 1], count)
    # Powers of two as steps keep ties exact; the others round them.
    q = np.where(
        rng.integers(0, 2, count), 2.0 ** rng.integers(-8, 8, count), 10 * rng.random(count)
    )
    return c * q, q, h / q**2


def regimes(z: np.ndarray, q: np.ndarray, alpha: np.ndarray, max_level: int) -> np.ndarray:
    with np.errstate(all="ignore"):
        return constant_cost._regime(constant_cost._localize(np.abs(z), q, alpha, max_level))


@BOTH
@pytest.mark.parametrize("max_level", LEVELS)
def test_matches_exact_arithmetic(impl: ModuleType, max_level: int) -> None:
    count = {1023: 60, 2047: 30}.get(max_level, 150)
    points = adversarial(count, max_level, seed=max_level)
    seen = set(regimes(*points, max_level).tolist())
    assert seen >= ({1} if max_level < 7 else {0, 1, 2} if max_level < 32 else {0, 1, 2, 3})
    for z, q, alpha in zip(*(p.tolist() for p in points), strict=True):
        assert_accurate(impl, z, q, alpha, max_level)


def test_the_judge_agrees_with_the_arbiter() -> None:
    for z, q, alpha in zip(*(p.tolist() for p in adversarial(40, 7, seed=5)), strict=True):
        truth = exact(z, q, alpha, 7)
        arbiter = high_precision.soft_quantize_partials(z, q, alpha, max_level=7)
        for have, want, scale in zip(truth.partials, arbiter, truth.scales, strict=True):
            assert abs(have - want) <= 1e-30 * scale  # the arbiter has 40 digits of its own


def plain_sum(
    z: np.ndarray, q: np.ndarray, alpha: np.ndarray, max_level: int
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Partials, and tolerances that cover this sum's own rounding: all levels, no shortcut."""
    nearest, distance = nearest_level(z, q, max_level)
    k = np.arange(-max_level, max_level + 1) - nearest[:, None]
    # 2 distance - k q is exact at ties, where a rounding would be multiplied by h.
    exponent = (alpha * q)[:, None] * k * (2 * distance[:, None] - k * q[:, None])
    p = np.exp(exponent)
    p /= p.sum(axis=-1, keepdims=True)
    mean = (p * k).sum(axis=-1)
    y = k - mean[:, None]
    var, mu3, spread = ((p * f).sum(axis=-1) for f in (y**2, y**3, np.abs(y) ** 3))
    size = (p * np.abs(nearest[:, None] + k)).sum(axis=-1)
    c, h, level, excess = z / q, alpha * q * q, nearest + mean, mean - distance / q
    dz, dq = 2 * h * var, level - 2 * h * (mu3 + (level + excess) * var)
    dalpha = -(q**3) * (mu3 + 2 * excess * var)
    inputs = np.abs(z * dz) + np.abs(q * dq) + np.abs(alpha * dalpha)
    near = np.minimum(np.abs(c), max_level)
    # The contract, twice for the value (both sides round). A weight w has an error of eps h w,
    # which shows where a single level dominates: about level 0 in the value itself.
    size_rounded = size * (1 + np.where(nearest == 0, h / 16, 0))
    curved = 2 * h * (spread + (2 * np.abs(level) + np.abs(c)) * var)
    return (q * level, dz, dq, dalpha), (
        32 * EPS * (q * size_rounded + inputs) + TINY * q,
        64 * EPS * (dz + 1),
        64 * EPS * (size + curved + 1 + near),
        200 * EPS * q**3 * (spread + 2 * np.abs(excess) * var + 1),
    )


@BOTH
@pytest.mark.parametrize("max_level", LEVELS)
def test_matches_the_plain_sum(impl: ModuleType, max_level: int) -> None:
    count = 20_000 if max_level < 100 else 4_000 if max_level < 1000 else 800
    z, q, alpha = adversarial(count, max_level, seed=70 + max_level)
    got = impl.soft_quantize_partials(z, q, alpha, max_level=max_level)
    want, tolerances = plain_sum(z, q, alpha, max_level)
    for name, have, wanted, tolerance in zip(got._fields, got, want, tolerances, strict=True):
        excess = np.abs(have - wanted) / tolerance
        worst = int(excess.argmax())
        assert excess[worst] <= 1, (name, z[worst], q[worst], alpha[worst], excess[worst])


@BOTH
@pytest.mark.parametrize("max_level", [1, 7, 127])
@pytest.mark.parametrize("h", [1e-300, 1e-100, 1e-20, 1e-9, 1e9, 1e100, 1e300])
def test_extreme_hardness(impl: ModuleType, max_level: int, h: float) -> None:
    q = 0.75
    cs = [0.0, 1e-300, 0.25, 0.5, 1.0, max_level - 0.5, max_level, max_level + 0.5]
    cs += [math.nextafter(0.5, 0), math.nextafter(max_level - 0.5, 99), 1.5 * max_level]
    # Far outside, where 2 h d decides: slopes from 1e-3 to 600.
    cs += [max_level + g / (2 * h) for g in (1e-3, 1.0, 50.0, 600.0) if h < 1]
    for c in cs:
        for z in (c * q, -c * q):
            if abs(z) < 1e250:
                assert_accurate(impl, z, q, h / q**2, max_level)


@BOTH
@pytest.mark.parametrize(("z", "q", "alpha"), [(1e300, 1.0, 1e-300), (1e300, 1e-5, 1e-296)])
def test_so_far_outside_that_hardness_underflows(
    impl: ModuleType, z: float, q: float, alpha: float
) -> None:
    # Slopes 2 alpha q z of 2 and 0.2: neither saturated nor uniform.
    assert_accurate(impl, z, q, alpha, 7)
    assert_accurate(impl, -z, q, alpha, 127)
    # Where z / q overflows too, the value still follows the slope, 2 alpha q z = 2.
    got = impl.soft_quantize(1e308, 1e-3, 1e-305, max_level=7)
    assert abs(got - float(exact(1e308, 1e-3, 1e-305, 7).partials[0])) < 1e-17


@BOTH
@given(st.integers(-160_000, 160_000), st.integers(-500, 500), st.floats(1e-4, 1e3))
def test_scale_identity_is_exact_for_powers_of_two(
    impl: ModuleType, c: int, exponent: int, h: float
) -> None:
    # Q(s z, s q, alpha / s^2) = s Q: s = 2^n changes exponents only, so no rounding.
    s = math.ldexp(1.0, exponent)
    base = impl.soft_quantize_partials(c / 4096, 1.0, h, max_level=35)
    got = impl.soft_quantize_partials(c / 4096 * s, s, h / s / s, max_level=35)
    assert got.value == base.value * s
    assert (got.dz, got.dq) == (base.dz, base.dq)
    with np.errstate(over="ignore", under="ignore"):
        assert got.dalpha == base.dalpha * s * s * s


@BOTH
@pytest.mark.parametrize("q", [SMALLEST, 3e-310, 1e-200, 1e200, 1e300, 1.5e308])
@pytest.mark.parametrize("alpha", [SMALLEST, 1e-310, 1e-200, 1.0, 1e200, 1.7e308])
def test_subnormal_and_huge_arguments(impl: ModuleType, q: float, alpha: float) -> None:
    for z in (0.0, SMALLEST, 0.5 * q, q, 1.5 * q, 6.4 * q, 7.5 * q, 1e4 * q, 1e308):
        if math.isfinite(z) and z / q < 1e270:
            assert_accurate(impl, z, q, alpha, 7)


POINTS = given(
    st.floats(0, 1.3),
    st.floats(-6, 6),
    st.floats(1e-2, 1e2),
    st.sampled_from(LEVELS),
)


@BOTH
@POINTS
def test_oddness_bound_and_euler(
    impl: ModuleType, part: float, log_h: float, q: float, max_level: int
) -> None:
    z, alpha = part * max_level * q, 10**log_h / q**2
    plus = impl.soft_quantize_partials(z, q, alpha, max_level=max_level)
    minus = impl.soft_quantize_partials(-z, q, alpha, max_level=max_level)
    assert (minus.value, minus.dz) == (-plus.value, plus.dz)
    assert (minus.dq, minus.dalpha) == (-plus.dq, -plus.dalpha)
    assert -EPS * q <= plus.value <= max_level * q
    assert plus.dz >= 0
    # z Q_z + q Q_q - 2 alpha Q_alpha = Q, each term good to its share of 25 units of its scale.
    terms = (z * plus.dz, q * plus.dq, -2 * alpha * plus.dalpha)
    h = alpha * q * q
    scale = z + (1 + h) * q * (1 + z / q) + sum(abs(t) for t in terms)
    assert abs(sum(terms) - plus.value) <= 60 * EPS * scale * max(1, 1 / math.sqrt(h))


@BOTH
@given(st.floats(0, 1.2), st.floats(-5, 3), st.sampled_from([3, 40, 127]))
def test_monotone_in_z(impl: ModuleType, part: float, log_h: float, max_level: int) -> None:
    c, alpha = part * max_level, 10**log_h
    # Steps of 1e-7 are far above rounding, so nothing may go down beyond it.
    value = impl.soft_quantize(c + 1e-7 * np.arange(50), 1.0, alpha, max_level=max_level)
    assert np.diff(value).min() >= -32 * EPS * max_level


@BOTH
def test_an_end_does_not_know_how_far_the_other_is(impl: ModuleType) -> None:
    # Shifting z and L by the same number of levels changes nothing while the other end is out of
    # reach: L = 2^20 costs what L = 1023 costs. Dyadic steps and offsets keep the shift exact.
    far, near = 1 << 20, 1023
    for h in (1e-3, 0.02, 0.5, 3.0, 4.0, 1e3):
        c = near + np.linspace(-60, 60, 241)
        small = impl.soft_quantize_partials(c, 1.0, h, max_level=near)
        large = impl.soft_quantize_partials(c + (far - near), 1.0, h, max_level=far)
        np.testing.assert_allclose(large.value - (far - near), small.value, rtol=0, atol=2e-10)
        np.testing.assert_array_equal(large.dz, small.dz)
        np.testing.assert_array_equal(large.dalpha, small.dalpha)


def test_number_of_terms_is_bounded() -> None:
    for max_level in (*LEVELS, 1 << 20):
        z, q, alpha = adversarial(50_000, max_level, seed=3 + max_level)
        with np.errstate(all="ignore"):
            local = constant_cost._localize(np.abs(z), q, alpha, max_level)
        count = local.last - local.first + 1
        regime = constant_cost._regime(local)
        assert count[alpha * q * q > 3.15].max() <= 9
        assert count[(regime == 1) | (regime == 2)].max() <= 64
        assert not (regime == 3).any() or max_level >= 32
        assert count[regime == 3].min(initial=65) == 65


def test_neighbouring_regimes_agree_on_their_border() -> None:
    # Both sides of a border are good to the limits above; here one point is computed both ways.
    d = np.linspace(-0.5, 0.5, 101)
    with np.errstate(all="ignore"):
        local = constant_cost._localize(40 + d, np.ones(101), np.full(101, 3.2), 127)
        by_levels, by_theta = constant_cost._direct(local, 9), constant_cost._theta(local)
        end = 127 + np.linspace(-3.4, 20, 101)
        cut = constant_cost._localize(end, np.ones(101), np.full(101, 0.0125), 127)
        by_sum, by_integral = constant_cost._direct(cut, 64), constant_cost._smooth(cut)
    for have, want in zip(by_theta, by_levels, strict=True):
        np.testing.assert_allclose(have, want, rtol=0, atol=30 * EPS * 41)
    wide = (cut.last - cut.first + 1) > 50
    assert wide.sum() > 20
    for have, want in zip(by_integral, by_sum, strict=True):
        np.testing.assert_allclose(have[wide], want[wide], rtol=30 * EPS, atol=200 * EPS)


def test_quadrature_and_end_corrections_are_exact_on_polynomials() -> None:
    nodes, weights = constant_cost._gauss_legendre(48)
    for degree in range(0, 96, 2):
        assert abs((weights * nodes**degree).sum() * (degree + 1) / 2 - 1) < 40 * EPS
    expected = [-1 / 24, 7 / 5760, -31 / 967680, 127 / 154828800]
    np.testing.assert_allclose(constant_cost._midpoint_coefficients(4), expected, rtol=4 * EPS)
    # g = h = 0 leaves (x - centre)^p alone: sums of k^p over -10..10 about 0.25.
    zero, centre = np.zeros(1), np.full(1, 0.25)
    high = constant_cost._boundary(zero, zero, np.full(1, 10.5), centre)
    low = constant_cost._boundary(zero, zero, np.full(1, -10.5), centre)
    for p in range(4):
        integral = (10.25 ** (p + 1) - (-10.75) ** (p + 1)) / (p + 1)
        total = ((np.arange(-10, 11) - 0.25) ** p).sum()
        assert abs(integral + (high[p] - low[p])[0] - total) < 1e-10


@BOTH
def test_limits(impl: ModuleType) -> None:
    z = np.array([np.nan, np.inf, -np.inf, 0.3])
    got = impl.soft_quantize_partials(z, 0.5, 2.0, max_level=7)
    alone = impl.soft_quantize_partials(0.3, 0.5, 2.0, max_level=7)
    for have, ends, last in zip(got, (3.5, 0.0, 7.0, 0.0), alone, strict=True):
        assert np.isnan(have[0])
        assert have[1:].tolist() == [ends, -ends, last]
    for c, h in ((1e6 * 127, 1e-3), (1e300, 1e-3), (1e305, 1e-50)):
        far = impl.soft_quantize_partials(c, 1.0, h, max_level=127)
        assert tuple(map(float, far)) == (127.0, 0.0, 127.0, 0.0)
    flat = impl.soft_quantize_partials(3.0, 1.0, 1e-300, max_level=1000)
    assert abs(flat.value) < 16 * EPS * 500  # uniform over {-L..L}: E = 0, E|V| = 500
    hard = impl.soft_quantize(np.array([0.5, 1.5, 2.4, 2.6]), 1.0, 1e308, max_level=3)
    assert hard.tolist() == [0.5, 1.5, 2.0, 3.0]


@BOTH
def test_broadcasting_and_shapes(impl: ModuleType) -> None:
    z, q = np.linspace(-9, 9, 6).reshape(2, 3, 1), np.array([0.5, 1.0, 2.0, 4.0])
    got = impl.soft_quantize_partials(z, q, 0.7, max_level=7)
    assert all(part.shape == (2, 3, 4) for part in got)
    for i, j, k in np.ndindex(2, 3, 4):
        one = impl.soft_quantize_partials(z[i, j, 0], q[k], 0.7, max_level=7)
        assert [part[i, j, k] for part in got] == [float(part) for part in one]
    assert impl.soft_quantize(np.empty((0, 3)), 1.0, 1.0, max_level=7).shape == (0, 3)


@BOTH
def test_bad_arguments_are_named(impl: ModuleType) -> None:
    good = {"z": 0.3, "q": 1.0, "alpha": 1.0, "max_level": 7}
    cases: list[tuple[str, object, type[Exception]]] = [
        *[("q", bad, ValueError) for bad in (0.0, -1.0, np.inf, np.nan)],
        ("alpha", 0.0, ValueError),
        ("alpha", np.inf, ValueError),
        ("z", 1j, TypeError),
        ("max_level", 0, ValueError),
        ("max_level", 1.5, TypeError),
        ("max_level", True, TypeError),
    ]
    for name, value, error in cases:
        with pytest.raises(error, match=name):
            impl.soft_quantize_partials(**{**good, name: value})
        with pytest.raises(error, match=name):
            impl.soft_quantize(**{**good, name: value})
