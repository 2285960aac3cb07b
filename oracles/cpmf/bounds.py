"""How far the probabilities of a sound CPMF may be off, level by level.

As in :mod:`oracles._bounds`: an implementation evaluates exponents x_k of the levels r + k about
the nearest level r, then exp and a division by the sum. With h = alpha q^2, c = z/q, f = c - r,

1. x_k moves by ``e_k = weight (eps (1 + h k^2 + 2h |k| (1 + |c|) + 2h |f - k| (1 + |r|)) +
   eps64 h (f - k)^2)``: the rounding of h, of c or of r q, and of the level; the last term is
   float64 arithmetic in absolute coordinates. So p_k moves by p_k (exp(e_k) - 1), at most to 1,
   and the sum of all weights by the sum of that, which moves every p_k in proportion;
2. each p_k is rounded: a few eps of itself, and the sum of n terms by n eps / 2;
3. below the smallest normal number nothing is asked: hardware may flush it to zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.cpmf import nearest_level

__all__ = ["CPMF_CONSTANTS", "CpmfBounds", "CpmfConstants", "cpmf_bounds"]

Array = NDArray[np.float64]

_EPS64 = float(np.finfo(np.float64).eps)
_FAR = 1e100
# Levels with less probability take no part in the length of a sum.
_NEGLIGIBLE = 1e-12


class CpmfConstants(NamedTuple):
    """Factors of the tolerances, in units of eps."""

    weight: float
    rounding: float
    total: float


#: Measured by `python -m tests.oracles.calibrate_cpmf 0 100`: six sound implementations, 100 seeds
#: each, supports and dtypes in turn, no accusation.
CPMF_CONSTANTS = CpmfConstants(
    # Of the movement of each exponent. Needed: 1.6, by float64 in absolute coordinates (1.4 in
    # float32, by exp(x - log-sum-exp)). The worst ratio of two is at 0.46 of its tolerance.
    weight=4.0,
    # Of a probability itself: exp, a difference or a quotient, and 1/total are 4 roundings of
    # eps / 2 each, doubled. Not measured apart: it enters wherever the exponents do.
    rounding=4.0,
    # Of the sum of all: the worst is at 0.36 of its tolerance.
    total=4.0,
)


class CpmfBounds(NamedTuple):
    """Largest acceptable errors of n points and K levels.

    Parameters
    ----------
    probabilities : ndarray, shape (n, K)
        Absolute, of each probability.
    exponents : ndarray, shape (n, K)
        Of the logarithm of each weight.
    log_ratio : ndarray, shape (n, K - 1)
        Exact logarithm of p_{k+1} / p_k: h (2c - 2i - 1) for the levels i and i + 1.
    total : ndarray, shape (n,)
        Of the sum of the probabilities.
    offsets : ndarray, shape (n, K)
        Levels minus the nearest one.
    """

    probabilities: Array
    exponents: Array
    log_ratio: Array
    total: Array
    offsets: Array


def cpmf_bounds(
    z: Array,
    q: Array,
    alpha: Array,
    levels: Array,
    *,
    max_level: int,
    dtype: Any,
    constants: CpmfConstants = CPMF_CONSTANTS,
) -> CpmfBounds:
    """Largest acceptable errors of a CPMF on given levels.

    Parameters
    ----------
    z, q, alpha : ndarray, shape (n,)
        Finite inputs; q and alpha positive.
    levels : ndarray, shape (n, K)
        Ascending levels of the support, the nearest one among them.
    max_level : int
        L.
    dtype : dtype-like
        float32 or float64: the unit of rounding.
    constants : CpmfConstants
        For measuring the constants themselves.

    Returns
    -------
    CpmfBounds

    References
    ----------
    JPEG-DL, eq. (5) and (6).
    """
    limits = np.finfo(np.dtype(dtype))
    eps = float(limits.eps)
    nearest, distance = nearest_level(z, q, max_level)
    with np.errstate(all="ignore"):
        r = nearest[:, None]
        f = np.clip(distance / q, -_FAR, _FAR)[:, None]
        h = np.minimum((alpha * q) * q, _FAR)[:, None]
        c = np.abs(r + f)
        k = levels - r
        exponent = h * k * (2.0 * f - k)
        log_p = exponent - np.log(np.exp(exponent).sum(axis=1, keepdims=True))
        p = np.exp(log_p)
        moved = 1.0 + h * k**2 + 2.0 * h * np.abs(k) * (1.0 + c)
        moved += 2.0 * h * np.abs(f - k) * (1.0 + np.abs(r))
        e = constants.weight * (eps * moved + _EPS64 * h * (f - k) ** 2)
        bent = np.where(e < 1.0, p * np.expm1(e), np.exp(np.minimum(log_p + e, 0.0)))
        bent = np.minimum(bent, 1.0)
        common = np.minimum(bent.sum(axis=1, keepdims=True), 1.0)
        terms = (p > _NEGLIGIBLE).sum(axis=1, keepdims=True)
        rounded = eps * (constants.rounding + terms / 2)
        probabilities = bent + p * (common + rounded) + float(limits.tiny)
        # exp(x - log(sum exp x)) rounds that difference, instead of the quotient.
        information = np.sum(p * np.abs(np.maximum(log_p, -_FAR)), axis=1)
        total = eps * (constants.total + terms[:, 0] / 2 + constants.rounding * information)
        log_ratio = (h * (2.0 * f - 2.0 * k - 1.0))[:, :-1]
    return CpmfBounds(probabilities, e, log_ratio, total, k)
