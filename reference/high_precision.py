"""The arbiter: the soft quantizer and its partials to any number of digits, with mpmath.

Slow and scalar, for judging what is fast. The binary64 inputs are taken as the exact rationals
they are; the nearest level, the window and every exponent are computed in exact rational
arithmetic, and only the exponentials and the final sums round. Precision is raised until two
evaluations agree, so no range of z, q and alpha needs a special case.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import mpmath
import numpy as np

from reference._validation import as_int, as_positive, as_real, check_max_level, check_window

__all__ = [
    "HighPrecisionPartials",
    "nearest_level",
    "rational_partials",
    "soft_quantize_partials",
    "support",
]

_HALF = Fraction(1, 2)
_GUARD_BITS = 64  # what rounding in a few thousand additions and products can eat, amply


class HighPrecisionPartials(NamedTuple):
    """Q_d and its partial derivatives as mpmath numbers."""

    value: Any
    dz: Any
    dq: Any
    dalpha: Any


class _Moments(NamedTuple):
    """Of the level index about a centre: mean, variance, third central moment."""

    mean: Any
    var: Any
    mu3: Any


def nearest_level(z: Fraction, q: Fraction, max_level: int) -> int:
    """Level of {-L..L} nearest to z / q, ties half-up, decided exactly.

    Parameters
    ----------
    z, q : Fraction
        Coefficient and step.
    max_level : int
        L.

    Returns
    -------
    int
    """
    return max(-max_level, min(max_level, math.floor(z / q + _HALF)))


def support(z: Fraction, q: Fraction, max_level: int, window: int | None) -> range:
    """Levels that carry probability: all of {-L..L}, or the window around the nearest one.

    Parameters
    ----------
    z, q : Fraction
        Coefficient and step.
    max_level : int
        L.
    window : int or None
        Odd number of levels; None for the full space.

    Returns
    -------
    range
        Consecutive level indices; a window that would leave {-L..L} is pushed back inside.

    References
    ----------
    JPEG-DL, eq. (3) and appendix A.12.
    """
    if window is None:
        return range(-max_level, max_level + 1)
    start = nearest_level(z, q, max_level) - window // 2
    start = max(-max_level, min(max_level - window + 1, start))
    return range(start, start + window)


def soft_quantize_partials(
    z: float,
    q: float,
    alpha: float,
    *,
    max_level: int,
    window: int | None = None,
    digits: int = 40,
) -> HighPrecisionPartials:
    """Soft quantizer Q_d and its partial derivatives for one coefficient.

    The support of the masked CPMF is held fixed in the derivatives, as in
    `reference.soft_quantize_partials`.

    Parameters
    ----------
    z : float
        DCT coefficient. Infinities give the limit, NaN gives NaN.
    q : float
        Quantization step, positive and finite, in the unit of z.
    alpha : float
        Scaling factor, positive and finite, in 1 / unit of z squared.
    max_level : int
        L; the index set is {-L..L}.
    window : int, optional
        Odd number of levels of the masked CPMF; None for the full space.
    digits : int
        Decimal digits to which each of the four results is right, at least 1. The
        accuracy is relative, however small the result: no underflow, no absolute floor.

    Returns
    -------
    HighPrecisionPartials
        (value, dz, dq, dalpha), mpmath numbers rounded to `digits` digits.

    Raises
    ------
    TypeError
        If z, q or alpha is not a real scalar, or an integer argument is not an integer.
    ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    JPEG-DL, eq. (5), (7), (10a), (10b), (13), with centred moments.
    """
    level = check_max_level(max_level)
    width = check_window(window, level)
    digits = as_int("digits", digits)
    if digits < 1:
        raise ValueError(f"digits must be at least 1, got {digits}")
    for name, argument in (("z", z), ("q", q), ("alpha", alpha)):
        if np.ndim(argument) != 0:
            raise TypeError(
                f"{name} must be a scalar, got shape {np.shape(argument)}; "
                "loop over the elements, or use reference.soft_quantize_partials"
            )
    z_float = float(as_real("z", z))
    q_exact = Fraction(float(as_positive("q", q)))
    alpha_exact = Fraction(float(as_positive("alpha", alpha)))
    if math.isnan(z_float):
        return HighPrecisionPartials(*[mpmath.mpf("nan")] * 4)
    if math.isinf(z_float):
        end = level if z_float > 0 else -level
        with mpmath.workdps(digits):
            return HighPrecisionPartials(
                _mp(end * q_exact), mpmath.mpf(0), mpmath.mpf(end), mpmath.mpf(0)
            )
    return rational_partials(
        Fraction(z_float), q_exact, alpha_exact, max_level=level, window=width, digits=digits
    )


def rational_partials(
    z: Fraction,
    q: Fraction,
    alpha: Fraction,
    *,
    max_level: int,
    window: int | None = None,
    digits: int = 40,
) -> HighPrecisionPartials:
    """Q_d and its partial derivatives where z need not be a binary64 number.

    Parameters
    ----------
    z, q, alpha : Fraction
        As in :func:`soft_quantize_partials`; q and alpha positive. Not checked.
    max_level, window, digits : int
        As there.

    Returns
    -------
    HighPrecisionPartials
    """
    return _settle(z, q, alpha, support(z, q, max_level, window), digits)


def _settle(
    z: Fraction, q: Fraction, alpha: Fraction, levels: range, digits: int
) -> HighPrecisionPartials:
    """Double the precision until two evaluations agree to `digits` digits.

    A zero that does not follow from symmetry is an underflow of this precision, not a result.
    Any other number loses to cancellation a bounded count of bits (what separates z/q from a
    tie or a level, or the smallness of h, or exp(-pi L)), so the loop ends.
    """
    target = math.ceil(digits * math.log2(10)) + 8
    span = len(levels)
    largest = alpha * q * q * span * span + 2 * alpha * q * span * abs(z - levels[0] * q)
    bits = target + _GUARD_BITS + math.ceil(largest).bit_length()
    symmetric = 2 * z == q * (levels[0] + levels[-1])  # z at the middle of its support
    may_vanish = (symmetric and z == 0, False, symmetric and z == 0, symmetric)
    previous = _evaluate(z, q, alpha, levels, bits)
    while True:
        bits *= 2
        current = _evaluate(z, q, alpha, levels, bits)
        if all(
            abs(new - old) <= mpmath.ldexp(abs(new), -target) and (new != 0 or zero)
            for new, old, zero in zip(current, previous, may_vanish, strict=True)
        ):
            with mpmath.workdps(digits):
                return HighPrecisionPartials(*(+number for number in current))
        previous = current


def _evaluate(
    z: Fraction, q: Fraction, alpha: Fraction, levels: range, bits: int
) -> HighPrecisionPartials:
    """Closed form at a fixed working precision."""
    c = z / q
    # Moments are taken about the nearest level, but about the midpoint at an exact tie: about
    # the one point, that is, around which the weights can be symmetric.
    nearest = max(levels[0], min(levels[-1], math.floor(c + _HALF)))
    centre = c if c - nearest == -_HALF and nearest > levels[0] else Fraction(nearest)
    with mpmath.workprec(bits):
        mean, var, mu3 = _moments(z, q, alpha, levels, centre)
        h, q_mp = _mp(alpha * q * q), _mp(q)
        level_mean = _mp(centre) + mean  # E / q
        excess = mean - _mp(c - centre)  # (E - z) / q
        return HighPrecisionPartials(
            value=q_mp * level_mean,
            dz=2 * h * var,
            dq=level_mean - 2 * h * (mu3 + (level_mean + excess) * var),
            dalpha=-(q_mp**3) * (mu3 + 2 * excess * var),
        )


def _moments(
    z: Fraction, q: Fraction, alpha: Fraction, levels: range, centre: Fraction
) -> _Moments:
    """Moments of the level index about `centre`, weights relative to a level at the centre.

    Levels at +k and -k are taken together, with w(+k) - w(-k) = w(+k) (1 - exp(-4 h k f)), so
    that odd moments keep their relative accuracy down to the point where they vanish.
    """
    slope = 2 * alpha * q * (z - centre * q)  # 2 h f, an exact rational like every exponent
    curvature = alpha * q * q  # h
    sign = 1 if slope >= 0 else -1
    sums = [mpmath.mpf(0)] * 4
    for k in sorted({abs(i - centre) for i in levels}):
        inside = [s for s in (1, -1) if centre + s * k in levels]
        side = sign if len(inside) == 2 else inside[0]
        weight = _exp(side * slope * k - curvature * k * k)
        if k == 0:
            even, odd = weight, mpmath.mpf(0)
        elif len(inside) == 2:
            decay = -2 * abs(slope) * k  # ln of the ratio of the lighter to the heavier one
            shortfall = 1 - _exp(decay) if decay < -1 else -mpmath.expm1(_mp(decay))
            even, odd = weight * (2 - shortfall), sign * weight * shortfall
        else:
            even, odd = weight, side * weight
        k_mp = _mp(k)
        for power, term in enumerate((even, odd, even, odd)):
            sums[power] += k_mp**power * term
    mean, square, cube = (s / sums[0] for s in sums[1:])
    return _Moments(
        mean=mean,
        var=square - mean**2,
        mu3=cube - 3 * mean * square + 2 * mean**3,
    )


def _exp(exponent: Fraction) -> Any:
    """exp, reduced by hand: mpmath raises e to an integral power by repeated squaring.

    That would not end for an exponent of 1e300; the working precision already covers the digits
    before the point.
    """
    x = _mp(exponent)
    doublings = int(mpmath.nint(x / mpmath.ln2))
    return mpmath.ldexp(mpmath.exp(x - doublings * mpmath.ln2), doublings)


def _mp(number: Fraction | int) -> Any:
    exact = Fraction(number)
    return mpmath.mpf(exact.numerator) / exact.denominator
