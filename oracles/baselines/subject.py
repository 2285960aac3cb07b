"""The baseline under test, what is expected of it, and findings about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import reference
from oracles.baselines.tolerance import ambiguous, step_tolerances
from oracles.contract import call_checked
from oracles.findings import Codes, Findings
from oracles.subject import Array, Mask
from reference.cpmf import nearest_level

__all__ = [
    "KINDS",
    "STEP_OUTPUTS",
    "BaselineFindings",
    "BaselineFunction",
    "BaselineSubject",
    "Points",
    "partials_at",
]

#: ``fn(z, q, max_level) -> (value, dz, dq)``, with noise ``fn(z, q, noise, max_level)``:
#: one-dimensional arrays of equal length in, three arrays of that shape out, elementwise.
BaselineFunction = Callable[..., Any]

#: The baselines of Table 6, and the uniform quantizer Q_u itself.
KINDS = ("uniform_noise", "cubic", "straight_through", "hard")

#: Names of the outputs, in their order.
STEP_OUTPUTS = ("value", "dz", "dq")


class Points(NamedTuple):
    """Elementwise inputs, in float64 but representable in the dtype under test.

    Parameters
    ----------
    z, q, noise : ndarray, shape (n,)
        Coefficients; quantization steps (> 0); draws in [-1/2, 1/2], for uniform noise alone.
    """

    z: Array
    q: Array
    noise: Array

    def take(self, index: Any) -> Points:
        """Return the selected elements."""
        return Points(*(array[index] for array in self))


def partials_at(
    kind: str, points: Points, level: Array, d: Array, outside: Mask, scale: float
) -> Array:
    """Value and partials, shape (3, n), for a level and a side of the end that are given.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    points : Points
        n points.
    level, d : ndarray, shape (n,)
        r and z/q - r; d is not used outside.
    outside : ndarray of bool, shape (n,)
        Where z/q counts as cut off.
    scale : float
        Factor on dq.

    Returns
    -------
    ndarray, shape (3, n)
    """
    d = np.where(outside, 0.0, d)
    rounded, slope = {
        "uniform_noise": (level + d + points.noise, np.ones_like(d)),
        "cubic": (level + d**3, 3 * d * d),
        "straight_through": (level, np.ones_like(d)),
        "hard": (level, np.zeros_like(d)),
    }[kind]
    slope = np.where(outside, 0.0, slope)
    # R - x R', by parts: x is level + d, and much of it cancels.
    rest = {
        "uniform_noise": np.where(outside, level + points.noise, points.noise),
        "cubic": level * (1 - slope) - 2 * d**3,
        "straight_through": np.where(outside, level, -d),
        "hard": level,
    }[kind]
    return np.array([points.q * rounded, slope, scale * rest])


@dataclass(frozen=True)
class BaselineSubject:
    """A baseline under test at one level count.

    Parameters
    ----------
    fn : callable
        The function under test.
    kind : str
        One of :data:`KINDS`.
    dtype : numpy.dtype
        Working dtype.
    max_level : int
        L.
    scale : float
        Factor on dq that the function claims.
    exact : bool
        Whether it claims exact levels and distances.
    """

    fn: BaselineFunction
    kind: str
    dtype: np.dtype[Any]
    max_level: int
    scale: float
    exact: bool

    @property
    def arity(self) -> int:
        """Number of arrays that the function takes."""
        return 3 if self.kind == "uniform_noise" else 2

    def __call__(self, points: Points) -> Array:
        """Value and partials, shape (3, n); raises ContractError."""
        return self.raw(tuple(np.array(a, dtype=self.dtype) for a in points), points.z.shape)

    def raw(
        self, arguments: tuple[NDArray[Any], ...], shape: tuple[int, ...], poison: float = np.nan
    ) -> Array:
        """The same, shape (3, *shape), of arrays handed over as they are; no noise, no third."""
        shapes = dict.fromkeys(STEP_OUTPUTS, shape)
        taken = arguments[: self.arity]
        return np.array(
            call_checked(self.fn, taken, self.max_level, shapes, dtype=self.dtype, poison=poison)
        )

    def expected(self, points: Points) -> Array:
        """What the reference says, shape (3, n)."""
        z, q, noise = points
        level = self.max_level
        if self.kind == "uniform_noise":
            found = reference.uniform_noise_partials(z, q, noise, max_level=level)
        elif self.kind == "cubic":
            found = reference.cubic_partials(z, q, max_level=level)
        elif self.kind == "straight_through":
            found = reference.straight_through_partials(
                z, q, max_level=level, gradient_scale=self.scale
            )
        else:
            found = reference.hard_partials(z, q, max_level=level)
        return np.array(found)

    def expected_like(self, points: Points, got: Array) -> Array:
        """The same; where either side of a tie or an end is right, for the one that came out.

        All three outputs have to come from the same side: that which fits more of them.
        """
        expected = self.expected(points)
        if self.exact:
            return expected
        tie, end = self._ambiguous(points)
        chosen = np.flatnonzero(tie | end)
        if not chosen.size:
            return expected
        near, at_end = points.take(chosen), end[chosen]
        level, distance = nearest_level(near.z, near.q, self.max_level)
        d = distance / near.q
        # Which side of an end is right for exact numbers, the other one is tried.
        was_outside = (np.abs(level) == self.max_level) & (np.sign(level) * distance >= 0)
        step = np.where(at_end, 0.0, np.where(d < 0, -1.0, 1.0))
        other = partials_at(
            self.kind, near, level + step, d - step, at_end & ~was_outside, self.scale
        )
        tolerance = self.tolerance(near)
        with np.errstate(all="ignore"):
            first = np.abs(got[:, chosen] - expected[:, chosen]) / tolerance
            second = np.abs(got[:, chosen] - other) / tolerance
            gain = (second <= 1).sum(axis=0) - (first <= 1).sum(axis=0)
        swap = gain > 0
        expected[:, chosen[swap]] = other[:, swap]
        return expected

    def tolerance(self, points: Points) -> Array:
        """Largest acceptable errors, shape (3, n)."""
        return np.array(
            step_tolerances(
                points.z,
                points.q,
                max_level=self.max_level,
                dtype=self.dtype,
                gradient_scale=self.scale,
                exact=self.exact,
            )
        )

    def sure(self, points: Points) -> Mask:
        """Where one side alone is right."""
        if self.exact:
            return np.ones(points.z.shape, dtype=np.bool_)
        tie, end = self._ambiguous(points)
        return ~(tie | end)

    def _ambiguous(self, points: Points) -> tuple[Mask, Mask]:
        return ambiguous(points.z, points.q, max_level=self.max_level, dtype=self.dtype)


class BaselineFindings(Findings):
    """Findings whose elements are points (z, q), with noise (z, q, noise)."""

    def compare(
        self,
        evidence: str,
        regimes: Codes,
        subject: BaselineSubject,
        points: Points,
        *,
        got: Array,
        expected: Array,
        tolerance: Array,
        outputs: tuple[str, ...] = STEP_OUTPUTS,
    ) -> None:
        """Judge outputs, each on its own; arrays of shape (len(outputs), n)."""

        def describe(i: int) -> dict[str, float | int]:
            arrays = zip(points._fields[: subject.arity], points, strict=False)
            return {name: float(a[i]) for name, a in arrays} | {"max_level": subject.max_level}

        for row, output in enumerate(outputs):
            self.add(
                evidence,
                regimes,
                output,
                describe,
                got=got[row],
                expected=expected[row],
                tolerance=tolerance[row],
            )
