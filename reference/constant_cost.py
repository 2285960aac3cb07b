"""The full-space soft quantizer at a cost that does not depend on the number of levels.

The definition (:mod:`reference.cpmf`) sums over 2L+1 levels. This room returns the same value and
the same three partials from at most 64 terms, whatever h = alpha q^2, c = z/q and L are.
Relative to the nearest level r, at the distance d = c - r, the weight of level r + k is

    exp(k (g - h k)),     g = 2 h d,     k in {-L-r .. L-r},

never above 1, and only levels within *reach* count: r itself, its neighbours r +- 1, and what
weighs at least exp(-45) of the lighter neighbour. Three regimes share the domain out:

``theta``   h < pi and the reach ends inside {-L..L} on both sides: the sum over all integers,
            by Poisson summation (a theta function), three terms.
``direct``  at most 64 levels within reach: those are summed. h >= pi always belongs here (nine
            levels, r-4 .. r+4), and so does every L <= 31.
``smooth``  the rest, where an end of {-L..L} cuts a wide distribution: the sum over more than
            64 levels is the integral, by the 48-point Gauss-Legendre rule, plus the
            Euler-Maclaurin corrections at the two ends, nine each.

``docs/constant_cost.md`` derives all of it, with a bound for every truncation.
The Numba twin is :mod:`reference.constant_cost_compiled`.

References
----------
JPEG Inspired Deep Learning, eq. (5) and (7), appendix A.1.
"""

from __future__ import annotations

import decimal
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference._validation import Array, check_max_level, check_quantizer_inputs
from reference.cpmf import Partials, nearest_level

# Where the two series meet. Poisson's turns h into pi^2/h, so h = pi is where both are short.
_THETA_BELOW = np.pi
# Theta terms k = 1..3. The first one left out weighs exp(-16 pi^2/h) <= 1.5e-22 at h = pi; with
# its largest factor, 4 pi k (pi k/h)^2 = 804 in S_h, it adds less than 2e-19.
_THETA_TERMS = 3
# Levels that weigh less than exp(-45) = 2.9e-20 of a neighbour of the nearest level are left
# out. The tail beyond the reach adds at most 3e-17 of its scale to any of the moments (a third
# moment at the end of the reach of a Gaussian, the worst case: (2 REACH)^(3/2) exp(-REACH) =
# 2.5e-17). A neighbour is the measure: it alone is left in E and Var when h or g is large.
_REACH = 45.0
# Levels of the direct sum, at most.
_LEVELS = 64
# Levels on each side of the nearest for h >= pi. Level 5 weighs exp(-20 h) of level 1 at most.
_NEAR = 4
# Points of the Gauss-Legendre rule. The exponent spans about REACH over the levels within reach,
# so the rule's error is that of the best polynomial of degree 95 to exp(-45 x^2) on [-1, 1] or
# better: below 1e-16 of the sum.
_NODES = 48
# Euler-Maclaurin terms at each end. More than 64 levels within reach leave the summand F a slope
# s <= 45/63 at its peak, |F^(j)| <= s^j, or a curvature 2 h <= 2 (45/32^2), |F^(j)| <= (j!)^(1/2)
# (2 h)^(j/2) (Cramer's bound on Hermite functions): the first term left out is below 1e-17.
_CORRECTIONS = 9
# Exponents of two beyond which h and g stop mattering: every other weight is 0.
_HUGE_EXPONENT = 900
_HUGE = 2.0**_HUGE_EXPONENT
# d is bounded so that 2 d is finite. Only d/dalpha notices, and only for |c| beyond this.
_FARTHEST = 8e307
# exp() of anything below is 0 in float64.
_UNDERFLOW = -746.0
# Elements per pass: temporaries of 64 levels x 16384 elements take 8 MiB.
_CHUNK = 1 << 14


class _Local(NamedTuple):
    """The problem for |z| in units of q, relative to the nearest level r >= 0.

    h and g are sums of a 26-bit head and a rest, together good to 2^-79: where a single level
    dominates, what is left is proportional to exp(-h), and an error of eps h would be visible.
    """

    nearest: Array  # r
    offset: Array  # d = |z| / q - r
    h_head: Array
    h_rest: Array
    g_head: Array
    g_rest: Array
    first: Array  # levels within reach, relative to r: first <= 0 <= last
    last: Array
    cut: NDArray[np.bool_]  # whether an end of the index set lies within reach
    mantissa: Array  # h = mantissa 2^exponent, which cannot overflow
    exponent: Array


class _Scaled(NamedTuple):
    """Value and partials for z, q in units of q."""

    value: Array
    dz: Array
    dq: Array
    dalpha: Array


def _split(x: Array) -> tuple[Array, Array]:
    """Dekker's split of x into a head of 26 bits and the rest; exact for |x| < 2^996."""
    scaled = 134217729.0 * x  # 2^27 + 1
    head = scaled - (scaled - x)
    return head, x - head


def _two_product(x: Array, y: Array) -> tuple[Array, Array]:
    """Product x y, rounded, and its rounding error (Dekker)."""
    product = x * y
    (x1, x2), (y1, y2) = _split(x), _split(y)
    return product, ((x1 * y1 - product) + x1 * y2 + x2 * y1) + x2 * y2


def _two_difference(x: Array, y: Array) -> tuple[Array, Array]:
    """Difference x - y, rounded, and its rounding error (Knuth)."""
    difference = x - y
    minus_y = difference - x
    return difference, (x - (difference - minus_y)) - (y + minus_y)


def _localize(magnitude: Array, q: Array, alpha: Array, max_level: int) -> _Local:
    nearest, distance = nearest_level(magnitude, q, max_level)
    # Mantissas and exponents of two: no product of q and alpha can overflow or underflow.
    q_mantissa, q_exponent = np.frexp(q)
    alpha_mantissa, alpha_exponent = np.frexp(alpha)
    square, square_rest = _two_product(q_mantissa, q_mantissa)
    mantissa, mantissa_rest = _two_product(alpha_mantissa, square)
    mantissa_rest = mantissa_rest + alpha_mantissa * square_rest
    exponent = alpha_exponent + 2 * q_exponent
    bounded = np.minimum(exponent, _HUGE_EXPONENT)
    h, h_low = np.ldexp(mantissa, bounded), np.ldexp(mantissa_rest, bounded)

    distance_mantissa, distance_exponent = np.frexp(distance)
    offset = distance_mantissa / q_mantissa
    product, product_rest = _two_product(offset, q_mantissa)
    offset_rest = ((distance_mantissa - product) - product_rest) / q_mantissa
    shift = distance_exponent - q_exponent
    offset = np.minimum(np.ldexp(offset, shift), _FARTHEST)
    g, g_low = _two_product(h, 2 * offset)
    g_low = g_low + 2 * (h * np.ldexp(offset_rest, shift) + h_low * offset)
    # So far outside, h may have underflowed and d overflowed where their product did not.
    g = np.minimum(np.where(offset < _HUGE, g, 2 * (alpha * q) * distance), _HUGE)
    g_low = np.where((offset < _HUGE) & (g < _HUGE), g_low, 0.0)

    # Roots of j (h j - g) = reach to the right and j (h j + g) = reach to the left of r.
    reach = _REACH + h + np.abs(g)
    root = np.sqrt(g * g + 4 * h * reach)
    hard = h >= _THETA_BELOW
    last = np.where(hard, _NEAR, np.floor(2 * reach / (root - g)))
    first = np.where(hard, _NEAR, np.floor(2 * reach / (root + g)))
    last = np.where(g > h, np.inf, last)  # only beyond the end, where it is cut anyway
    to_right, to_left = max_level - nearest, max_level + nearest
    cut = (last > to_right) | (first > to_left)
    h_head, h_rest = _split(h)
    g_head, g_rest = _split(g)
    return _Local(
        nearest=nearest,
        offset=offset,
        h_head=h_head,
        h_rest=h_rest + h_low,
        g_head=g_head,
        g_rest=g_rest + g_low,
        first=-np.minimum(first, to_left),
        last=np.minimum(last, to_right),
        cut=cut,
        mantissa=mantissa,
        exponent=exponent,
    )


def _theta(local: _Local) -> _Scaled:
    """Sum over all integers by Poisson summation, for h < pi.

    Q = c - S/2h with S = 4 pi sum_k k e_k sin(2 pi k d) / (1 + 2 sum_k e_k cos(2 pi k d)) and
    e_k = exp(-pi^2 k^2 / h); the partials follow by differentiation, free of cancellation.
    """
    h, d = local.h_head + local.h_rest, local.offset
    odd, odd_d, odd_h = np.zeros_like(h), np.zeros_like(h), np.zeros_like(h)
    even, even_h = np.ones_like(h), np.zeros_like(h)
    for k in range(1, _THETA_TERMS + 1):
        rate = (np.pi * k) ** 2 / h
        weight = np.exp(-rate)
        sine = weight * np.sin(2 * np.pi * k * d)
        cosine = weight * np.cos(2 * np.pi * k * d)
        odd += 4 * np.pi * k * sine
        odd_d += 8 * np.pi**2 * k**2 * cosine
        odd_h += 4 * np.pi * k * sine * (rate / h)
        even += 2 * cosine
        even_h += 2 * cosine * (rate / h)
    s = odd / even
    s_d = odd_d / even + s * s  # d even / dd = -odd
    s_h = (odd_h - s * even_h) / even
    c = local.nearest + d
    return _Scaled(
        value=local.nearest + (d - s / (2 * h)),
        dz=1 - s_d / (2 * h),
        dq=s / (2 * h) - s_h + c * (s_d / (2 * h)),
        dalpha=(s / h - s_h) / (2 * h),
    )


def _from_moments(local: _Local, centre: Array, sums: list[Array]) -> _Scaled:
    """Partials from sums of w (k - centre)^p, p = 0..3; centre is E - r but for rounding."""
    shift, square, cube = (s / sums[0] for s in sums[1:])
    mean, var = centre + shift, square - shift**2
    mu3 = cube - 3 * shift * square + 2 * shift**3
    level = local.nearest + mean
    # E - 2 h (mu3 + (2E - c) Var), with 2 h d taken from g, which serves where d overflows, but
    # from d where h is so large that g had to be bounded.
    bounded = local.exponent > _HUGE_EXPONENT
    bend = 2 * (mu3 + (level + mean - np.where(bounded, local.offset, 0.0)) * var)
    g = np.where(bounded, 0.0, local.g_head + local.g_rest)
    return _Scaled(
        value=level,
        dz=np.ldexp(2 * local.mantissa * var, local.exponent),
        dq=level - np.ldexp(local.mantissa * bend, local.exponent) + g * var,
        dalpha=-(mu3 + 2 * (mean - local.offset) * var),
    )


def _direct(local: _Local, count: int) -> _Scaled:
    """Sum over the levels within reach, at most `count` of them."""
    k = local.first[:, None] + np.arange(count)  # (n, count)
    # Head products are exact: 26 bits times k^2 < 2^12.
    exponent, low = _two_difference(k * local.g_head[:, None], k * k * local.h_head[:, None])
    low = low + (k * local.g_rest[:, None] - k * k * local.h_rest[:, None])
    total = exponent + low
    low = low - (total - exponent)
    inside = (k <= local.last[:, None]) & (total > _UNDERFLOW)
    weight = np.where(inside, np.exp(np.where(inside, total, 0.0)) * (1 + low), 0.0)
    centre = (weight * k).sum(axis=-1) / weight.sum(axis=-1)
    y = k - centre[:, None]
    return _from_moments(local, centre, [(weight * y**p).sum(axis=-1) for p in range(4)])


def _midpoint_coefficients(terms: int) -> Array:
    """B_2m(1/2) / (2m)! for m = 1..terms, the coefficients of x^2m in (x/2) / sinh(x/2).

    With them, sum_{k=a..b} F(k) = int F + sum_m coefficient_m [F^(2m-1)], over a-1/2..b+1/2.
    """
    inverse = [1.0]  # of sum_m x^2m / (4^m (2m+1)!)
    for m in range(1, terms + 1):
        series = (inverse[m - i] / (4.0**i * math.factorial(2 * i + 1)) for i in range(1, m + 1))
        inverse.append(-sum(series))
    return np.array(inverse[1:])


def _gauss_legendre(points: int) -> tuple[Array, Array]:
    """Nodes and weights on [-1, 1], to the last bit: NumPy's are off by up to 1e-12 at the ends."""
    nodes, weights = np.empty(points), np.empty(points)
    with decimal.localcontext(prec=50):
        for i, guess in enumerate(np.polynomial.legendre.leggauss(points)[0]):
            x = decimal.Decimal(float(guess))
            for _ in range(3):  # Newton doubles 15 digits each time
                previous, p = decimal.Decimal(1), x
                for k in range(2, points + 1):
                    previous, p = p, ((2 * k - 1) * x * p - (k - 1) * previous) / k
                slope = points * (x * p - previous) / (x * x - 1)
                x -= p / slope
            nodes[i], weights[i] = float(x), float(2 / ((1 - x * x) * slope * slope))
    return nodes, weights


_NODE, _NODE_WEIGHT = _gauss_legendre(_NODES)
_COEFFICIENT = _midpoint_coefficients(_CORRECTIONS)


def _boundary(h: Array, g: Array, x: Array, centre: Array) -> list[Array]:
    """Euler-Maclaurin terms at x of (x - centre)^p F for p = 0..3, F = exp(g x - h x^2).

    Derivatives of F follow F^(j+1) = (g - 2 h x) F^(j) - 2 h j F^(j-1). By Leibniz' rule the terms
    for p are sum_i binom(p, i) y^(p-i) A_i with y = x - centre and
    A_i = sum_m coefficient_m j (j-1) .. (j-i+1) F^(j-i), j = 2m-1.
    """
    zero = np.zeros_like(h)
    derivatives = [zero, zero, np.exp(x * (g - h * x))]  # F^(-2), F^(-1) (unused), F
    for j in range(2 * _CORRECTIONS - 1):
        derivatives.append((g - 2 * h * x) * derivatives[-1] - 2 * h * j * derivatives[-2])
    a = [zero, zero, zero, zero]
    for m, coefficient in enumerate(_COEFFICIENT, start=1):
        j, factor = 2 * m - 1, float(coefficient)
        for i in range(4):
            a[i] = a[i] + factor * derivatives[j - i + 2]
            factor *= j - i  # 0 before a derivative below F is reached
    y = x - centre
    return [
        a[0],
        y * a[0] + a[1],
        y * (y * a[0] + 2 * a[1]) + a[2],
        y * (y * (y * a[0] + 3 * a[1]) + 3 * a[2]) + a[3],
    ]


def _smooth(local: _Local) -> _Scaled:
    """Sum over the more than 64 levels within reach, from an integral and its two ends."""
    h, g = local.h_head + local.h_rest, local.g_head + local.g_rest
    low, high = local.first - 0.5, local.last + 0.5
    x = ((low + high) / 2)[:, None] + ((high - low) / 2)[:, None] * _NODE  # (n, NODES)
    weight = ((high - low) / 2)[:, None] * _NODE_WEIGHT * np.exp(x * (g[:, None] - h[:, None] * x))
    centre = (weight * x).sum(axis=-1) / weight.sum(axis=-1)
    y = x - centre[:, None]
    at_low, at_high = (_boundary(h, g, end, centre) for end in (low, high))
    sums = [(weight * y**p).sum(axis=-1) + (at_high[p] - at_low[p]) for p in range(4)]
    return _from_moments(local, centre, sums)


def _regime(local: _Local) -> NDArray[np.int64]:
    """Regime of each element: 0 theta, 1 direct with at most 9 levels, 2 direct, 3 smooth."""
    count = local.last - local.first + 1
    choice = np.where(count <= _LEVELS, np.where(count <= 2 * _NEAR + 1, 1, 2), 3)
    theta = (local.h_head + local.h_rest < _THETA_BELOW) & ~local.cut
    return np.asarray(np.where(theta, 0, choice))


def _partials(z: Array, q: Array, alpha: Array, max_level: int) -> Array:
    """Value and partials of finite elements, shape (4, n)."""
    local = _localize(np.abs(z), q, alpha, max_level)
    choice = _regime(local)
    scaled = np.empty((4, z.size))
    methods = (
        _theta,
        lambda part: _direct(part, 2 * _NEAR + 1),
        lambda part: _direct(part, _LEVELS),
        _smooth,
    )
    for i, method in enumerate(methods):
        here = np.flatnonzero(choice == i)
        if here.size:
            scaled[:, here] = method(_Local._make(field[here] for field in local))
    value, dz, dq, dalpha = scaled
    sign = np.sign(z)  # value, d/dq and d/dalpha are odd, and exactly 0 at 0
    return np.stack([sign * (q * value), dz, sign * dq, sign * (dalpha * q * q * q)])


def soft_quantize_partials(
    z: ArrayLike, q: ArrayLike, alpha: ArrayLike, *, max_level: int
) -> Partials:
    """Full-space soft quantizer Q_d and its partials, in at most 64 terms.

    The same function as ``reference.soft_quantize_partials(..., window=None)``.

    Parameters
    ----------
    z : array_like
        DCT coefficients, any shape. Infinite ones saturate; NaN gives NaN.
    q : array_like
        Quantization steps, positive, in the unit of z. Broadcasts with z.
    alpha : array_like
        Scaling factors, positive, in 1 / unit of z squared. Broadcasts with z.
    max_level : int
        L; the index set is {-L..L}.

    Returns
    -------
    Partials
        ``value`` (unit of z), ``dz`` (dimensionless), ``dq`` (dimensionless) and ``dalpha``
        (unit of z cubed), float64, of the broadcast shape. Exactly odd in z (dz: even).

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    JPEG-DL, eq. (5), (7) and appendix A.1; ``docs/constant_cost.md`` for the method.
    """
    level = check_max_level(max_level)
    arrays = check_quantizer_inputs(z, q, alpha)
    shape = arrays[0].shape
    z_, q_, alpha_ = (a.ravel() for a in arrays)
    out = np.empty((4, z_.size))
    with np.errstate(all="ignore"):
        out[:] = _saturated(z_, q_, level)
        finite = np.flatnonzero(np.isfinite(z_))
        for start in range(0, finite.size, _CHUNK):
            part = finite[start : start + _CHUNK]
            out[:, part] = _partials(z_[part], q_[part], alpha_[part], level)
    return Partials(*(o.reshape(shape) for o in out))


def _saturated(z: Array, q: Array, max_level: int) -> Array:
    """Limit of value and partials for infinite z, NaN for NaN, shape (4, ...)."""
    end = max_level * np.sign(z)
    zero = np.where(np.isnan(z), np.nan, 0.0)
    return np.stack([end * q, zero, end, zero])


def soft_quantize(z: ArrayLike, q: ArrayLike, alpha: ArrayLike, *, max_level: int) -> Array:
    """Full-space soft quantizer Q_d in at most 64 terms; see :func:`soft_quantize_partials`."""
    return soft_quantize_partials(z, q, alpha, max_level=max_level).value


__all__ = ["soft_quantize", "soft_quantize_partials"]
