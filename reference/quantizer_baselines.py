"""The quantizers that JPEG-DL is compared with in Table 6, with their gradients in closed form.

All three follow one pattern. The uniform quantizer rounds what has been cut to the range of the
levels, Q_u(z) = q round(x) with x = clip(z/q, -L, L); each baseline puts something with a usable
derivative in the place of the rounding, or of its derivative:

==================  =====================  ==================  ============================
baseline            R(x)                   derivative in x     source
==================  =====================  ==================  ============================
uniform noise       x + u, |u| <= 1/2      1                   Ballé et al. (2016)
cubic rounding      r + (x - r)^3          3 (x - r)^2         Shin & Song (2017)
straight-through    r                      1, by decree        Esser et al. (2019)
==================  =====================  ==================  ============================

with r = round(x), ties half-up. The quantizer is q R(x), and so, with R' of the table,

    |z| < L q:     dQ/dz = R'      dQ/dq = R - x R'
    otherwise:     dQ/dz = 0       dQ/dq = R

Only Esser et al. speak of the ends of the range; the other two are cut off in the same way here,
so that all of them agree with Q_u where it saturates. At |z| = L q exactly the second line holds,
as in their eq. (3); for cubic rounding both lines give the same.

References
----------
JPEG Inspired Deep Learning, appendix A.6 and Table 6.
J. Ballé, V. Laparra, E. P. Simoncelli, "End-to-end optimization of nonlinear transform codes for
perceptual quality", PCS 2016.
R. Shin, D. Song, "JPEG-resistant adversarial images", NIPS 2017 workshop on machine learning and
computer security.
S. K. Esser et al., "Learned step size quantization", ICLR 2020, arXiv:1902.08153.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from reference._validation import Array, as_int, as_real, check_max_level, check_quantizer_inputs
from reference.cpmf import nearest_level

__all__ = [
    "StepPartials",
    "cubic_partials",
    "hard_partials",
    "learned_steps",
    "step_gradient_scale",
    "straight_through_partials",
    "uniform_noise_partials",
]


class StepPartials(NamedTuple):
    """A quantizer without alpha and its partial derivatives, all of the broadcast shape.

    Parameters
    ----------
    value : ndarray of float64
        In the unit of z.
    dz, dq : ndarray of float64
        Dimensionless.
    """

    value: Array
    dz: Array
    dq: Array


class _Cut(NamedTuple):
    """Where a coefficient lies once it is cut to the range of the levels."""

    z: Array
    q: Array
    level: Array  # r
    distance: Array  # z - r q, exact; 0 outside
    outside: Array  # |z| >= L q; False where z is NaN


def uniform_noise_partials(
    z: ArrayLike, q: ArrayLike, noise: ArrayLike, *, max_level: int
) -> StepPartials:
    """Additive uniform noise instead of rounding: q (clip(z/q, -L, L) + u).

    Used in training; in validation the quantizer is :func:`reference.hard_quantize`.

    Parameters
    ----------
    z : array_like
        DCT coefficients, any shape. Infinite ones saturate; NaN gives NaN.
    q : array_like
        Quantization steps, positive, in the unit of z. Broadcasts with z.
    noise : array_like
        u, drawn from the uniform distribution on [-1/2, 1/2], dimensionless. Must broadcast to
        the shape of z and q; one draw per coefficient makes it the quantizer of the paper.
    max_level : int
        L; the index set is {-L..L}.

    Returns
    -------
    StepPartials
        |value| <= (L + 1/2) q. Inside, ``dz`` is 1 and ``dq`` is u; outside 0 and +-L + u.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    JPEG-DL, appendix A.6: z + q U(-0.5, 0.5), which this is for |z| <= L q; the paper does not
    say what happens beyond.
    """
    cut = _cut(z, q, max_level)
    u = as_real("noise", noise)
    if not (np.abs(u) <= 0.5).all():
        raise ValueError(
            "noise must lie in [-1/2, 1/2]: draw it as rng.uniform(-0.5, 0.5, z.shape)"
        )
    try:
        u = np.broadcast_to(u, cut.z.shape)
    except ValueError:
        raise ValueError(
            f"noise must broadcast to the shape of z and q, {cut.z.shape}, got {u.shape}"
        ) from None
    with np.errstate(invalid="ignore", over="ignore"):
        inside = cut.z + cut.q * u
    value = np.where(cut.outside, cut.q * (cut.level + u), inside)
    return _with_nan(
        cut, value, np.where(cut.outside, 0.0, 1.0), np.where(cut.outside, cut.level + u, u)
    )


def cubic_partials(z: ArrayLike, q: ArrayLike, *, max_level: int) -> StepPartials:
    """Cubic rounding: q (r + (x - r)^3) with x = clip(z/q, -L, L) and r its nearest integer.

    The derivative is that of the function itself. It is continuous but at the ties, where the
    function jumps by 3/4 q (rounding jumps by q), and vanishes on the levels.

    Parameters
    ----------
    z, q, max_level
        As in :func:`uniform_noise_partials`.

    Returns
    -------
    StepPartials
        With d = x - r: ``dz`` = 3 d^2, in [0, 3/4], and ``dq`` = r (1 - 3 d^2) - 2 d^3.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    Shin & Song (2017); JPEG-DL, appendix A.6, which names the method and leaves the ends open.
    """
    cut = _cut(z, q, max_level)
    d = cut.distance / cut.q
    slope = 3 * d * d
    return _with_nan(
        cut,
        cut.q * (cut.level + d * d * d),
        slope,
        cut.level * (1 - slope) - 2 * d * d * d,
    )


def straight_through_partials(
    z: ArrayLike, q: ArrayLike, *, max_level: int, gradient_scale: float = 1.0
) -> StepPartials:
    """Rounding whose derivative is taken for 1, with a learned step (LSQ).

    Parameters
    ----------
    z, q, max_level
        As in :func:`uniform_noise_partials`.
    gradient_scale : float
        Factor on ``dq``, positive; :func:`step_gradient_scale` gives the one of Esser et al.

    Returns
    -------
    StepPartials
        ``value`` is Q_u(z), :func:`reference.hard_quantize`. The other two are not its
        derivatives but what stands in for them: inside, ``dz`` is 1 and ``dq``, before scaling,
        round(z/q) - z/q; outside 0 and +-L.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    Esser et al. (2019), eq. (1)-(3) and (5), section 2.2 for the scale; JPEG-DL, appendix A.6.
    """
    scale = as_real("gradient_scale", gradient_scale)
    if scale.ndim or not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"gradient_scale must be a positive number, got {gradient_scale!r}")
    cut = _cut(z, q, max_level)
    return _with_nan(
        cut,
        cut.q * cut.level,
        np.where(cut.outside, 0.0, 1.0),
        float(scale) * np.where(cut.outside, cut.level, -cut.distance / cut.q),
    )


def hard_partials(z: ArrayLike, q: ArrayLike, *, max_level: int) -> StepPartials:
    """Uniform quantizer Q_u with the derivatives that hold almost everywhere.

    Parameters
    ----------
    z, q, max_level
        As in :func:`uniform_noise_partials`.

    Returns
    -------
    StepPartials
        ``dz`` is 0, ``dq`` the level.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    JPEG-DL, section 3.1; appendix A.6 for its use in validation.
    """
    cut = _cut(z, q, max_level)
    return _with_nan(cut, cut.q * cut.level, np.zeros(cut.z.shape), cut.level)


def step_gradient_scale(count: int, max_level: int) -> float:
    """Scale of the step's gradient in learned step size quantization, g = 1 / sqrt(N L).

    Parameters
    ----------
    count : int
        N, the number of coefficients of one image that share the step: N_F of Esser et al. for
        activations. In a JPEG layer the number of blocks, twice that for chroma.
    max_level : int
        L; Q_P of Esser et al.

    Returns
    -------
    float
        Dimensionless, in (0, 1].

    Raises
    ------
    TypeError, ValueError
        If an argument is not a positive integer.

    References
    ----------
    Esser et al. (2019), section 2.2; JPEG-DL, footnote 1 of appendix A.6.
    """
    number = as_int("count", count)
    if number < 1:
        raise ValueError(f"count must be at least 1, got {number}")
    return 1 / math.sqrt(number * check_max_level(max_level))


def learned_steps(mean_magnitude: ArrayLike, *, bits: int) -> Array:
    """Steps to start the straight-through baseline from: 2 mean|z| / sqrt(2^b - 1).

    The root is over 2^b - 1, as JPEG-DL prints it for this baseline; Esser et al. have Q_P there,
    and the ImageNet rule of JPEG-DL itself (section 4) has 2^(b-1).

    Parameters
    ----------
    mean_magnitude : array_like
        Mean of |z| over the coefficients that share a step, positive, any shape.
    bits : int
        b >= 2.

    Returns
    -------
    ndarray of float64
        In the unit of z.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    JPEG-DL, footnote 1 of appendix A.6; Esser et al. (2019), section 2.1.
    """
    mean = as_real("mean_magnitude", mean_magnitude)
    if not (np.isfinite(mean) & (mean > 0)).all():
        raise ValueError(
            "mean_magnitude must be positive and finite: a frequency that is always 0 needs a "
            "step of your choice"
        )
    width = as_int("bits", bits)
    if width < 2:
        raise ValueError(f"bits must be at least 2 (one level on each side of 0), got {width}")
    return 2 * mean / math.sqrt(2**width - 1)


def _cut(z: ArrayLike, q: ArrayLike, max_level: int) -> _Cut:
    end = check_max_level(max_level)
    z_, q_, _ = check_quantizer_inputs(z, q, 1.0)
    level, distance = nearest_level(z_, q_, end)
    # On the last level, and no longer on its inner side. The remainder is exact.
    outside = (np.abs(level) == end) & (np.sign(level) * distance >= 0)
    return _Cut(z_, q_, level, np.where(outside, 0.0, distance), outside)


def _with_nan(cut: _Cut, value: Array, dz: Array, dq: Array) -> StepPartials:
    nan = np.isnan(cut.z)
    return StepPartials(*(np.where(nan, np.nan, part) for part in (value, dz, dq)))
