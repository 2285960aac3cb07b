"""Numba twin of :mod:`reference.constant_cost`: same results, element by element.

``_constant_cost_partials`` is the algorithm for one element, to be read from its end backwards.
Constants are those of the NumPy version. (Numba's cache looks at the time stamp of this file
alone: after a constant has changed there, touch this file.)

References
----------
JPEG Inspired Deep Learning, eq. (5) and (7), appendix A.1; ``docs/constant_cost.md``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from reference._jit import jit
from reference._validation import Array, check_max_level, check_quantizer_inputs
from reference.compiled import _nearest_level
from reference.constant_cost import (
    _COEFFICIENT,
    _FARTHEST,
    _HUGE,
    _HUGE_EXPONENT,
    _LEVELS,
    _NEAR,
    _NODE,
    _NODE_WEIGHT,
    _REACH,
    _THETA_BELOW,
    _UNDERFLOW,
)
from reference.cpmf import Partials


@jit
def _split(x: float) -> tuple[float, float]:
    """Head of 26 bits, and the rest (Dekker)."""
    scaled = 134217729.0 * x  # 2^27 + 1
    head = scaled - (scaled - x)
    return head, x - head


@jit
def _two_product(x: float, y: float) -> tuple[float, float]:
    """Product x y, rounded, and its rounding error (Dekker)."""
    product = x * y
    x1, x2 = _split(x)
    y1, y2 = _split(y)
    return product, ((x1 * y1 - product) + x1 * y2 + x2 * y1) + x2 * y2


@jit
def _two_difference(x: float, y: float) -> tuple[float, float]:
    """Difference x - y, rounded, and its rounding error (Knuth)."""
    difference = x - y
    minus_y = difference - x
    return difference, (x - (difference - minus_y)) - (y + minus_y)


@jit
def _hardness(q: float, alpha: float) -> tuple[float, float, int]:
    """Return h = alpha q^2 as (mantissa + rest) 2^exponent, which cannot overflow."""
    q_mantissa, q_exponent = math.frexp(q)
    alpha_mantissa, alpha_exponent = math.frexp(alpha)
    square, square_rest = _two_product(q_mantissa, q_mantissa)
    mantissa, rest = _two_product(alpha_mantissa, square)
    return mantissa, rest + alpha_mantissa * square_rest, alpha_exponent + 2 * q_exponent


@jit
def _offset(distance: float, q: float) -> tuple[float, float]:
    """Return d = distance / q as a rounded quotient and its rounding error."""
    distance_mantissa, distance_exponent = math.frexp(distance)
    q_mantissa, q_exponent = math.frexp(q)
    quotient = distance_mantissa / q_mantissa
    product, product_rest = _two_product(quotient, q_mantissa)
    rest = ((distance_mantissa - product) - product_rest) / q_mantissa
    shift = distance_exponent - q_exponent
    return min(math.ldexp(quotient, shift), _FARTHEST), math.ldexp(rest, shift)


@jit
def _slope(
    h: float, h_low: float, d: float, d_low: float, alpha: float, q: float, distance: float
) -> tuple[float, float]:
    """Return g = 2 h d, rounded, and its rounding error."""
    if d >= _HUGE:  # h may have underflowed and d overflowed where their product did not
        return min(2 * (alpha * q) * distance, _HUGE), 0.0
    g, g_low = _two_product(h, 2 * d)
    if g < _HUGE:
        return g, g_low + 2 * (h * d_low + h_low * d)
    return _HUGE, 0.0


@jit
def _theta(h: float, r: float, d: float) -> tuple[float, float, float, float]:
    """Poisson's dual series, three terms; exp(-pi^2 k^2 / h) is the k^2-th power of the first."""
    rate = math.pi**2 / h
    weight = math.exp(-rate)
    sine, cosine = math.sin(2 * math.pi * d), math.cos(2 * math.pi * d)
    sine2, cosine2 = 2 * sine * cosine, cosine * cosine - sine * sine
    sine3, cosine3 = sine2 * cosine + cosine2 * sine, cosine2 * cosine - sine2 * sine
    weight2 = (weight * weight) * (weight * weight)
    weight3 = weight2 * weight2 * weight
    s1, s2, s3 = weight * sine, 2 * weight2 * sine2, 3 * weight3 * sine3
    c1, c2, c3 = weight * cosine, weight2 * cosine2, weight3 * cosine3
    even = 1 + 2 * (c1 + c2 + c3)
    s = 4 * math.pi * (s1 + s2 + s3) / even
    s_d = 8 * math.pi**2 * (c1 + 4 * c2 + 9 * c3) / even + s * s
    odd_h = 4 * math.pi * (s1 + 4 * s2 + 9 * s3)
    s_h = (odd_h - 2 * s * (c1 + 4 * c2 + 9 * c3)) * (rate / h) / even
    return (
        r + (d - s / (2 * h)),
        1 - s_d / (2 * h),
        s / (2 * h) - s_h + (r + d) * (s_d / (2 * h)),
        (s / h - s_h) / (2 * h),
    )


@jit
def _moments(
    centre: float, s0: float, s1: float, s2: float, s3: float
) -> tuple[float, float, float]:
    """Mean, variance, third central moment from sums of w (k - centre)^p, p = 0..3."""
    shift, square, cube = s1 / s0, s2 / s0, s3 / s0
    var = square - shift * shift
    return centre + shift, var, cube - 3 * shift * square + 2 * shift * shift * shift


@jit
def _direct(
    h: float, h_low: float, g: float, g_low: float, first: float, last: float
) -> tuple[float, float, float]:
    """Mean and central moments of k over first..last, with exponents good to 2^-79."""
    h_head, h_rest = _split(h)
    g_head, g_rest = _split(g)
    h_rest += h_low
    g_rest += g_low
    count = int(last - first) + 1
    weights = np.empty(count)
    s0, s1 = 0.0, 0.0
    for i in range(count):
        k = first + i
        # Head products are exact: 26 bits times k^2 < 2^12.
        exponent, low = _two_difference(k * g_head, k * k * h_head)
        low += k * g_rest - k * k * h_rest
        total = exponent + low
        weight = 0.0
        if total > _UNDERFLOW:
            weight = math.exp(total) * (1 + (low - (total - exponent)))
        weights[i] = weight
        s0 += weight
        s1 += weight * k
    centre = s1 / s0
    s1, s2, s3 = 0.0, 0.0, 0.0
    for i in range(count):
        y = first + i - centre
        s1 += weights[i] * y
        s2 += weights[i] * (y * y)
        s3 += weights[i] * (y * y * y)
    return _moments(centre, s0, s1, s2, s3)


@jit
def _boundary(h: float, g: float, x: float, centre: float) -> tuple[float, float, float, float]:
    """Euler-Maclaurin terms at x of (x - centre)^p exp(g x - h x^2) for p = 0..3."""
    f3, f2, f1, f0 = 0.0, 0.0, 0.0, math.exp(x * (g - h * x))  # F^(j-3) .. F^(j)
    a0, a1, a2, a3 = 0.0, 0.0, 0.0, 0.0
    for j in range(1, 2 * _COEFFICIENT.size):
        f3, f2, f1, f0 = f2, f1, f0, (g - 2 * h * x) * f0 - 2 * h * (j - 1) * f1
        if j % 2:
            coefficient = _COEFFICIENT[j // 2]
            a0 += coefficient * f0
            a1 += coefficient * j * f1
            a2 += coefficient * (j * (j - 1)) * f2
            a3 += coefficient * (j * (j - 1) * (j - 2)) * f3
    y = x - centre
    return (
        a0,
        y * a0 + a1,
        y * (y * a0 + 2 * a1) + a2,
        y * (y * (y * a0 + 3 * a1) + 3 * a2) + a3,
    )


@jit
def _smooth(h: float, g: float, first: float, last: float) -> tuple[float, float, float]:
    """Mean and central moments of k over first..last, from an integral and its two ends."""
    low, high = first - 0.5, last + 0.5
    middle, half = (low + high) / 2, (high - low) / 2
    weights = np.empty(_NODE.size)
    s0, s1 = 0.0, 0.0
    for i in range(_NODE.size):
        x = middle + half * _NODE[i]
        weights[i] = half * _NODE_WEIGHT[i] * math.exp(x * (g - h * x))
        s0 += weights[i]
        s1 += weights[i] * x
    centre = s1 / s0
    low0, low1, low2, low3 = _boundary(h, g, low, centre)
    s0, s1, s2, s3 = _boundary(h, g, high, centre)
    s0, s1, s2, s3 = s0 - low0, s1 - low1, s2 - low2, s3 - low3
    for i in range(_NODE.size):
        y = middle + half * _NODE[i] - centre
        s0 += weights[i]
        s1 += weights[i] * y
        s2 += weights[i] * (y * y)
        s3 += weights[i] * (y * y * y)
    return _moments(centre, s0, s1, s2, s3)


@jit
def _constant_cost_partials(
    z: float, q: float, alpha: float, max_level: int
) -> tuple[float, float, float, float]:
    """Value, d/dz, d/dq and d/dalpha of one element; q and alpha positive and finite."""
    if math.isnan(z):
        return math.nan, math.nan, math.nan, math.nan
    if math.isinf(z):
        end = math.copysign(float(max_level), z)
        return end * q, 0.0, end, 0.0

    # The nearest level r >= 0 of |z|; h and g of the exponents k (g - h k).
    r, distance = _nearest_level(abs(z), q, max_level)
    mantissa, mantissa_low, exponent = _hardness(q, alpha)
    bounded = min(exponent, _HUGE_EXPONENT)
    h, h_low = math.ldexp(mantissa, bounded), math.ldexp(mantissa_low, bounded)
    d, d_low = _offset(distance, q)
    g, g_low = _slope(h, h_low, d, d_low, alpha, q, distance)

    # The levels within reach, and whether an end of the index set is among them.
    to_left, to_right = max_level + r, max_level - r
    left, right = float(_NEAR), float(_NEAR)
    if h < _THETA_BELOW:
        reach = _REACH + h + abs(g)
        root = math.sqrt(g * g + 4 * h * reach)
        left = np.floor(2 * reach / (root + g))
        right = np.floor(2 * reach / (root - g)) if g <= h else math.inf
    cut = left > to_left or right > to_right
    first, last = -min(left, to_left), min(right, to_right)

    if h < _THETA_BELOW and not cut:
        value, dz, dq, dalpha = _theta(h, r, d)
    else:
        if last - first + 1 <= _LEVELS:
            mean, var, mu3 = _direct(h, h_low, g, g_low, first, last)
        else:
            mean, var, mu3 = _smooth(h, g, first, last)
        value = r + mean
        dz = math.ldexp(2 * mantissa * var, exponent)
        if exponent > _HUGE_EXPONENT:  # g has been bounded
            bend = 2 * (mu3 + (value + mean - d) * var)
            dq = value - math.ldexp(mantissa * bend, exponent)
        else:
            bend = 2 * (mu3 + (value + mean) * var)
            dq = value - math.ldexp(mantissa * bend, exponent) + g * var
        dalpha = -(mu3 + 2 * (mean - d) * var)

    sign = np.sign(z)
    return sign * (q * value), dz, sign * dq, sign * (dalpha * q * q * q)


@jit
def _elements(z: Array, q: Array, alpha: Array, max_level: int, out: Array) -> None:
    for i in range(z.size):
        out[0, i], out[1, i], out[2, i], out[3, i] = _constant_cost_partials(
            z[i], q[i], alpha[i], max_level
        )


def soft_quantize_partials(
    z: ArrayLike, q: ArrayLike, alpha: ArrayLike, *, max_level: int
) -> Partials:
    """Numba twin of :func:`reference.constant_cost.soft_quantize_partials`."""
    level = check_max_level(max_level)
    z_, q_, alpha_ = check_quantizer_inputs(z, q, alpha)
    out = np.empty((4, z_.size))
    _elements(z_.ravel(), q_.ravel(), alpha_.ravel(), level, out)
    return Partials(*(o.reshape(z_.shape) for o in out))


def soft_quantize(z: ArrayLike, q: ArrayLike, alpha: ArrayLike, *, max_level: int) -> Array:
    """Numba twin of :func:`reference.constant_cost.soft_quantize`."""
    return soft_quantize_partials(z, q, alpha, max_level=max_level).value


__all__ = ["soft_quantize", "soft_quantize_partials"]
