"""How far a sound quantizer without alpha may be off, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference import StepPartials
from reference.cpmf import nearest_level

__all__ = ["NEAR", "ROUNDINGS", "ambiguous", "step_tolerances"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: In eps. A plain evaluation rounds by half an eps each: with d = (z - r q)/q, whose remainder is
#: exact, the value q (r + d^3) takes 3 for the cube of d, 2 products, a sum and a product; d/dz
#: and d/dq = r (1 - 3 d^2) - 2 d^3 no more than 8. Twice that is 8 eps. Measured over 20,000
#: points: at most 1.05 in float32.
ROUNDINGS = 8.0

#: In eps (1 + |z/q|): how far off z/q may be where it is divided and not a remainder taken. One
#: rounding each of 1/q and of z times that, doubled.
DIVISION = 2.0

#: In eps (1 + |z/q|): so close to a tie or to an end either side is right. The two roundings of
#: the division, and that of z/q + 1/2, doubled; as for the windows of the masked CPMF.
NEAR = 4.0


def step_tolerances(
    z: Array,
    q: Array,
    *,
    max_level: int,
    dtype: Any,
    gradient_scale: float = 1.0,
    exact: bool = True,
) -> StepPartials:
    """Largest acceptable error of value, dz and dq of each baseline, elementwise.

    Parameters
    ----------
    z, q : ndarray, shape (n,)
        Inputs, exact in ``dtype``. For a z that is not finite the tolerance is that of an end.
    max_level : int
        L.
    dtype : dtype-like
        float32 or float64: the unit of rounding.
    gradient_scale : float
        Factor on dq.
    exact : bool
        True: the distance of z from its level is a floating-point remainder, which is exact.
        False: z/q is rounded, and what that does to the cubic term is allowed for.

    Returns
    -------
    StepPartials
        Positive arrays: for value in the unit of z.
    """
    limits = np.finfo(np.dtype(dtype))
    eps, floor = float(limits.eps), float(limits.smallest_subnormal)
    level, distance = nearest_level(z, q, max_level)
    with np.errstate(invalid="ignore", over="ignore"):
        beyond = (np.abs(level) == max_level) & (np.sign(level) * distance > 0)
        d = np.where(beyond, 0.0, np.minimum(np.abs(np.nan_to_num(distance / q)), 0.5))
    r = np.abs(np.nan_to_num(level))
    size = r + d
    # What an error of z/q comes to, through the slope and the curvature of d^3.
    moved = 0.0 if exact else DIVISION * eps * (1 + size)
    return StepPartials(
        # Noise adds up to q/2 to the coefficient, whose own size is then |r| + d.
        value=q * (ROUNDINGS * eps * (size + 0.5) + moved * 3 * d * d) + 4 * floor,
        # Where q is subnormal d still has all its digits; its square may underflow.
        dz=ROUNDINGS * eps * np.ones_like(z) + moved * 6 * d + 4 * floor,
        # d itself is what the straight-through gradient is made of.
        dq=gradient_scale * (ROUNDINGS * eps * (size + 0.5) + moved * (1 + 6 * d * (r + d)))
        + 4 * floor,
    )


def ambiguous(z: Array, q: Array, *, max_level: int, dtype: Any) -> tuple[Mask, Mask]:
    """Where the rounding of z/q may legitimately find another side of a tie, or of an end.

    Where a tie or an end is exact in ``dtype`` with q a power of two nothing rounds, and ties go
    half-up, ends outside.

    Parameters
    ----------
    z, q : ndarray, shape (n,)
        Inputs, z finite.
    max_level : int
        L.
    dtype : dtype-like
        float32 or float64.

    Returns
    -------
    tie, end : ndarray of bool, shape (n,)
        Never both.
    """
    eps = float(np.finfo(np.dtype(dtype)).eps)
    level, distance = nearest_level(z, q, max_level)
    with np.errstate(over="ignore"):
        d = distance / q
    sure = np.frexp(q)[0] == 0.5
    reach = NEAR * eps * (1 + np.abs(level))
    at_end = (np.abs(level) == max_level) & (np.abs(d) <= reach)
    beyond = (np.abs(level) == max_level) & (np.sign(level) * d > 0)
    at_tie = (np.abs(np.abs(d) - 0.5) <= reach) & ~beyond
    return (
        at_tie & ~(sure & (np.abs(distance) == 0.5 * q)),
        at_end & ~(sure & (distance == 0)),
    )
