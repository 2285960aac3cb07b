"""The rounding under test, the inputs it is asked for, and findings about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.contract import call_checked
from oracles.diff_jpeg.rounding_tolerance import rounding_tolerances, split
from oracles.findings import Codes, Findings
from reference.surrogates import soft_floor, soft_round

__all__ = [
    "ROUNDING_OUTPUTS",
    "RoundingFindings",
    "RoundingFunction",
    "RoundingPoints",
    "RoundingSubject",
]

Array = NDArray[np.float64]

#: ``fn(x) -> (value, derivative)``, with noise ``fn(x, noise)``: arrays of one shape, elementwise.
RoundingFunction = Callable[..., Any]

#: Names of the outputs, in their order.
ROUNDING_OUTPUTS = ("value", "derivative")


class RoundingPoints(NamedTuple):
    """Elementwise inputs, in float64 but representable in the dtype under test.

    Parameters
    ----------
    x, noise : ndarray, shape (n,)
        Numbers to round; draws in [-1/2, 1/2), for uniform noise alone.
    """

    x: Array
    noise: Array

    def take(self, index: Any) -> RoundingPoints:
        """Return the selected elements."""
        return RoundingPoints(*(array[index] for array in self))


@dataclass(frozen=True)
class RoundingSubject:
    """A substitute of rounding under test.

    Parameters
    ----------
    fn : callable
        The function under test.
    kind : str
        One of :data:`reference.surrogates.KINDS`.
    dtype : numpy.dtype
        Working dtype.
    floor, straight_through : bool
        What it claims to be.
    """

    fn: RoundingFunction
    kind: str
    dtype: np.dtype[Any]
    floor: bool = False
    straight_through: bool = False

    @property
    def exact(self) -> bool:
        """Whether the value is an integer."""
        return self.straight_through or self.kind == "straight_through"

    @property
    def arity(self) -> int:
        """Number of arrays that the function takes."""
        return 2 if self.kind == "uniform_noise" and not self.straight_through else 1

    def __call__(self, points: RoundingPoints) -> Array:
        """Value and derivative, shape (2, n); raises ContractError."""
        return self.raw(tuple(np.array(a, dtype=self.dtype) for a in points), points.x.shape)

    def raw(
        self, arguments: tuple[NDArray[Any], ...], shape: tuple[int, ...], poison: float = np.nan
    ) -> Array:
        """The same, shape (2, *shape), of arrays handed over as they are; no noise, no second."""
        return np.array(
            call_checked(
                lambda *inputs: self.fn(*inputs[:-1]),  # the last one is a level count
                arguments[: self.arity],
                0,
                dict.fromkeys(ROUNDING_OUTPUTS, shape),
                dtype=self.dtype,
                poison=poison,
            )
        )

    def expected(self, points: RoundingPoints) -> Array:
        """What the float64 twin says, shape (2, n)."""
        part = soft_floor if self.floor else soft_round
        options: dict[str, Any] = {"straight_through": self.straight_through}
        if self.arity == 2:
            options["noise"] = points.noise
        return np.array(part(points.x, self.kind, **options))

    def tolerance(self, points: RoundingPoints) -> Array:
        """Largest acceptable errors, shape (2, n)."""
        return rounding_tolerances(
            self.kind,
            *points,
            floor=self.floor,
            straight_through=self.straight_through,
            dtype=self.dtype,
        )

    def split(self, x: Array) -> tuple[Array, Array]:
        """Integer and remainder."""
        return split(x, floor=self.floor)

    def at(self, y: Array) -> Array:
        """Where y is rounded: the floor rounds x - 1/2."""
        return y + 0.5 if self.floor else y


class RoundingFindings(Findings):
    """Findings whose elements are numbers x, with noise pairs."""

    def compare(
        self,
        evidence: str,
        regimes: Codes,
        subject: RoundingSubject,
        points: RoundingPoints,
        *,
        got: Array,
        expected: Array,
        tolerance: Array,
        outputs: tuple[str, ...] = ROUNDING_OUTPUTS,
    ) -> None:
        """Judge outputs, each on its own; arrays of shape (len(outputs), n)."""

        def describe(i: int) -> dict[str, float | int | str]:
            names = points._fields[: subject.arity]
            return {name: float(a[i]) for name, a in zip(names, points, strict=False)}

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
