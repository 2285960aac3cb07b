"""Numba twins of the sums in :mod:`reference.cpmf`: same signatures and results, no level arrays.

Both walk outwards from the nearest level and stop where a weight underflows, so a hard
quantizer costs a few exponentials instead of 2L+1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from reference._jit import jit
from reference._validation import Array, check_max_level, check_quantizer_inputs, check_window
from reference.cpmf import _COUNTABLE, _HUGE, _TINY, Partials

# exp() of anything below is 0 in float64.
_UNDERFLOW = -746.0


@jit
def _nearest_level(z: float, q: float, max_level: int) -> tuple[float, float]:
    """Scalar twin of :func:`reference.cpmf.nearest_level` for finite z."""
    magnitude = abs(z)
    rest = np.fmod(magnitude, q)
    below = np.rint((magnitude - rest) / q)
    up = rest >= q - rest if z >= 0 else rest > q - rest
    level = min(below + (1.0 if up else 0.0), float(max_level))
    if level > below:
        distance = rest - q
    elif below < _COUNTABLE:
        distance = rest + (below - level) * q
    else:
        distance = magnitude - level * q
    return (level, distance) if z >= 0 else (-level, -distance)


@jit
def _element(
    z: float, q: float, alpha: float, max_level: int, window: int
) -> tuple[float, float, float, float]:
    """Value and partials of one element; `window` 0 is the full space."""
    if math.isnan(z):
        return math.nan, math.nan, math.nan, math.nan
    if math.isinf(z):
        end = math.copysign(float(max_level), z)
        return end * q, 0.0, end, 0.0

    r, distance = _nearest_level(z, q, max_level)
    t = min(max(distance / q, -_HUGE), _HUGE)
    h = min((alpha * q) * q, _HUGE)
    g = 2 * h * t if h > _TINY else 2 * (alpha * q) * distance
    g = min(max(g, -1e308), 1e308)
    step, exponent_of_q = math.frexp(q)
    d = min(max(math.ldexp(distance, -exponent_of_q), -_HUGE), _HUGE)

    first, last = -float(max_level), float(max_level)
    if window:
        first = min(max(r - window // 2, first), last - window + 1)
        last = first + window - 1
    s0, s1, s2, s3 = 1.0, 0.0, 0.0, 0.0  # moments about the nearest level
    for direction in (-1.0, 1.0):
        count = int(last - r) if direction > 0 else int(r - first)
        for away in range(1, count + 1):
            k = direction * away
            exponent = h * (k * (2 * d - k * step) / step) if h > _TINY else k * g
            if exponent < _UNDERFLOW:
                break
            weight = math.exp(exponent)
            s0 += weight
            s1 += weight * k
            s2 += weight * (k * k)
            s3 += weight * (k * k * k)
    mean = s1 / s0
    var = s2 / s0 - mean * mean
    mu3 = s3 / s0 - 3 * mean * (s2 / s0) + 2 * mean * mean * mean
    value = q * (r + mean)
    dz = 2 * h * var
    dq = r + mean - 2 * h * (mu3 + (r + 2 * mean) * var) + g * var
    dalpha = -(mu3 + 2 * (mean - t) * var) * q * q * q
    return value, dz, dq, dalpha


@jit
def _elements(z: Array, q: Array, alpha: Array, max_level: int, window: int, out: Array) -> None:
    for i in range(z.size):
        out[0, i], out[1, i], out[2, i], out[3, i] = _element(
            z[i], q[i], alpha[i], max_level, window
        )


def soft_quantize_partials(
    z: ArrayLike, q: ArrayLike, alpha: ArrayLike, *, max_level: int, window: int | None = None
) -> Partials:
    """Numba twin of :func:`reference.cpmf.soft_quantize_partials`."""
    level = check_max_level(max_level)
    width = check_window(window, level)
    z_, q_, alpha_ = check_quantizer_inputs(z, q, alpha)
    out = np.empty((4, z_.size))
    _elements(z_.flatten(), q_.flatten(), alpha_.flatten(), level, width or 0, out)
    return Partials(*(o.reshape(z_.shape) for o in out))


def soft_quantize(
    z: ArrayLike, q: ArrayLike, alpha: ArrayLike, *, max_level: int, window: int | None = None
) -> Array:
    """Numba twin of :func:`reference.cpmf.soft_quantize`."""
    return soft_quantize_partials(z, q, alpha, max_level=max_level, window=window).value


__all__ = ["soft_quantize", "soft_quantize_partials"]
