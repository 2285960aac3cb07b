"""The full-space soft quantizer near the ends of the index set, for soft h: one element.

There neither the nearest few levels nor the theta series do. In float64, at a cost that depends
on neither h nor L: the levels within reach are summed one by one while they are few;
otherwise their sum is an integral (Gauss-Legendre) plus Euler-Maclaurin terms at its two ends,

    sum_{k=a}^{b} F(k) = int_{a-1/2}^{b+1/2} F - [F'/24 - 7 F'''/5760 + 31 F^(5)/967680 - ...].

References
----------
JPEG Inspired Deep Learning, eq. (5)-(7), (10a), (10b), (13), with centred moments.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from torch_impl.kernels.cpu_jit import jit, jit_part
from torch_impl.kernels.cpu_math import SOFT

_Array = NDArray[np.float32]
_Offsets = NDArray[np.int64]

# Levels whose weight is below exp(-this) of the largest are out of reach.
_EXPONENT = 34.0
# At most this many levels are summed one by one. With more, the logarithm of the weights changes
# by at most 4 _EXPONENT / _FEW = 1.1 from level to level, and the first Euler-Maclaurin
# term left out is below 2.1e-8 * 1.1^9 / 40 = 1e-9.
_FEW = 128
# -(coefficients of F', F''', F^(5), F^(7)) of the midpoint Euler-Maclaurin formula.
_ENDS = np.array([-1 / 24, 7 / 5760, -31 / 967680, 127 / 154828800])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


@jit_part
def _few(h: float, g: float, first: float, last: float) -> tuple[float, float, float, float]:
    """Sums of k^p exp(k (g - h k)) for p = 0..3 over first <= 0 <= last."""
    s0, s1, s2, s3 = 1.0, 0.0, 0.0, 0.0
    step = math.exp(-2 * h)
    for sign, end in ((1.0, last), (-1.0, first)):
        weight, factor = 1.0, math.exp(sign * g - h)
        k = 0.0
        while abs(k) < abs(end):
            k += sign
            weight *= factor
            factor *= step
            s0 += weight
            s1 += weight * k
            s2 += weight * (k * k)
            s3 += weight * (k * k * k)
    return s0, s1, s2, s3


@jit_part
def _many(h: float, g: float, first: float, last: float) -> tuple[float, float, float, float]:
    """The same by integral and end terms."""
    low, high = first - 0.5, last + 0.5
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    for i in range(_NODES.size):
        x = 0.5 * (low + high) + 0.5 * (high - low) * _NODES[i]
        weight = 0.5 * (high - low) * _WEIGHTS[i] * math.exp(x * (g - h * x))
        s0 += weight
        s1 += weight * x
        s2 += weight * (x * x)
        s3 += weight * (x * x * x)
    for x, sign in ((low, -1.0), (high, 1.0)):
        f3, f2, f1, f0 = 0.0, 0.0, 0.0, sign * math.exp(x * (g - h * x))
        for j in range(1, 8):
            f3, f2, f1, f0 = f2, f1, f0, (g - 2 * h * x) * f0 - 2 * h * (j - 1) * f1
            if j % 2:  # the j-th derivatives of x^p F, by Leibniz
                weight = _ENDS[j // 2]
                c1, c2 = float(j), float(j * (j - 1))
                c3 = c2 * (j - 2)
                s0 += weight * f0
                s1 += weight * (x * f0 + c1 * f1)
                s2 += weight * (x * (x * f0 + 2 * c1 * f1) + c2 * f2)
                s3 += weight * (x * (x * (x * f0 + 3 * c1 * f1) + 3 * c2 * f2) + c3 * f3)
    return s0, s1, s2, s3


@jit_part
def _near_ends(
    z_in: np.float32, q_in: np.float32, alpha_in: np.float32, level: int
) -> tuple[float, float, float, float]:
    """Value, d/dz, d/dq and d/dalpha of one element; z is not NaN."""
    # np.float64, since Numba's float() of a float32 is a float32.
    q, alpha, top = np.float64(q_in), np.float64(alpha_in), np.float64(level)
    sign, z = (-1.0, -np.float64(z_in)) if z_in < 0 else (1.0, np.float64(z_in))
    if math.isinf(z):
        return sign * top * q, 0.0, sign * top, 0.0
    c = z / q
    r = min(np.floor(min(c, top) + 0.5), top)
    t = c - r
    h = alpha * q * q
    g = 2 * h * t
    # k is within reach where h k^2 - g k < _EXPONENT.
    root = math.sqrt(g * g + 4 * h * _EXPONENT)
    left, right = top + r, top - r
    if (root + g) * left > 2 * _EXPONENT:
        left = np.ceil(2 * _EXPONENT / (root + g))
    if (root - g) * right > 2 * _EXPONENT:
        right = np.ceil(2 * _EXPONENT / (root - g))
    if left + right < _FEW:
        s0, s1, s2, s3 = _few(h, g, -left, right)
    else:
        s0, s1, s2, s3 = _many(h, g, -left, right)
    mean = s1 / s0
    second = s2 / s0
    var = second - mean * mean
    mu3 = s3 / s0 - mean * (3 * second - 2 * mean * mean)
    value = r + mean
    dq = value - 2 * h * (mu3 + (value + mean) * var) + g * var
    dalpha = -(mu3 + 2 * (mean - t) * var) * q * q * q
    return sign * (q * value), 2 * h * var, sign * dq, sign * dalpha


@jit
def repair_rows(
    z: _Array,
    q: _Array,
    alpha: _Array,
    q_offset: _Offsets,
    alpha_offset: _Offsets,
    q_stride: int,
    alpha_stride: int,
    first: int,
    last: int,
    length: int,
    total: int,
    level: int,
    forward: bool,
    out: _Array,
    grad: _Array,
    dq: _Array,
    dalpha: _Array,
) -> None:
    """Fill in what ``forward_rows`` or ``backward_rows`` marked with NaN.

    Parameters
    ----------
    z, q, alpha, q_offset, alpha_offset, q_stride, alpha_stride, first, last, length, total, \
    level
        As of :func:`torch_impl.kernels.cpu_rows.forward_rows`, but that z may not be
        overwritten by the outputs.
    forward : bool
        Whether `out` holds values or gradients of z.
    out : ndarray, shape (total,)
        Its NaN are replaced, except where z is NaN.
    grad, dq, dalpha : ndarray
        As of :func:`torch_impl.kernels.cpu_rows.backward_rows`; unused in the forward pass.
    """
    for row in range(first, last):
        for i in range(min(length, total - row * length)):
            at = row * length + i
            if not math.isnan(out[at]) or math.isnan(z[at]):
                continue
            q_at = q_offset[row] + i * q_stride
            alpha_at = alpha_offset[row] + i * alpha_stride
            if (alpha[alpha_at] * q[q_at]) * q[q_at] >= SOFT:
                continue  # this NaN came with the gradient
            value, slope, by_q, by_alpha = _near_ends(z[at], q[q_at], alpha[alpha_at], level)
            if forward:
                out[at] = value
            else:
                out[at] = grad[at] * slope
                dq[q_at] += grad[at] * by_q
                dalpha[alpha_at] += grad[at] * by_alpha
