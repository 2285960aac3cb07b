"""Vectorised float32 core of the CPU kernels: the soft quantizer on a row of elements.

A row is up to ``ROW`` elements in a scratch array of named slots. One flat array with constant
offsets is what lets LLVM prove that its loads and stores do not overlap, and vectorise.

The level nearest to c = z/q is r, clamped to [-L, L]. With h = alpha q^2, t = c - r and
g = 2 h t the weight of level r + k is exp(k (g - h k)): at most 1 for every level of the
index set, so nothing overflows. Levels outside the support get weight 0, which treats the ends
of the index set and saturation exactly. How many levels on each side of r count is decided for
a whole row:

- masked: those of the window;
- full space: K with h K (K + 1) >= 20, since the first level left out weighs at most
  exp(-h K (K + 1)) of the nearest. That is K = 7 at h = ``SOFT``. Below it the quantizer
  is the identity to float32 away from the ends: Poisson's theta series leaves
  q (4 pi / 2h) exp(-pi^2 / h) <= 3e-10 q of the value and 2e-8 q^3 of d/dalpha. The few
  elements near the ends are left to :mod:`torch_impl.kernels.cpu_ends`.

References
----------
JPEG Inspired Deep Learning, eq. (5)-(7), (10a), (10b), (13), with centred moments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torch_impl.kernels.cpu_jit import jit_part

_f4 = np.float32
_i4 = np.int32
_Row = NDArray[np.float32]

ROW = 256
"""Elements per row: 17 slots of 1 KiB stay in the first-level cache."""

# Slots of the scratch array. Inputs:
Z, Q, ALPHA, GRAD = (ROW * i for i in range(4))
# Outputs: the value, and the partial derivatives times GRAD.
VALUE, DZ, DQ, DALPHA = (ROW * i for i in range(4, 8))
# In between: nearest level, z - r q, h, g, levels of the support below r, moments about r.
_R, _D, _H, _G, _BELOW, _S0, _S1, _S2, _S3 = (ROW * i for i in range(8, 17))
SCRATCH = 17 * ROW
"""Length of the scratch array."""

SOFT = _f4(0.4)
"""Full space: below this h the levels are not summed."""
# exp(-20) = 2e-9 leaves room for the cube of the distance in the third moment.
_FULL_EXPONENT = _f4(20)
# A masked support is cut where weights vanish even beside float32's eps^2.
_MASKED_EXPONENT = _f4(40)
# The ends are out of sight of c when h (L - |c|)^2 exceeds this.
_END_EXPONENT = _f4(30)
# At h < SOFT, beyond the ends, three levels do when this is the exponent of the fourth.
_CUT_EXPONENT = _f4(24)
# Past these, results no longer change; products stay finite.
_HUGE = _f4(1e30)
_FAR = _f4(1e37)
_LARGEST = _f4(3.4028235e38)
_HUGE_BITS = _i4(0x7F000000)

_NAN = _f4(np.nan)
_ZERO, _HALF, _ONE, _TWO, _THREE, _FOUR, _EIGHT = (_f4(x) for x in (0, 0.5, 1, 2, 3, 4, 8))

# Adding 1.5 * 2^23 rounds a float32 below 2^22 to an integer and leaves it in the low bits.
_ROUNDER = _f4(12582912.0)

# exp(y) = 2^n exp(f), |f| <= ln 2 / 2; the polynomial is that of Cephes' expf.
_EXP_LOWEST = _f4(-86.0)  # below: 0; keeps 2^n a normal number
_LOG2_E = _f4(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = _f4(0.693359375), _f4(-2.12194440e-4)
_P5, _P4, _P3 = _f4(1.9875691500e-4), _f4(1.3981999507e-3), _f4(8.3334519073e-3)
_P2, _P1, _P0 = _f4(4.1665795894e-2), _f4(1.6666665459e-1), _f4(5.0000001201e-1)
_MANTISSA_BITS = _i4(23)


@jit_part
def exp_negative(x: np.float32) -> np.float32:
    """exp(min(x, 0)) to 1 ulp; 0 below -86. NaN gives 0."""
    y = x if x < _ZERO else _ZERO
    y = y if y > _EXP_LOWEST else _EXP_LOWEST
    shifted = y * _LOG2_E + _ROUNDER
    n = shifted - _ROUNDER
    f = (y - n * _LN2_HIGH) - n * _LN2_LOW
    p = ((((_P5 * f + _P4) * f + _P3) * f + _P2) * f + _P1) * f + _P0
    p = p * (f * f) + f + _ONE
    bits = _i4(_f4(p).view(_i4) + (_f4(shifted).view(_i4) << _MANTISSA_BITS))
    return bits.view(_f4) if x > _EXP_LOWEST else _ZERO


@jit_part
def nearest(s: _Row, n: int, level: int, width: int) -> None:
    """Fill the slots from _R to _S3, with the levels up to r +- 2; `width` levels of support."""
    top = _f4(level)
    edge = top + _ONE
    half = _f4(width // 2)
    last_first = _f4(level - width + 1)
    span = _f4(width - 1)
    for i in range(n):
        z, q, alpha = s[Z + i], s[Q + i], s[ALPHA + i]
        c = z / q
        inside = abs(c) <= edge
        near = edge if c > edge else c
        near = -edge if near < -edge else near
        r = (near + _ROUNDER) - _ROUNDER
        r = r + _ONE if near - r >= _HALF else r  # half-up
        r = top if r > top else r
        r = -top if r < -top else r
        t = c - r
        aq = alpha * q
        h = aq * q
        h = _HUGE if h > _HUGE else h
        # Beyond the ends z - r q is used itself: h may have underflowed, c overflowed.
        d = t * q if inside else z - r * q
        g = h * t if inside else aq * d
        g = d if abs(d) > _LARGEST else g + g
        g = _HUGE if g > _HUGE else g
        g = -_HUGE if g < -_HUGE else g
        d = _FAR if d > _FAR else d
        d = -_FAR if d < -_FAR else d

        first = r - half
        first = -top if first < -top else first
        first = last_first if first > last_first else first
        below = r - first
        above = span - below
        up = exp_negative(g - h)
        down = exp_negative(-g - h)
        step = exp_negative(-h - h)
        up = up if above >= _ONE else _ZERO
        down = down if below >= _ONE else _ZERO
        up2 = up * up * step if above >= _TWO else _ZERO
        down2 = down * down * step if below >= _TWO else _ZERO
        both, both2 = up + down, up2 + down2
        tilt, tilt2 = up - down, up2 - down2
        s[_R + i] = r
        s[_D + i] = d
        s[_H + i] = h
        s[_G + i] = g
        s[_BELOW + i] = below
        s[_S0 + i] = _ONE + both + both2
        s[_S1 + i] = tilt + _TWO * tilt2
        s[_S2 + i] = both + _FOUR * both2
        s[_S3 + i] = tilt + _EIGHT * tilt2


@jit_part
def widen(s: _Row, ordered: NDArray[np.int32], n: int, width: int, window: int) -> int:
    """Add the levels from r +- 3 outwards to the moments, as many as count.

    `ordered` is `s` seen as integers: positive floats compare as their bits do.

    Returns
    -------
    int
        Full space: the number of elements with h < SOFT.
    """
    half = _f4(width // 2)
    span = _f4(width - 1)
    soft, pushed, least = 0, 0, _HUGE_BITS
    for i in range(n):
        is_soft = (s[_H + i] < SOFT) & (window == 0)
        soft += is_soft
        pushed += s[_BELOW + i] != half
        bits = _HUGE_BITS if is_soft else ordered[_H + i]
        least = bits if bits < least else least
    hardness = _i4(least).view(_f4)
    exponent = _MASKED_EXPONENT if window else _FULL_EXPONENT
    last = width - 1 if pushed else width // 2

    k, product = _THREE, _f4(6)  # product: (k - 1) k
    for _ in range(3, last + 1):
        if hardness * product >= exponent:
            break
        square = k * k
        for i in range(n):
            h, g, below = s[_H + i], s[_G + i], s[_BELOW + i]
            up = exp_negative(k * (g - h * k))
            down = exp_negative(-k * (g + h * k))
            up = up if span - below >= k else _ZERO
            down = down if below >= k else _ZERO
            both, tilt = up + down, k * (up - down)
            s[_S0 + i] += both
            s[_S1 + i] += tilt
            s[_S2 + i] += square * both
            s[_S3 + i] += square * tilt
        product += k + k
        k += _ONE
    return soft


@jit_part
def values(s: _Row, n: int) -> None:
    """VALUE from the moments about r."""
    for i in range(n):
        s[VALUE + i] = s[Q + i] * (s[_R + i] + s[_S1 + i] / s[_S0 + i])


@jit_part
def partials(s: _Row, n: int) -> None:
    """DZ, DQ and DALPHA from the moments about r, times GRAD."""
    for i in range(n):
        q, r, d, h, grad = s[Q + i], s[_R + i], s[_D + i], s[_H + i], s[GRAD + i]
        scale = _ONE / s[_S0 + i]
        mean = s[_S1 + i] * scale + _ZERO * d  # NaN where z is
        second = s[_S2 + i] * scale
        var = second - mean * mean
        mu3 = s[_S3 + i] * scale - mean * (_THREE * second - _TWO * mean * mean)
        h2 = h + h
        s[DZ + i] = grad * (h2 * var)
        s[DQ + i] = grad * (r + mean - h2 * (mu3 + (r + _TWO * mean) * var) + s[_G + i] * var)
        # Factor by factor: q^3 alone may overflow where the moments vanish.
        s[DALPHA + i] = -grad * ((q * mu3 + _TWO * (q * mean - d) * var) * q * q)


@jit_part
def settle(s: _Row, n: int, level: int) -> int:
    """Full space at h < SOFT: the identity away from the ends.

    Elements near the ends are marked: VALUE and DZ are NaN, DQ and DALPHA 0.

    Returns
    -------
    int
        Number of marked elements.
    """
    top = _f4(level)
    marked = 0
    for i in range(n):
        h, z = s[_H + i], s[Z + i]
        if h < SOFT:
            room = top - abs(z / s[Q + i])
            if room > _ZERO and h * room * room >= _END_EXPONENT:
                s[VALUE + i] = z
                s[DZ + i] = s[GRAD + i]
                s[DQ + i] = _ZERO
                s[DALPHA + i] = _ZERO
            elif room > _ZERO or _THREE * (abs(s[_G + i]) + _THREE * h) < _CUT_EXPONENT:
                s[VALUE + i] = _NAN
                s[DZ + i] = _NAN
                s[DQ + i] = _ZERO
                s[DALPHA + i] = _ZERO
                marked += 1
    return marked
