"""Judge of quantizers without alpha, by the contract ``fn(z, q, max_level) -> (value, dz, dq)``.

Arrays of NumPy go in and come out, so that a function in any framework can stand trial. A level
that is off by one fails: the remainder of a division of floats is a float, so a sound quantizer
finds the right side of every tie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference import StepPartials
from reference.cpmf import nearest_level

Array = NDArray[np.float64]
Contract = Callable[[Array, Array, int], tuple[Any, Any, Any]]
Truth = Callable[..., StepPartials]

OUTPUTS = ("value", "dz", "dq")

# In eps. A plain evaluation rounds by half an eps each: with d = (z - r q)/q, whose remainder is
# exact, the value q (r + d^3) takes 3 for the cube of d, 2 products, a sum and a product; d/dz and
# d/dq = r (1 - 3 d^2) - 2 d^3 no more than 8. Twice that is 8 eps. Measured over 20,000 points:
# at most 1.05 in float32.
ROUNDINGS = 8.0


def step_tolerances(z: Array, q: Array, *, max_level: int, dtype: str) -> StepPartials:
    """Largest acceptable error of value, dz and dq of each baseline, elementwise."""
    limits = np.finfo(dtype)
    eps, floor = float(limits.eps), float(limits.smallest_subnormal)
    level, distance = nearest_level(z, q, max_level)
    with np.errstate(invalid="ignore", over="ignore"):
        d = np.minimum(np.abs(np.nan_to_num(distance / q)), 0.5)
    size = np.abs(np.nan_to_num(level)) + d
    return StepPartials(
        # Noise adds up to q/2 to the coefficient, whose own size is then |r| + d.
        value=ROUNDINGS * eps * q * (size + 0.5) + 4 * floor,
        # Where q is subnormal d still has all its digits; its square may underflow.
        dz=ROUNDINGS * eps * np.ones_like(z) + 4 * floor,
        dq=ROUNDINGS * eps * (size + 0.5) + 4 * floor,
    )


def verify_baseline(
    fn: Contract, truth: Truth, z: Array, q: Array, max_level: int, *, dtype: str
) -> list[str]:
    """What is wrong with `fn`, in words; an empty list clears it.

    `truth` is the reference, called as ``truth(z, q, max_level=...)``; z and q exact in `dtype`.
    """
    expected = truth(z, q, max_level=max_level)
    tolerance = step_tolerances(z, q, max_level=max_level, dtype=dtype)
    found = []
    got = fn(z.astype(dtype), q.astype(dtype), max_level)
    for name, ours, theirs, allowed in zip(OUTPUTS, got, expected, tolerance, strict=True):
        numbers = np.asarray(ours, dtype=np.float64)
        if numbers.shape != theirs.shape:
            found.append(f"{name} has shape {numbers.shape}, expected {theirs.shape}")
            continue
        same = np.abs(numbers - theirs) <= allowed
        # NaN has to meet NaN.
        same |= np.isnan(numbers) & np.isnan(theirs)
        found += [
            f"{name} at z={z[i]!r}, q={q[i]!r}, max_level={max_level}, {dtype}: "
            f"got {numbers[i]!r}, expected {theirs[i]!r} +- {allowed[i]:.3g}"
            for (i,) in np.argwhere(~same)
        ]
    return found
