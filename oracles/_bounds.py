"""First-order error bounds of a softmax over levels, one element at a time (Numba).

An implementation evaluates, in some arrangement, the weights w_k of the levels r + k about the
nearest level r, and their moments. This module bounds what rounding can do to its four results.
Everything is in units of q, with h = alpha q^2, c = z/q and f = c - r.

1. The exponent of level r + k moves by eps times
   ``1 + h k^2 + 2h |k| (1 + |c|) + 2h |f - k| (1 + |r|)``: the rounding of h, of c (or of r q) and
   of the level itself. So p_k moves by p_k (exp(that) - 1), at most by 1. The exponential
   matters: next to a tie of a hard quantizer an error of the exponent is no small number.
   Far outside, absolute coordinates in float64 add 2 eps64 h (f - k)^2: two roundings of
   (z - iq)^2 and one of its product with alpha.
2. Each level, rounded on its own in absolute coordinates, is off by eps (1 + |r|).
3. Sums and products round relative to the sum of their terms' magnitudes; n terms added one by
   one are off by at most n eps / 2.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["error_bounds"]

Array = NDArray[np.float64]

EPS64 = float(np.finfo(np.float64).eps)
# Levels with less probability than this take no part in the length of a sum.
_NEGLIGIBLE = 1e-12
# What a probability may move by where its exponent says nothing: by 1, and some room, because
# sound implementations that pick the other level there are off by all of it.
_WHOLE = 1.25
# Largest offset in units of q: keeps squares finite.
_FAR = 1e100


@numba.njit(cache=True, nogil=True, error_model="numpy")
def error_bounds(
    inputs: Any,
    distance: Array,
    nearest: Array,
    first: Array,
    count: int,
    eps: float,
    smallest: float,
    constants: Array,
    out: Any,
) -> None:
    """Fill ``out`` (4, n) with the largest acceptable errors of value, dz, dq and dalpha.

    Parameters
    ----------
    inputs : ndarray, shape (3, n)
        z, q, alpha.
    distance : ndarray, shape (n,)
        z - nearest * q.
    nearest, first : ndarray, shape (n,)
        Nearest level, and first level of the support.
    count : int
        Levels of the support.
    eps, smallest : float
        Unit of rounding (spacing at 1) and smallest subnormal of the working dtype.
    constants : ndarray, shape (7,)
        In the order of :class:`oracles.tolerance.Constants`.
    out : ndarray, shape (4, n)
        Written.
    """
    c_value, c_weight, c_dz, c_dq, c_dalpha, c_sum, c_tiny = constants
    for i in range(nearest.size):
        q, alpha = inputs[1, i], inputs[2, i]
        r = nearest[i]
        h = min((alpha * q) * q, _FAR)
        f = min(max(distance[i] / q, -_FAR), _FAR)
        c = abs(r + f)
        lo, hi = first[i] - r, first[i] - r + count - 1
        reach = 4.0 + 1.3 * math.sqrt(800.0 / max(h, 1e-12))
        lo, hi = int(max(lo, -reach)), int(min(hi, reach))

        # Moments about the nearest level.
        total, m, raw2, raw3, abs1 = 0.0, 0.0, 0.0, 0.0, 0.0
        others = 0.0  # weight off the nearest level
        for k in range(lo, hi + 1):
            w = math.exp(min(h * k * (2.0 * f - k), 700.0))
            total += w
            others += w if k != 0 else 0.0
            m += w * k
            abs1 += w * abs(k)
            raw2 += w * k * k
            raw3 += w * abs(k) ** 3
        m, abs1, raw2, raw3 = m / total, abs1 / total, raw2 / total, raw3 / total
        log_total = math.log(total)
        v, s, cube, apart, level = 0.0, 0.0, 0.0, 0.0, 0.0
        terms, far1, far2 = 0, 0.0, 0.0
        for k in range(lo, hi + 1):
            p = math.exp(h * k * (2.0 * f - k) - log_total)
            x = k - m
            v += p * x * x
            s += p * x * x * x
            cube += p * abs(x) ** 3
            apart += p * abs(x)
            level += p * abs(r + k)  # E|V| / q
            far1 += p * abs(f - k)
            far2 += p * (f - k) ** 2
            if p > _NEGLIGIBLE:
                terms += 1
        # What errors of the exponents do to the three moments.
        w1, w2, w3 = 0.0, 0.0, 0.0
        for k in range(lo, hi + 1):
            log_p = h * k * (2.0 * f - k) - log_total
            moved = 1.0 + h * k * k + 2.0 * h * abs(k) * (1.0 + c)
            moved += 2.0 * h * abs(f - k) * (1.0 + abs(r))
            e = c_weight * (eps * moved + 2.0 * EPS64 * h * (f - k) ** 2)
            # p (exp(e) - 1), also where p underflows and e is large.
            grown = math.exp(min(log_p + e, 0.0)) - math.exp(log_p)
            b = math.exp(log_p) * math.expm1(e) if e < 1.0 else grown
            b = min(b, 1.0) if log_p + e < 0.0 else _WHOLE
            x = k - m
            w1 += abs(x) * b
            w2 += abs(x * x - v) * b
            w3 += abs(x * x * x - 3.0 * v * x - s) * b
        w3 += 3.0 * w1 * w2 + w1**3
        w2 += w1 * w1

        # Automatic differentiation through float64 weights rounds the mean: by eps64, or by all
        # that lies off the nearest level, if that is less; and more for a long sum, whose
        # probabilities do not add up to one.
        noise = min(EPS64, others / total)
        long = 1.0 + c_sum * terms
        noise *= long
        rounded = 1.0 + abs(r)
        flat_v = long * (raw2 + m * m) + 2.0 * rounded * apart + 2.0 * v
        flat_s = long * (raw3 + 3.0 * abs(m) * raw2 + 2.0 * abs(m) ** 3) + 3.0 * rounded * v + cube
        flat_m = long * abs1 + rounded
        shift = r + 2.0 * m - f  # 2E - z
        pull = m - f  # E - z
        under = count * smallest  # each term of a sum may underflow by this much

        # Conditioning of the value with respect to its three inputs.
        q_dq = abs(r + m - 2.0 * h * (s + shift * v))
        a_dalpha = h * abs(s + 2.0 * pull * v)
        scale = level * long + c * 2.0 * h * v + q_dq + a_dalpha
        out[0, i] = q * (c_value * eps * scale + w1 + c_tiny * eps * eps) + under

        e = c_dz * eps
        dv = w2 + e * flat_v
        out[1, i] = 2.0 * h * dv + e + c_dz * noise * 2.0 * h * level * far1 + 2.0 * alpha * under

        e = c_dq * eps
        dv = w2 + e * flat_v
        ds = w3 + e * flat_s
        dm = w1 + e * flat_m
        out[2, i] = (
            e * long * level
            + w1
            + 2.0 * h * (ds + abs(shift) * dv + v * (2.0 * dm + e * (1.0 + c + abs(r))))
            + e * (1.0 + min(c, abs(r) + 1.0))
            + c_dq * noise * 2.0 * h * level * far1 * (abs(r) + abs1)
            + under * (1.0 + 2.0 * alpha * (1.0 + abs(shift) * q)) / q
        )

        e = c_dalpha * eps
        dv = w2 + e * flat_v
        ds = w3 + e * flat_s
        dm = w1 + e * flat_m
        out[3, i] = (
            q * q * q * (ds + 2.0 * v * (dm + e * (1.0 + c)) + 2.0 * abs(pull) * dv + e)
            + q * q * q * c_dalpha * noise * level * far2
            + under * (1.0 + 2.0 * abs(pull) * q)
        )
