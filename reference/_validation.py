"""Argument checks shared by the rooms of the reference.

Each check names the argument, says what it was and what to do.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def as_int(name: str, value: Any) -> int:
    """Return `value` as an int; floats and booleans are refused rather than truncated."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got the boolean {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be an integer, got {value!r} of type {type(value).__name__}"
        ) from None


def check_max_level(max_level: Any) -> int:
    """Return L, the largest level index of {-L..L}; it must be at least 1."""
    level = as_int("max_level", max_level)
    if level < 1:
        raise ValueError(
            f"max_level must be at least 1, got {level}; "
            "for b bits use max_level_from_bits(b) = 2**(b-1) - 1"
        )
    return level


def check_window(window: Any, max_level: int) -> int | None:
    """Return the width of the masked CPMF: None (full space) or odd, 3 <= window <= 2L+1."""
    if window is None:
        return None
    width = as_int("window", window)
    if width < 3 or width % 2 == 0:
        raise ValueError(
            f"window must be None (full space) or an odd number of levels >= 3, got {width}"
        )
    if width > 2 * max_level + 1:
        raise ValueError(
            f"window must not exceed the {2 * max_level + 1} levels of max_level={max_level}, "
            f"got {width}; use window=None for the full space"
        )
    return width


def as_real(name: str, value: ArrayLike) -> Array:
    """Return `value` as a float64 array; complex, boolean and non-numeric input is refused."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"{name} must be real numbers, got dtype {array.dtype}; convert it to a float array"
        )
    return array.astype(np.float64, copy=False)


def as_positive(name: str, value: ArrayLike) -> Array:
    """Return `value` as a float64 array whose entries are all positive and finite."""
    array = as_real(name, value)
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f" at index {index}" if array.ndim else ""
        raise ValueError(
            f"{name} must be positive and finite, got {array[index]!r}{where}; "
            f"clamp it (the paper keeps q in [1e-5, 255])"
        )
    return array


def check_quantizer_inputs(
    z: ArrayLike, q: ArrayLike, alpha: ArrayLike
) -> tuple[Array, Array, Array]:
    """Check z, q and alpha and broadcast them against each other."""
    arrays = as_real("z", z), as_positive("q", q), as_positive("alpha", alpha)
    try:
        z_, q_, alpha_ = np.broadcast_arrays(*arrays)
    except ValueError:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise ValueError(
            f"z, q and alpha must broadcast against each other, got shapes {shapes}"
        ) from None
    return z_, q_, alpha_
