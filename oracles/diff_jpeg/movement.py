"""What a rounding, a floor or a clipping does to an input that may be a little off."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.diff_jpeg.rounding_tolerance import EXACT, rounding_tolerances
from reference.surrogates import soft_clip, soft_floor, soft_round

__all__ = ["Moved", "clipped", "rounded"]

Array = NDArray[np.float64]

# Between the samples of the interval a profile may move a little more.
_SLACK = 1.5


class Moved(NamedTuple):
    """Value, derivative and R - x R', and the largest acceptable error of each."""

    value: Array
    slope: Array
    rest: Array
    value_error: Array
    slope_error: Array
    rest_error: Array


def rounded(
    kind: str,
    x: Array,
    error: Array | float,
    *,
    floor: bool,
    straight_through: bool,
    dtype: Any,
) -> Moved:
    """A substitute of rounding of some x in [x - error, x + error].

    Parameters
    ----------
    kind : str
        One of :data:`reference.surrogates.KINDS`.
    x : ndarray
        Argument.
    error : ndarray or float
        How far off it may be, >= 0. 0 means exact: then a tie is a tie.
    floor, straight_through : bool
        Form of the substitute.
    dtype : dtype-like
        float32 or float64: the unit of rounding.

    Returns
    -------
    Moved
        What the substitute is off by on its own is in it.
    """
    part = soft_floor if floor else soft_round
    error = np.broadcast_to(np.asarray(error, dtype=np.float64), x.shape)

    def at(y: Array) -> Array:
        value, slope = part(y, kind, straight_through=straight_through)
        return np.array([value, slope, value - y * slope])

    centre = at(x)
    moved = np.zeros_like(centre)
    # Kinks lie at halves: the nearest of them, seen from both of its sides.
    kink = np.rint(2 * x) / 2
    places = (x - error, x - error / 2, x + error / 2, x + error, kink, np.nextafter(kink, -np.inf))
    for place in places:
        there = at(np.clip(place, x - error, x + error))
        np.maximum(moved, np.abs(there - centre), out=moved)
    own = rounding_tolerances(
        kind,
        x.ravel(),
        np.zeros(x.size),
        floor=floor,
        straight_through=straight_through,
        dtype=dtype,
    ).reshape(2, *x.shape)
    value, slope = (
        _SLACK * m + np.where(o > EXACT, o, 0) for m, o in zip(moved[:2], own, strict=True)
    )
    eps = float(np.finfo(dtype).eps)
    # Two sides of a tie differ in value and in x R' alike: `moved` has the sum of the two.
    rest = (
        _SLACK * moved[2]
        + own[0]
        + np.abs(x) * own[1]
        + 2 * eps * (np.abs(centre[0]) + np.abs(x * centre[1]))
    )
    return Moved(centre[0], centre[1], centre[2], value, slope, rest)


def clipped(
    x: Array,
    error: Array,
    low: float,
    high: float,
    slope: float | None,
    *,
    straight_through: bool,
    dtype: Any,
) -> tuple[Array, Array, Array, Array]:
    """A soft clipping of some x in [x - error, x + error].

    Returns
    -------
    value, derivative, value_error, derivative_error : ndarray
        The derivative may be either of the two where an end is within reach.
    """
    if slope is None:
        one = np.ones_like(x)
        return x, one, error, np.zeros_like(x)
    value, derivative = soft_clip(x, low, high, slope=slope, straight_through=straight_through)
    near = (error > EXACT) & ((np.abs(x - low) <= error) | (np.abs(x - high) <= error))
    eps = float(np.finfo(dtype).eps)
    beyond = slope * np.abs(x - np.clip(x, low, high))
    own = np.where(error > EXACT, 2 * eps * (np.abs(value) + beyond), 0.0)
    return value, derivative, error + own, np.where(near, 1.0 - slope, 0.0)
