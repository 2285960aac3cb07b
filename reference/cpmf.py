"""The conditional probability mass function over the levels, and the soft quantizer.

This room is the definition. Everything is a plain sum over the levels of the support, in
float64; what is fast is judged by it, and it is judged by :mod:`reference.high_precision`.

Notation (JPEG-DL, section 3.2): a coefficient z, a quantization step q, a scaling factor
alpha, the index set {-L..L} of eq. (3). Everything depends on c = z/q and h = alpha q^2 alone
(the "gradient scaling constant" of appendix A.2), so the sums run in units of q, relative to
the nearest level r. With d = z - r q, the exponent of level r + k against that of level r is

    -alpha (z - (r + k) q)^2 + alpha (z - r q)^2  =  k (g - h k),     g = 2 alpha q d,

which is never positive: no overflow, and no cancellation, because d is exact (see
:func:`nearest_level`).

References
----------
JPEG Inspired Deep Learning: eq. (3)-(7) for the CPMF and Q_d, appendix A.1 for the derivatives,
appendix A.12 for the masked CPMF.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference._validation import (
    Array,
    as_int,
    check_max_level,
    check_quantizer_inputs,
    check_window,
)

# Past these the result no longer changes in float64, and products stay finite.
_HUGE = 1e300
_TINY = 1e-290
# Integers below this are exact in float64.
_COUNTABLE = 2.0**53
# Elements times levels that one pass holds in memory (32 MiB of float64 per temporary).
_CHUNK = 1 << 22


class Cpmf(NamedTuple):
    """Levels of the support and their probabilities, both of shape (..., K)."""

    levels: NDArray[np.int64]
    probabilities: Array


class Partials(NamedTuple):
    """Q_d and its partial derivatives, all of the broadcast shape of z, q and alpha."""

    value: Array
    dz: Array
    dq: Array
    dalpha: Array


class _Local(NamedTuple):
    """The problem in units of q, relative to the nearest level."""

    nearest: Array  # r
    offset: Array  # t = (z - r q) / q
    hardness: Array  # h = alpha q^2
    slope: Array  # g = 2 alpha q (z - r q)
    step: Array  # q times a power of two, in [1/2, 1)
    distance: Array  # z - r q times the same power of two


def max_level_from_bits(bits: int) -> int:
    """Largest level index of a b-bit quantizer: L = 2^(b-1) - 1.

    The paper's text has L = 2^(b-1), but its Fig. 13 (L = 1023 for b = 11) and its
    authors' code have one level less on each side, as a signed b-bit integer would.

    Parameters
    ----------
    bits : int
        Bit width b >= 2.

    Returns
    -------
    int
        127 for b = 8, 1023 for b = 11.

    Raises
    ------
    TypeError, ValueError
        If `bits` is not an integer, or is below 2 (no level but 0).
    """
    width = as_int("bits", bits)
    if width < 2:
        raise ValueError(f"bits must be at least 2 (one level on each side of 0), got {width}")
    return (1 << (width - 1)) - 1


def nearest_level(z: Array, q: Array, max_level: int) -> tuple[Array, Array]:
    """Nearest level index r in {-L..L} (ties half-up) and the remainder z - r q.

    The remainder of a floating-point division is a floating-point number, so both results
    are exact while |z/q| < L + 1: rounding z/q first would misplace ties.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        magnitude = np.abs(z)
        rest = np.fmod(magnitude, q)  # exact, in [0, q)
        below = np.rint((magnitude - rest) / q)  # the level below |z|
        positive = z >= 0
        # Half-up on the signed axis: +1/2 goes away from zero, -1/2 towards it.
        up = np.where(positive, rest >= q - rest, rest > q - rest)
        level = np.minimum(below + up, max_level)
        # Beyond the end, whole levels are added to the rest, where they can still be counted.
        beyond = np.where(below < _COUNTABLE, rest + (below - level) * q, magnitude - level * q)
        distance = np.where(level > below, rest - q, beyond)
    sign = np.where(positive, 1.0, -1.0)
    level = np.where(np.isinf(z), float(max_level), level)
    distance = np.where(np.isinf(z), np.inf, distance)
    return sign * level, sign * distance


def _localize(z: Array, q: Array, alpha: Array, max_level: int) -> _Local:
    nearest, distance = nearest_level(z, q, max_level)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        offset = np.clip(distance / q, -_HUGE, _HUGE)
        hardness = np.minimum((alpha * q) * q, _HUGE)
        # The second form serves a coefficient so far outside that h alone has underflowed.
        slope = np.where(hardness > _TINY, 2 * hardness * offset, 2 * (alpha * q) * distance)
        slope = np.clip(slope, -1e308, 1e308)
        slope = np.where(np.isinf(z), np.copysign(1e308, z), slope)
        step, exponent = np.frexp(q)
        scaled = np.clip(np.ldexp(distance, -exponent), -_HUGE, _HUGE)
    return _Local(nearest, offset, hardness, slope, step, scaled)


def _offsets(nearest: Array, max_level: int, window: int | None) -> Array:
    """Levels of the support relative to the nearest one, shape (..., K)."""
    if window is None:
        first, count = np.full(nearest.shape, -float(max_level)), 2 * max_level + 1
    else:
        # A window that would leave the index set is pushed back into it.
        first = np.clip(nearest - window // 2, -max_level, max_level - window + 1)
        count = window
    first = np.where(np.isnan(nearest), np.nan, first)
    return (first - nearest)[..., None] + np.arange(count)  # (..., K)


def _probabilities(local: _Local, k: Array) -> Array:
    hardness, slope, step, distance = (
        a[..., None] for a in (local.hardness, local.slope, local.step, local.distance)
    )
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        near = hardness * (k * (2 * distance - k * step) / step)
        exponent = np.where(hardness > _TINY, near, k * slope)
        weight = np.exp(np.where(k == 0, 0.0, exponent))
        weight = np.where(np.isnan(local.slope)[..., None], np.nan, weight)
    total: Array = weight.sum(axis=-1, keepdims=True)
    return np.divide(weight, total)


def cpmf(
    z: ArrayLike, q: ArrayLike, alpha: ArrayLike, *, max_level: int, window: int | None = None
) -> Cpmf:
    """Conditional probability mass function P_alpha(iq | z) over the levels.

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
    window : int, optional
        Number of levels of the masked CPMF (odd, 3 <= window <= 2L+1), centred on the nearest
        level and pushed back into the index set at its ends. None: all 2L+1 levels.

    Returns
    -------
    Cpmf
        ``levels`` (int64) and ``probabilities`` (float64), both of shape (..., K) with
        K = 2L+1 or `window`. Probabilities of one element sum to 1. Where z is NaN the
        probabilities are NaN and the levels those of z = 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    JPEG-DL, eq. (5) and (6); appendix A.12 for the masked form.
    """
    level, width = _check_support(max_level, window)
    z_, q_, alpha_ = check_quantizer_inputs(z, q, alpha)
    local = _localize(z_, q_, alpha_, level)
    k = _offsets(local.nearest, level, width)
    levels = _offsets(np.nan_to_num(local.nearest), level, width) + np.nan_to_num(
        local.nearest[..., None]
    )
    return Cpmf(levels.astype(np.int64), _probabilities(local, k))


def soft_quantize_partials(
    z: ArrayLike, q: ArrayLike, alpha: ArrayLike, *, max_level: int, window: int | None = None
) -> Partials:
    """Soft quantizer Q_d with its partial derivatives in closed form.

    With V the random level of the CPMF, mean E, variance Var and third central moment mu3,

        Q_d         = E
        dQ_d/dz     = 2 alpha Var
        dQ_d/dq     = (E - 2 alpha (mu3 + (2 E - z) Var)) / q
        dQ_d/dalpha = -(mu3 + 2 (E - z) Var)

    which are the paper's eq. (10a), (10b) and (13) with the uncentred third moment
    written out: that form cancels catastrophically away from z = 0. The support of a masked
    CPMF is held fixed.

    Parameters
    ----------
    z, q, alpha, max_level, window
        As in :func:`cpmf`.

    Returns
    -------
    Partials
        ``value`` (unit of z), ``dz`` (dimensionless, >= 0), ``dq`` (dimensionless) and
        ``dalpha`` (unit of z cubed), float64, of the broadcast shape.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    JPEG-DL, eq. (7) and appendix A.1.
    """
    level, width = _check_support(max_level, window)
    z_, q_, alpha_ = check_quantizer_inputs(z, q, alpha)
    shape = z_.shape
    flat = [a.ravel() for a in (z_, q_, alpha_)]
    out = np.empty((4, flat[0].size))
    step = max(1, _CHUNK // (width or 2 * level + 1))
    for start in range(0, flat[0].size, step):
        part = slice(start, start + step)
        z_part, q_part, alpha_part = (a[part] for a in flat)
        out[:, part] = _partials(z_part, q_part, alpha_part, level, width)
    return Partials(*(o.reshape(shape) for o in out))


def _partials(z: Array, q: Array, alpha: Array, max_level: int, window: int | None) -> Partials:
    local = _localize(z, q, alpha, max_level)
    r, t, h = local.nearest, local.offset, local.hardness
    k = _offsets(r, max_level, window)
    p = _probabilities(local, k)
    mean = (p * k).sum(axis=-1)  # (E - r q) / q
    centred = k - mean[..., None]
    var = (p * centred**2).sum(axis=-1)
    mu3 = (p * centred**3).sum(axis=-1)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return Partials(
            value=q * (r + mean),
            dz=2 * h * var,
            dq=r + mean - 2 * h * (mu3 + (r + 2 * mean) * var) + local.slope * var,
            dalpha=-(mu3 + 2 * (mean - t) * var) * q * q * q,
        )


def soft_quantize(
    z: ArrayLike, q: ArrayLike, alpha: ArrayLike, *, max_level: int, window: int | None = None
) -> Array:
    """Soft quantizer Q_d(z): the mean of the CPMF over the levels.

    Parameters
    ----------
    z, q, alpha, max_level, window
        As in :func:`cpmf`.

    Returns
    -------
    ndarray of float64
        In the unit of z, |Q_d| <= L q, of the broadcast shape.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    JPEG-DL, eq. (7).
    """
    return soft_quantize_partials(z, q, alpha, max_level=max_level, window=window).value


def hard_quantize(z: ArrayLike, q: ArrayLike, *, max_level: int) -> Array:
    """Uniform quantizer Q_u(z): the nearest of the levels {-L..L} times q, ties half-up.

    Parameters
    ----------
    z : array_like
        DCT coefficients, any shape. Infinite ones saturate; NaN gives NaN.
    q : array_like
        Quantization steps, positive, in the unit of z. Broadcasts with z.
    max_level : int
        L; the index set is {-L..L}.

    Returns
    -------
    ndarray of float64
        In the unit of z, |Q_u| <= L q, of the broadcast shape.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    JPEG-DL, section 3.1 (the brackets there mean rounding to nearest) and Fig. 2.
    """
    level = check_max_level(max_level)
    z_, q_, _ = check_quantizer_inputs(z, q, 1.0)
    nearest, _ = nearest_level(z_, q_, level)
    return nearest * q_


def _check_support(max_level: int, window: int | None) -> tuple[int, int | None]:
    level = check_max_level(max_level)
    return level, check_window(window, level)


__all__ = [
    "Cpmf",
    "Partials",
    "cpmf",
    "hard_quantize",
    "max_level_from_bits",
    "nearest_level",
    "soft_quantize",
    "soft_quantize_partials",
]
