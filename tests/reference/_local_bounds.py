"""How far float64 sums over the levels may be off when c - r is known exactly.

The reference promises more than the tolerances of the oracles grant: the remainder z - r q is
exact, so only quantities relative to the nearest level round. To first order, with
eps = 2^-52 and sums over K levels:

- the weight of level r + k is off by ``C eps (1 + h |k| (2 |t| + |k|))`` relative to itself: h
  and t round twice each, the products of the exponent twice, exp by an ulp, the division once;
- a sum of K terms, added pairwise or one by one, is off by at most K eps of its magnitude;
- moments about the nearest level, subtracted afterwards (the Numba twin), round relative to the
  uncentred moments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.cpmf import Partials, cpmf, nearest_level

Array = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
SUBNORMAL = 5e-324
# Count of the roundings above, 8, each half an eps; doubled because the bound is first order.
_ROUNDINGS = 8.0
_FAR = 1e300


def local_bounds(
    z: Array, q: Array, alpha: Array, *, max_level: int, window: int | None = None
) -> Partials:
    """Largest error of value, dz, dq and dalpha of a sound float64 sum, elementwise."""
    levels, p = cpmf(z, q, alpha, max_level=max_level, window=window)
    r, distance = nearest_level(z, q, max_level)
    with np.errstate(all="ignore"):
        t = np.clip(distance / q, -_FAR, _FAR)
        h = np.minimum(alpha * q * q, _FAR)
        g = np.abs(np.clip(2 * (alpha * q) * distance, -_FAR, _FAR))
        k = levels - r[..., None]
        count = np.maximum((p > 0).sum(-1), 2)[..., None]
        exponent = np.abs(k) * (g[..., None] + h[..., None] * np.abs(k))
        # Weights that are 0 stay 0, whatever their exponent, and the nearest level weighs 1.
        moved = np.where((p > 0) & (k != 0), exponent, 0.0)
        relative = _ROUNDINGS * EPS * (1 + moved) + count * EPS
        m = (p * k).sum(-1, keepdims=True)
        x = k - m
        var, mu3 = ((p * x**n).sum(-1, keepdims=True) for n in (2, 3))
        e_m = (p * np.abs(x) * relative).sum(-1) + EPS * (p * np.abs(k) * count).sum(-1)
        raw = EPS * count * p * (1 + np.abs(k)) * _ROUNDINGS
        e_var = (p * np.abs(x**2 - var) * relative).sum(-1) + (raw * k**2).sum(-1)
        e_mu3 = (p * np.abs(x**3 - 3 * var * x - mu3) * relative).sum(-1)
        e_mu3 = e_mu3 + (raw * np.abs(k) ** 2 * (1 + np.abs(k))).sum(-1)
        m, var, mu3 = (a[..., 0] for a in (m, var, mu3))
        level, away = np.abs(r) + 2 * np.abs(m), np.abs(m - t)
        e = _ROUNDINGS * EPS
        floor = 4 * SUBNORMAL
        dz = 2 * h * (e_var + e * var)
        dq = (
            e * (np.abs(r) + np.abs(m))
            + e_m
            + 2 * h * (e_mu3 + level * e_var + 2 * var * e_m + e * (np.abs(mu3) + level * var))
            + _times(g, e_var + e * var)
        )
        dalpha = e_mu3 + 2 * var * e_m + e * np.abs(mu3) + 2 * _times(away, e_var + e * var)
        return Partials(
            value=q * (e_m + e * (np.abs(r) + np.abs(m))) + floor,
            dz=dz + floor,
            dq=dq + floor,
            dalpha=_cubed(dalpha, q) + floor * (1 + q) ** 2,
        )


def _times(a: Array, b: Array) -> Array:
    """Product with 0 * inf = 0: what has no weight has no error."""
    return np.where(b == 0, 0.0, a * b)


def _cubed(a: Array, q: Array) -> Array:
    return np.where(a == 0, 0.0, a * q * q * q)
