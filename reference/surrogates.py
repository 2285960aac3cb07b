"""What stands for rounding, floor and clipping in differentiable JPEG, with derivatives.

Each substitute of rounding is a profile g on the remainder d = x - r, d in [-1/2, 1/2):

    round(x)  ->  r + g(x - r)              r = nearest integer, halves up
    floor(x)  ->  f + g(x - 1/2 - f)        f = floor(x), the nearest integer of x - 1/2

==================  =====================================================  ==================
kind                g(d)                                                   g'(d)
==================  =====================================================  ==================
cubic               d^3                                                    3 d^2
linear              d / 10                                                 1/10
fourier             d - sum_{k=1..10} (-1)^(k+1) sin(2 pi k d) / (k pi)    1 - 2 sum (...) cos
sigmoid             S(60 (d - 1/2)), d >= 0; S(60 (d + 1/2)) - 1, d < 0    60 S (1 - S)
tanh                the same with 10 in the place of 60                    10 S (1 - S)
straight_through    0                                                      1, by decree
uniform_noise       d + u, u in [-1/2, 1/2] given                          1
soft                soft quantizer of JPEG-DL, q = 1, alpha = 10           2 alpha Var
==================  =====================================================  ==================

with the logistic function S. With halves up floor(x) is exactly the rounding of x - 1/2, as the
thesis has it; with halves to even it would not be.

Table 5.5 prints two of these with slips. Its sigmoid adds floor(x) where only subtracting gives a
rounding. Its tanh subtracts the nearest integer and adds nothing, so that it is no rounding; here
it is read as floor(x) + 1/2 + tanh(5 (x - floor(x) - 1/2)) / 2, which is a sigmoid of steepness 10,
since 1/2 + tanh(t) / 2 = S(2 t).

References
----------
Codec control thesis (*Differentiable JPEG: The Devil is in the Details*), section 4.1.1,
eq. (2.3), (4.2)-(4.4); section 4.1.2; Tables 5.5-5.7. Ballé et al. (2016) for uniform noise; JPEG
Inspired Deep Learning, eq. (5)-(7), for the soft quantizer, here over all whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from reference._validation import Array, as_real
from reference.cpmf import soft_quantize_partials

__all__ = [
    "CLIP_SLOPE",
    "KINDS",
    "SMALLEST_STEP",
    "SOFT_HBAR",
    "Part",
    "Surrogate",
    "quality_scale",
    "scaled_table",
    "soft_clip",
    "soft_floor",
    "soft_round",
]

CLIP_SLOPE = 1e-3
"""gamma of eq. (4.4)."""

SOFT_HBAR = 10.0
"""h = alpha q^2 of the kind "soft"."""

SMALLEST_STEP = 1e-3
"""What unclipped tables are kept above: fine enough to lose nothing, and far from overflow."""

Part = str | Callable[[Array], "Surrogate"]
"""A name of `KINDS`, or a function that gives the value and derivative of a rounding."""

_FOURIER_TERMS = 10
# From the middle level of seven, those left out weigh below exp(-100) of it.
_SOFT_LEVELS = 3
_STEEPNESS = {"sigmoid": 60.0, "tanh": 10.0}


class Surrogate(NamedTuple):
    """Value of a substitute, and what is taken for its derivative; both of the shape of x."""

    value: Array
    derivative: Array


def soft_round(
    x: ArrayLike,
    kind: Part = "cubic",
    *,
    straight_through: bool = False,
    noise: ArrayLike | None = None,
) -> Surrogate:
    """Nearest integer, with a derivative.

    Parameters
    ----------
    x : array_like
        Finite, any shape, dimensionless.
    kind : str or callable
        Which substitute; see the table above. A function is given x and returns a `Surrogate`.
    straight_through : bool
        Value of the true rounding, derivative of the substitute.
    noise : array_like, optional
        u of "uniform_noise", of the shape of x; for that kind alone, and not `straight_through`.

    Returns
    -------
    Surrogate

    Raises
    ------
    ValueError
        If there is no such kind, or its noise is not given.

    References
    ----------
    Thesis, eq. (4.2) and Table 5.5; section 4.1.2 for straight-through.
    """
    x = as_real("x", x)
    # floor(x + 1/2) would be 1 at the number below 1/2: that sum rounds.
    nearest = np.ceil(np.floor(2 * x) / 2)
    if not isinstance(kind, str):
        return _chosen(nearest, kind(x), straight_through)
    return _around(nearest, x - nearest, kind, straight_through, noise)


def soft_floor(
    x: ArrayLike,
    kind: Part = "cubic",
    *,
    straight_through: bool = False,
    noise: ArrayLike | None = None,
) -> Surrogate:
    """Largest integer not above x, with a derivative: `soft_round` of x - 1/2.

    Parameters
    ----------
    x, kind, straight_through, noise
        As in :func:`soft_round`; a function is given x - 1/2.

    Returns
    -------
    Surrogate
        The value at an integer n lies half-way up the step: n - 1/8 with "cubic", n - 1/2 with
        "sigmoid" and "tanh".

    Raises
    ------
    ValueError
        As :func:`soft_round`.

    References
    ----------
    Thesis, eq. (4.3).
    """
    x = as_real("x", x)
    floor = np.floor(x)
    if not isinstance(kind, str):
        return _chosen(floor, kind(x - 0.5), straight_through)
    return _around(floor, x - floor - 0.5, kind, straight_through, noise)


def soft_clip(
    x: ArrayLike,
    low: float,
    high: float,
    *,
    slope: float = CLIP_SLOPE,
    straight_through: bool = False,
) -> Surrogate:
    """Clipping that keeps a slope outside.

    Parameters
    ----------
    x : array_like
        Any shape.
    low, high : float
        Range, in the unit of x. Both ends belong to it: the derivative there is 1.
    slope : float
        gamma in [0, 1], the derivative outside; 0 clips hard.
    straight_through : bool
        Value of the true clipping, derivative of this one.

    Returns
    -------
    Surrogate

    Raises
    ------
    ValueError
        If the slope lies outside [0, 1].

    References
    ----------
    Thesis, eq. (4.4).
    """
    x = as_real("x", x)
    if not 0 <= slope <= 1:
        raise ValueError(f"slope must lie in [0, 1], got {slope!r}")
    inside = np.clip(x, low, high)
    value = inside if straight_through else inside + slope * (x - inside)
    return Surrogate(value, np.where(inside == x, 1.0, slope))


def quality_scale(
    quality: ArrayLike, floor: Part | None = "cubic", *, straight_through: bool = False
) -> Surrogate:
    """Percentage by which libjpeg scales tables: 5000 / q below 50, 200 - 2 q from there, floored.

    Parameters
    ----------
    quality : array_like
        In [1, 100], any shape; need not be whole.
    floor : str, callable or None
        What :func:`soft_floor` takes; None leaves the floor out.
    straight_through : bool
        As in :func:`soft_round`.

    Returns
    -------
    Surrogate
        In percent, and per unit of quality. Before the floor the two branches meet at 50 with
        equal value (100) and slope (-2).

    References
    ----------
    Thesis, eq. (2.3) and section 4.1.1, "QT scale floor"; libjpeg, jpeg_quality_scaling.
    """
    q = as_real("quality", quality)
    low = q < 50
    scale = np.where(low, 5000 / q, 200 - 2 * q)
    slope = np.where(low, -5000 / q**2, -2.0)
    if floor is None:
        return Surrogate(scale, slope)
    value, derivative = soft_floor(scale, floor, straight_through=straight_through)
    return Surrogate(value, derivative * slope)


def scaled_table(
    base: ArrayLike,
    scale: ArrayLike,
    *,
    floor: Part | None = "cubic",
    slope: float | None = CLIP_SLOPE,
    straight_through: bool = False,
) -> Surrogate:
    """Quantization table of a scale: floor((scale base + 50) / 100), clipped to [1, 255].

    Parameters
    ----------
    base : array_like
        Steps at 100 %, positive.
    scale : array_like
        In percent; broadcasts with base.
    floor : str, callable or None
        What :func:`soft_floor` takes. None: scale base / 100, without the half that makes a
        rounding of the floor, as Shin & Song (2017) have it.
    slope : float or None
        gamma of the clipping. None leaves it out, and keeps steps at or above 1e-3 instead, where
        the derivative is 0: quality 100 would make them 0.
    straight_through : bool
        As in :func:`soft_round`.

    Returns
    -------
    Surrogate
        Steps, and their derivative with respect to the scale.

    References
    ----------
    Thesis, section 2.1.1 and section 4.1.1, "QT floor", "QT clipping"; libjpeg,
    jpeg_add_quant_table with force_baseline.
    """
    base, scale = as_real("base", base), as_real("scale", scale)
    if floor is None:
        value, derivative = base * scale / 100, np.broadcast_to(base / 100, (base * scale).shape)
    else:
        value, derivative = soft_floor(
            (base * scale + 50) / 100, floor, straight_through=straight_through
        )
        derivative = derivative * base / 100
    if slope is None:
        return Surrogate(
            np.maximum(value, SMALLEST_STEP), np.where(value < SMALLEST_STEP, 0.0, derivative)
        )
    clipped = soft_clip(value, 1, 255, slope=slope, straight_through=straight_through)
    return Surrogate(clipped.value, clipped.derivative * derivative)


def _around(
    whole: Array, d: Array, kind: str, straight_through: bool, noise: ArrayLike | None
) -> Surrogate:
    """The integer and the profile on top of it."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if kind == "uniform_noise":
        if noise is None and not straight_through:
            raise ValueError("noise must be given for uniform_noise: the numbers that were drawn")
        u = 0.0 if noise is None else as_real("noise", noise)
        return _chosen(whole, Surrogate(whole + (d + u), np.ones_like(d)), straight_through)
    if noise is not None:
        raise ValueError(f"noise is for uniform_noise alone, not for {kind}")
    g, slope = _PROFILES[kind](d)
    return _chosen(whole, Surrogate(whole + g, slope), straight_through)


def _chosen(whole: Array, soft: Surrogate, straight_through: bool) -> Surrogate:
    return Surrogate(whole, soft.derivative) if straight_through else soft


def _cubic(d: Array) -> tuple[Array, Array]:
    return d**3, 3 * d**2


def _linear(d: Array) -> tuple[Array, Array]:
    return 0.1 * d, np.full_like(d, 0.1)


def _fourier(d: Array) -> tuple[Array, Array]:
    g, slope = d.copy(), np.ones_like(d)
    for k in range(1, _FOURIER_TERMS + 1):
        sign = (-1) ** (k + 1)
        g -= sign * np.sin(2 * np.pi * k * d) / (k * np.pi)
        slope -= 2 * sign * np.cos(2 * np.pi * k * d)
    return g, slope


def _logistic_of(kind: str) -> Callable[[Array], tuple[Array, Array]]:
    steepness = _STEEPNESS[kind]

    def profile(d: Array) -> tuple[Array, Array]:
        upper = d >= 0
        # S(t) - 1 = -S(-t): the upper end of the step below, without cancellation.
        t = steepness * np.where(upper, d - 0.5, -d - 0.5)
        s = 1 / (1 + np.exp(-t))
        return np.where(upper, s, -s), steepness * s * (1 - s)

    return profile


def _straight_through(d: Array) -> tuple[Array, Array]:
    return np.zeros_like(d), np.ones_like(d)


def _soft(d: Array) -> tuple[Array, Array]:
    found = soft_quantize_partials(d, 1.0, SOFT_HBAR, max_level=_SOFT_LEVELS)
    return found.value, found.dz


_PROFILES: dict[str, Callable[[Array], tuple[Any, Any]]] = {
    "cubic": _cubic,
    "linear": _linear,
    "fourier": _fourier,
    "sigmoid": _logistic_of("sigmoid"),
    "tanh": _logistic_of("tanh"),
    "straight_through": _straight_through,
    "soft": _soft,
}

KINDS = (*_PROFILES, "uniform_noise")
"""Names of the substitutes of rounding."""
