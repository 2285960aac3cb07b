"""How far a sound implementation may be off, element by element.

Never a bare rtol or atol: next to a tie of a hard quantizer the problem itself is
ill-conditioned, so an error is measured against what rounding does to a plain softmax there
(:mod:`oracles._bounds`). This module is the single source of tolerances for all tests.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oracles._bounds import error_bounds
from reference.compiled import soft_quantize_partials
from reference.cpmf import nearest_level

__all__ = ["CONSTANTS", "Constants", "Tolerances", "ambiguous_windows", "tolerances", "windowed"]

Array = NDArray[np.float64]


class Constants(NamedTuple):
    """Factors of the tolerances, each in units of eps(dtype)."""

    value: float
    weight: float
    dz: float
    dq: float
    dalpha: float
    summation: float
    tiny: float


#: Every constant there is. Measured over the sound implementations of oracles/mutants/sound.py by
#: `python -m tests.oracles.calibrate` (see docs/tolerances.md for the table of that run).
CONSTANTS = Constants(
    # Of E|V| + |z Q_z| + |q Q_q| + |alpha Q_alpha|. Needed: 2.2.
    value=16.0,
    # Of the movement of each exponent. Not measured apart: it enters all four outputs.
    weight=4.0,
    # Of the rounding of the moments, of the absolute floors 1, 1 + min(|c|, L), q^3, and of the
    # noise of autograd. Needed: 2.3 each in float64 (that noise), 0.8 in float32.
    dz=8.0,
    dq=8.0,
    dalpha=8.0,
    # Not measured: n terms added one by one are off by at most n eps / 2, and 16 / 32 = 1/2.
    summation=1 / 32,
    # Not measured: eps^2 q is the rounding of a rounding; only results that cancel to nothing
    # come near it.
    tiny=16.0,
)

# Near a tie the rounding of z / q may pick either window: within this many eps (1 + |z/q|). One
# rounding each of 1/q, z * (1/q) and c + 1/2, doubled.
_AMBIGUOUS = 4.0


class Tolerances(NamedTuple):
    """Largest acceptable absolute error of each output, shape (n,) each."""

    value: Array
    dz: Array
    dq: Array
    dalpha: Array


def tolerances(
    z: ArrayLike,
    q: ArrayLike,
    alpha: ArrayLike,
    *,
    max_level: int,
    window: int | None = None,
    dtype: Any = "float32",
    constants: Constants = CONSTANTS,
) -> Tolerances:
    """Largest acceptable error of a sound implementation that works in ``dtype``.

    Parameters
    ----------
    z, q, alpha : array_like
        Finite inputs, exactly those that the implementation got. They broadcast.
    max_level : int
        L.
    window : int or None
        Odd number of levels of the masked CPMF; None for the full space.
    dtype : dtype-like
        float32 or float64: the unit of rounding.
    constants : Constants
        For measuring the constants themselves.

    Returns
    -------
    Tolerances
        Positive arrays of the broadcast shape, for value (unit of z), dz and dq (none) and
        dalpha (unit of z cubed).

    Raises
    ------
    ValueError
        If an input is not finite, or the shapes do not broadcast.

    References
    ----------
    JPEG-DL, eq. (5)-(7) and (10); the moments are those of the CPMF about the nearest level.
    """
    arrays = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (z, q, alpha)))
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("z, q and alpha must be finite: no tolerance is defined elsewhere")
    inputs = np.array([array.ravel() for array in arrays])
    nearest, distance = nearest_level(inputs[0], inputs[1], max_level)
    centre = None if window is None else _window_centre(nearest, max_level, window)
    out = _bounds(inputs, nearest, distance, centre, max_level, window, dtype, constants)
    return Tolerances(*(row.reshape(arrays[0].shape) for row in out))


def windowed(
    z: Array, q: Array, alpha: Array, centre: Array, *, max_level: int, window: int, dtype: Any
) -> tuple[Array, Array]:
    """Masked quantizer and tolerances where the window is given, not chosen.

    A window of w levels about level n is the full space of (w - 1) / 2 levels, moved by n:
    Q(z) = n q + Q'(z - n q), and by the chain rule Q_q = n + Q'_q - n Q'_z.

    Parameters
    ----------
    z, q, alpha : ndarray, shape (n,)
        Inputs.
    centre : ndarray, shape (n,)
        Middle level of each window.
    max_level, window : int
        L and the number of levels.
    dtype : dtype-like
        float32 or float64.

    Returns
    -------
    expected, tolerance : ndarray, shape (4, n)
    """
    nearest, distance = nearest_level(z, q, max_level)
    rest = distance + (nearest - centre) * q
    inner = soft_quantize_partials(rest, q, alpha, max_level=window // 2)
    expected = np.array(
        [
            centre * q + inner.value,
            inner.dz,
            centre + inner.dq - centre * inner.dz,
            inner.dalpha,
        ]
    )
    inputs = np.array([z, q, alpha])
    bounds = _bounds(inputs, nearest, distance, centre, max_level, window, dtype, CONSTANTS)
    return expected, bounds


def ambiguous_windows(
    z: Array, q: Array, *, max_level: int, window: int, dtype: Any
) -> tuple[NDArray[np.bool_], Array, Array]:
    """Where the rounding of z/q may legitimately pick the neighbouring window.

    At a tie that is exact in ``dtype`` with q a power of two nothing rounds, and half-up holds.

    Parameters
    ----------
    z, q : ndarray, shape (n,)
        Inputs.
    max_level, window : int
        L and the number of levels.
    dtype : dtype-like
        float32 or float64.

    Returns
    -------
    ambiguous : ndarray of bool, shape (n,)
        Where the two windows differ and both are acceptable.
    centre, other : ndarray, shape (n,)
        Middle level of the window by the half-up rule, and of the neighbouring one.
    """
    eps = float(np.finfo(np.dtype(dtype)).eps)
    nearest, distance = nearest_level(z, q, max_level)
    offset = distance / q
    neighbour = np.clip(nearest + np.where(offset < 0, -1.0, 1.0), -max_level, max_level)
    centre = _window_centre(nearest, max_level, window)
    other = _window_centre(neighbour, max_level, window)
    close = np.abs(np.abs(offset) - 0.5) <= _AMBIGUOUS * eps * (1 + np.abs(nearest))
    exact = (np.abs(distance) == 0.5 * q) & (np.frexp(q)[0] == 0.5)
    return close & ~exact & (centre != other), centre, other


def _window_centre(nearest: Array, max_level: int, window: int) -> Array:
    """Middle level of the window, pushed back into the index set."""
    first = np.clip(nearest - window // 2, -max_level, max_level - window + 1)
    return first + window // 2


def _bounds(
    inputs: Array,
    nearest: Array,
    distance: Array,
    centre: Array | None,
    max_level: int,
    window: int | None,
    dtype: Any,
    constants: Constants,
) -> Array:
    if centre is None or window is None:
        first, count = np.full(nearest.shape, -float(max_level)), 2 * max_level + 1
    else:
        first, count = centre - window // 2, window
    limits = np.finfo(np.dtype(dtype))
    out = np.empty((4, nearest.size))
    error_bounds(
        inputs,
        distance,
        nearest,
        first,
        count,
        float(limits.eps),
        float(limits.smallest_subnormal),
        np.array(constants),
        out,
    )
    return out
