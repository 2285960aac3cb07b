"""How far a sound substitute of rounding, or of the floor, may be off, element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXACT", "STEEPNESS", "rounding_tolerances", "split"]

Array = NDArray[np.float64]

#: For numbers that nothing rounds: any difference is beyond it.
EXACT = float(np.finfo(np.float64).tiny)

#: Steepness of the steps at ties. The soft quantizer weighs two levels by exp(2 hbar (d - 1/2)).
STEEPNESS = {"sigmoid": 60.0, "tanh": 10.0, "soft": 20.0}

#: In eps, of each term of a profile: a power, a product or two and a sum round by half an eps
#: each, 3 in all; an elementary function has 1 more, its argument 2. Doubled.
_TERMS = 8.0

#: In eps, of the sum of integer and profile: half by that sum, and as much again where an
#: implementation adds the remainder, or subtracts the half of the floor, in a step of its own.
_SUM = 2.0

#: Terms of the Fourier series, and what 2 pi k sums to over them.
_FOURIER = np.arange(1, 11)
_FOURIER_CURVE = 2 * math.pi * float(_FOURIER.sum())


def split(x: Array, *, floor: bool) -> tuple[Array, Array]:
    """Integer and remainder of the rounding (halves up), or of the floor.

    Parameters
    ----------
    x : ndarray
        Finite.
    floor : bool
        Whether x - 1/2 is rounded instead.

    Returns
    -------
    whole, d : ndarray
        d in [-1/2, 1/2).
    """
    whole = np.floor(x) if floor else np.ceil(np.floor(2 * x) / 2)
    return whole, x - whole - (0.5 if floor else 0.0)


def rounding_tolerances(
    kind: str,
    x: Array,
    noise: Array,
    *,
    floor: bool,
    straight_through: bool,
    dtype: Any,
) -> Array:
    """Largest acceptable errors of value and derivative.

    Parameters
    ----------
    kind : str
        One of :data:`reference.surrogates.KINDS`.
    x, noise : ndarray, shape (n,)
        Inputs, exact in ``dtype``.
    floor, straight_through : bool
        As the judge was told.
    dtype : dtype-like
        float32 or float64: the unit of rounding.

    Returns
    -------
    ndarray, shape (2, n)
        Positive; :data:`EXACT` where nothing rounds.
    """
    limits = np.finfo(np.dtype(dtype))
    eps, least = float(limits.eps), float(limits.smallest_subnormal)
    whole, d = split(x, floor=floor)
    size = np.abs(d)
    # x less its nearest integer is exact (Sterbenz), x less its floor rounds in (-1, 1). The
    # logistic steps may be made of the floor, which puts an eps of 1 everywhere.
    steep = STEEPNESS.get(kind)
    slip = eps if floor or steep is not None else 0.0
    spacing = np.spacing(np.abs(whole).astype(np.dtype(dtype))).astype(np.float64)
    # Beyond 2^52 the float64 twin rounds as well; a float32 is then a multiple of 2^28.
    twin = np.where(spacing > 1e6, np.spacing(np.abs(whole)), 0.0) if eps > 1e-10 else 0.0

    def summed(g: Array) -> Array:
        # A profile below a quarter of the distance between floats is lost, and no more than it.
        return twin + np.where(g < spacing / 4, 2 * g, _SUM * eps * np.abs(whole))

    if kind == "straight_through":
        return np.full((2, x.size), EXACT)
    if kind == "uniform_noise":
        added = size + np.abs(noise)
        value = summed(added) + _SUM * (eps * added + slip) + 4 * least
        derivative = np.full(x.shape, EXACT)
    elif steep is not None:
        value, derivative = _logistic(size, steep, eps)
        value = value + summed(1 / (1 + np.exp(steep * (0.5 - size))))
    else:
        g, slope, curve = _polynomial(kind, size)
        value = _TERMS * eps * g[1] + slope[0] * slip + _SUM * eps * g[0] + summed(g[0])
        derivative = _TERMS * eps * slope[1] + curve * slip
        value, derivative = value + 4 * least, derivative + 4 * least
    if straight_through:
        value = np.full(x.shape, EXACT)
    return np.array([value, derivative])


def _polynomial(
    kind: str, d: Array
) -> tuple[tuple[Array, Array], tuple[Array, Array], Array | float]:
    """Sizes of the profile and its slope, each with that of its terms; largest curvature."""
    if kind == "cubic":
        cube, square = d**3, 3 * d**2
        return (cube, cube), (square, square), 6 * d + 1e-6
    if kind == "linear":
        tenth = np.full_like(d, 0.1)
        return (0.1 * d, 0.1 * d), (tenth, tenth), 0.0
    # Each sine is at most 2 pi k d, and an error of eps in its argument, of that size, as much.
    sines = np.minimum(2 * d[:, None], 1 / (math.pi * _FOURIER)).sum(-1)
    arguments = 2 * d * _FOURIER.size
    # Each cosine 1; an error in its argument counts by its sine.
    moved = 2 * _FOURIER_CURVE * d * np.minimum(1, 2 * math.pi * 10 * d)
    slope = np.full_like(d, 1.0 + 2 * _FOURIER.size)
    return (d + sines, d + sines + arguments), (slope, slope + moved), 2 * _FOURIER_CURVE


def _logistic(d: Array, steepness: float, eps: float) -> tuple[Array, Array]:
    """Of the step, and of an eps of 1: floor(x) + S has no more digits than that."""
    t = steepness * (0.5 - d)
    s = 1 / (1 + np.exp(t))
    slope = steepness * s * (1 - s)
    value = eps * (_TERMS * s * (1 + t) + 2 * slope + _SUM)
    # S (1 - S) with S near 1 has its error in 1 - S.
    derivative = eps * (_TERMS * slope * (1 + t) + 2 * steepness * slope + _SUM * steepness)
    return value, derivative
