"""The soft quantizer on Triton tiles: the mathematics that all kernels share.

As in :mod:`torch_impl.kernels.eager`, everything is a function of c = z/q and h = alpha q^2 in
units of q, and there are the same three regimes in the full space: a direct sum of five levels
(h >= pi), a theta series of two terms (h < pi), and a cut-off sum near the ends of the index set
(h < pi). A tile runs a regime only if one of its elements is in it, so a tile of one regime pays
for that one only. The masked CPMF is a sum over its window.

All functions work in float32. NaN never leaves its element; an infinite z saturates.

Cost per element at h >= pi, counted in the machine code for an H100: some 65 instructions for the
value and 135 for the partials with their sums. An H100 issues about 80 in the time in which it
moves 8 bytes.

References
----------
JPEG Inspired Deep Learning, eq. (5)-(7), (10a), (10b) in centred moments, (13).
"""

from __future__ import annotations

import math

import triton
import triton.language as tl

# Exponents are kept in units of ln 2, the unit of the hardware: h2 = h log2(e).
LOG2_E = tl.constexpr(math.log2(math.e))
LN_2 = tl.constexpr(math.log(2))
# Past this the result no longer changes, and products stay finite.
HUGE = tl.constexpr(1e30)
INFINITY = tl.constexpr(math.inf)
# From here on five levels suffice: the first one left out weighs exp(-6 h) <= 7e-9.
CROSSOVER_2 = tl.constexpr(math.pi * math.log2(math.e))
# The end of the index set is out of sight at h (L - |c|)^2 >= 30: exp(-30) = 9e-14.
END_DISTANCE_2 = tl.constexpr(30.0 * math.log2(math.e))
# The theta series is 0 to the last bit below this; it keeps 1/h finite.
THETA_H_MIN = tl.constexpr(0.05)
PI = tl.constexpr(math.pi)
PI_2 = tl.constexpr(math.pi**2)
PI_3 = tl.constexpr(math.pi**3)
# Windows up to this wide are unrolled.
UNROLLED_WINDOW = tl.constexpr(9)
# What to load in place of elements outside a tensor: the cheapest regime of the quantizer.
PAD_Q = tl.constexpr(1.0)
PAD_ALPHA = tl.constexpr(5.0)


@triton.jit
def _clamp(x, bound):
    return tl.minimum(tl.maximum(x, -bound), bound)


@triton.jit
def _locate(z, q, alpha, max_level, WINDOW: tl.constexpr):
    """c, nearest level r, distance t = c - r and h log2(e)."""
    c = z / q
    r = tl.floor(c + 0.5)
    if WINDOW > 0:
        # z / q is rounded and a window jumps at ties: let the remainder decide, half-up.
        rest = 2 * tl.fma(-r, q, z)
        r = tl.where(rest >= q, r + 1, tl.where(rest < -q, r - 1, r))
    r = _clamp(r, max_level)
    return c, r, c - r, tl.minimum(alpha * LOG2_E * q * q, HUGE)


@triton.jit
def _slope(z, q, alpha, c, r, t, h2, max_level):
    """2 h t log2(e), finite, where h may have underflowed and c overflowed."""
    beyond = 2 * (alpha * LOG2_E * q) * (z - r * q)
    beyond = tl.where(tl.abs(z) == INFINITY, z, beyond)
    return _clamp(tl.where(tl.abs(c) <= max_level + 1, 2 * h2 * t, beyond), HUGE)


@triton.jit
def _direct_sums(r, t, h2, max_level):
    """Moments s0..s3 about r of the levels r-2..r+2 inside the index set; h >= pi."""
    g2 = 2 * h2 * t
    # Only where level r + 1 is outside does this overflow (|2 t| <= 1 inside): to inf, not NaN.
    up = tl.where(r <= max_level - 1, tl.exp2(g2 - h2), 0.0)
    down = tl.where(r >= 1 - max_level, tl.exp2(-g2 - h2), 0.0)
    spread = tl.exp2(-2 * h2)
    up2 = tl.where(r <= max_level - 2, up * up * spread, 0.0)
    down2 = tl.where(r >= 2 - max_level, down * down * spread, 0.0)
    near, far = up + down, up2 + down2
    tilt, far_tilt = up - down, up2 - down2
    return 1 + near + far, tilt + 2 * far_tilt, near + 4 * far, tilt + 8 * far_tilt


@triton.jit
def _window_sums(r, g2, h2, max_level, WINDOW: tl.constexpr):
    """Moments s0..s3 about r of the levels in the window of r."""
    first = tl.minimum(tl.maximum(r - WINDOW // 2, -max_level), max_level - WINDOW + 1) - r
    s0 = tl.zeros_like(r)
    s1 = tl.zeros_like(r)
    s2 = tl.zeros_like(r)
    s3 = tl.zeros_like(r)
    if WINDOW <= UNROLLED_WINDOW:
        for j in tl.static_range(WINDOW):
            k = first + j
            weight = tl.exp2(tl.minimum(k * (g2 - h2 * k), 0.0))
            s0 += weight
            s1 += weight * k
            s2 += weight * (k * k)
            s3 += weight * (k * k * k)
    else:
        for j in range(WINDOW):
            k = first + j
            weight = tl.exp2(tl.minimum(k * (g2 - h2 * k), 0.0))
            s0 += weight
            s1 += weight * k
            s2 += weight * (k * k)
            s3 += weight * (k * k * k)
    return s0, s1, s2, s3


@triton.jit
def _near_end(c, h2, max_level):
    """Which elements of h < pi see an end of the index set."""
    room = tl.maximum(max_level - tl.abs(c), 0.0)
    return (h2 < CROSSOVER_2) & (h2 * room * room < END_DISTANCE_2) & (c == c)


@triton.jit
def _end_reach(h2, here, max_level):
    """Number of levels on each side that count for the elements `here`."""
    smallest = tl.min(tl.ravel(tl.where(here, h2, CROSSOVER_2)), axis=0)
    reach = tl.sqrt(1 / tl.maximum(smallest, 1e-30) * END_DISTANCE_2) + 2
    return tl.minimum(reach, 2 * max_level)


@triton.jit
def _end_weights(k, r, g2, h2, max_level):
    """Weights of levels r + k and r - k."""
    # Inside the index set the exponents are <= 0; outside, the weight is not used.
    up = tl.where(r + k <= max_level, tl.exp2(tl.minimum(k * (g2 - h2 * k), 0.0)), 0.0)
    down = tl.where(r - k >= -max_level, tl.exp2(tl.minimum(k * (-g2 - h2 * k), 0.0)), 0.0)
    return up, down


@triton.jit
def _end_mean(r, g2, h2, max_level, here):
    """Mean about r over all levels within reach; for the elements `here` only."""
    reach = _end_reach(h2, here, max_level)
    s0 = tl.zeros_like(r) + 1
    s1 = tl.zeros_like(r)
    k = reach * 0 + 1
    while k <= reach:
        up, down = _end_weights(k, r, g2, h2, max_level)
        s0 += up + down
        s1 += (up - down) * k
        k += 1
    return s1 / s0


@triton.jit
def _end_sums(r, g2, h2, max_level, here):
    """Moments s0..s3 about r, as :func:`_end_mean`."""
    reach = _end_reach(h2, here, max_level)
    s0 = tl.zeros_like(r) + 1
    s1 = tl.zeros_like(r)
    s2 = tl.zeros_like(r)
    s3 = tl.zeros_like(r)
    k = reach * 0 + 1
    while k <= reach:
        up, down = _end_weights(k, r, g2, h2, max_level)
        s0 += up + down
        s1 += (up - down) * k
        s2 += (up + down) * (k * k)
        s3 += (up - down) * (k * k * k)
        k += 1
    return s0, s1, s2, s3


@triton.jit
def _from_sums(q, r, t, h, g, s0, s1, s2, s3):
    """Partial derivatives from the moments about the nearest level; g = 2 h t."""
    t = _clamp(t, HUGE)
    inverse = 1 / s0
    mean = s1 * inverse
    second = s2 * inverse
    var = second - mean * mean
    mu3 = s3 * inverse - mean * (3 * second - 2 * mean * mean)
    dz = 2 * h * var
    dq = r + mean - 2 * h * (mu3 + (r + 2 * mean) * var) + g * var
    # Factor by factor: q^3 alone may overflow where the moments vanish.
    dalpha = -(mu3 + 2 * (mean - t) * var) * q * q * q
    return dz, dq, dalpha


@triton.jit
def _sine_cosine(t):
    """sin(2 pi t) and cos(2 pi t), |t| <= 1/2, within 3e-7 (polynomials at half the angle)."""
    y = t * t
    s = 0.07765591 * y - 0.59829041
    s = s * y + 2.55007739
    s = s * y - 5.16771008
    s = (s * y + 3.14159264) * t
    c = -0.02439593 * y + 0.23493707
    c = c * y - 1.33521195
    c = c * y + 4.05870915
    c = c * y - 4.93480214
    c = c * y + 1.0
    return 2 * s * c, 1 - 2 * s * s


@triton.jit
def _theta_value(z, q, t, h):
    """Full space away from the ends, h < pi; Poisson summation, two terms."""
    h = tl.maximum(h, THETA_H_MIN)
    sine, cosine = _sine_cosine(t)
    e1 = tl.exp2(-1 / h * (PI_2 * LOG2_E))
    e4 = (e1 * e1) * (e1 * e1)
    p = 1 + 2 * e1 * cosine + 2 * e4 * (2 * cosine * cosine - 1)
    n = sine * (e1 + 4 * e4 * cosine) * (4 * PI)
    return z - q * (n / (p * (2 * h)))


@triton.jit
def _theta_partials(q, c, t, h):
    """Partial derivatives of :func:`_theta_value`, free of cancellation."""
    h = tl.maximum(h, THETA_H_MIN)
    sine, cosine = _sine_cosine(t)
    sine2, cosine2 = 2 * sine * cosine, 2 * cosine * cosine - 1
    e1 = tl.exp2(-1 / h * (PI_2 * LOG2_E))
    e4 = (e1 * e1) * (e1 * e1)
    half = 0.5 / h
    inverse = 1 / (1 + 2 * e1 * cosine + 2 * e4 * cosine2)
    s = (e1 * sine + 2 * e4 * sine2) * (4 * PI) * inverse
    n_t = (e1 * cosine + 4 * e4 * cosine2) * (8 * PI_2)
    n_h = (e1 * sine + 8 * e4 * sine2) * (4 * PI_3)
    slope = (n_t * inverse + s * s) * half  # 1 - dQ/dz
    s_h = (n_h - 0.25 * s * n_t) * inverse * (4 * half * half)
    dq = s * half - s_h + c * slope
    dalpha = half * (2 * half * s - s_h) * q * q * q
    return 1 - slope, dq, dalpha


@triton.jit
def soft_value(z, q, alpha, max_level, WINDOW: tl.constexpr):
    """Q_d of a tile; all float32 and of one shape, `max_level` a float32 number."""
    c, r, t, h2 = _locate(z, q, alpha, max_level, WINDOW)
    if WINDOW > 0:
        g2 = _slope(z, q, alpha, c, r, t, h2, max_level)
        s0, s1, _, _ = _window_sums(r, g2, h2, max_level, WINDOW)
        value = tl.where(z == z, q * (r + s1 / s0), z)
    else:
        hard = h2 >= CROSSOVER_2
        hard_count = tl.sum(tl.ravel(hard.to(tl.int32)), axis=0)
        value = z
        if hard_count > 0:
            s0, s1, _, _ = _direct_sums(r, t, h2, max_level)
            value = q * (r + s1 / s0)
        if hard_count < z.numel:
            soft = _theta_value(z, q, t, h2 * LN_2)
            here = _near_end(c, h2, max_level)
            if tl.max(tl.ravel(here.to(tl.int32)), axis=0) > 0:
                g2 = _slope(z, q, alpha, c, r, t, h2, max_level)
                soft = tl.where(here, q * (r + _end_mean(r, g2, h2, max_level, here)), soft)
            value = tl.where(hard, value, soft)
    return value


@triton.jit
def soft_partials(z, q, alpha, max_level, WINDOW: tl.constexpr):
    """Partial derivatives dz, dq, dalpha of a tile, as :func:`soft_value`."""
    c, r, t, h2 = _locate(z, q, alpha, max_level, WINDOW)
    h = h2 * LN_2
    if WINDOW > 0:
        g2 = _slope(z, q, alpha, c, r, t, h2, max_level)
        s0, s1, s2, s3 = _window_sums(r, g2, h2, max_level, WINDOW)
        dz, dq, dalpha = _from_sums(q, r, t, h, g2 * LN_2, s0, s1, s2, s3)
    else:
        hard = h2 >= CROSSOVER_2
        hard_count = tl.sum(tl.ravel(hard.to(tl.int32)), axis=0)
        dz, dq, dalpha = z, z, z
        if hard_count > 0:
            s0, s1, s2, s3 = _direct_sums(r, t, h2, max_level)
            g = _clamp(2 * h * t, HUGE)
            dz, dq, dalpha = _from_sums(q, r, t, h, g, s0, s1, s2, s3)
        if hard_count < z.numel:
            dz_soft, dq_soft, dalpha_soft = _theta_partials(q, c, t, h)
            here = _near_end(c, h2, max_level)
            if tl.max(tl.ravel(here.to(tl.int32)), axis=0) > 0:
                g2 = _slope(z, q, alpha, c, r, t, h2, max_level)
                s0, s1, s2, s3 = _end_sums(r, g2, h2, max_level, here)
                dz_end, dq_end, dalpha_end = _from_sums(q, r, t, h, g2 * LN_2, s0, s1, s2, s3)
                dz_soft = tl.where(here, dz_end, dz_soft)
                dq_soft = tl.where(here, dq_end, dq_soft)
                dalpha_soft = tl.where(here, dalpha_end, dalpha_soft)
            dz = tl.where(hard, dz, dz_soft)
            dq = tl.where(hard, dq, dq_soft)
            dalpha = tl.where(hard, dalpha, dalpha_soft)
    known = z == z
    return tl.where(known, dz, z), tl.where(known, dq, z), tl.where(known, dalpha, z)
