"""The implementation under test, together with what may be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.contract import call_checked
from oracles.findings import Codes, Findings
from oracles.tolerance import ambiguous_windows, tolerances
from reference.cpmf import nearest_level

__all__ = [
    "OUTPUTS",
    "Array",
    "Inputs",
    "Mask",
    "PointFindings",
    "QuantizerFunction",
    "Subject",
]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: ``fn(z, q, alpha, max_level) -> (value, dz, dq, dalpha)``: three one-dimensional arrays of equal
#: length and of the dtype under test in, four arrays of that shape out, elementwise.
QuantizerFunction = Callable[[Any, Any, Any, int], Any]

#: Names of the outputs, in their order.
OUTPUTS = ("value", "dz", "dq", "dalpha")


class Inputs(NamedTuple):
    """Elementwise inputs, in float64 but representable in the dtype under test.

    Parameters
    ----------
    z, q, alpha : ndarray, shape (n,)
        Coefficients, quantization steps (> 0), inverse temperatures (> 0).
    """

    z: Array
    q: Array
    alpha: Array

    def take(self, index: Any) -> Inputs:
        """Return the selected elements."""
        return Inputs(self.z[index], self.q[index], self.alpha[index])


@dataclass(frozen=True)
class Subject:
    """A soft quantizer under test at one level count.

    Parameters
    ----------
    fn : callable
        The function under test.
    window : int or None
        Support that it claims.
    dtype : numpy.dtype
        Working dtype.
    max_level : int
        L.
    """

    fn: QuantizerFunction
    window: int | None
    dtype: np.dtype[Any]
    max_level: int

    def __call__(self, inputs: Inputs) -> Array:
        """Value and partials, shape (4, n); raises ContractError."""
        arguments = tuple(np.array(array, dtype=self.dtype) for array in inputs)
        shapes = dict.fromkeys(OUTPUTS, inputs.z.shape)
        return np.array(call_checked(self.fn, arguments, self.max_level, shapes, dtype=self.dtype))

    def raw(
        self, arguments: tuple[NDArray[Any], ...], shape: tuple[int, ...], poison: float = np.nan
    ) -> Array:
        """Value and partials, shape (4, *shape), of arrays that are handed over as they are."""
        shapes = dict.fromkeys(OUTPUTS, shape)
        return np.array(
            call_checked(
                self.fn, arguments, self.max_level, shapes, dtype=self.dtype, poison=poison
            )
        )

    def round(self, *arrays: Array) -> Inputs:
        """Return inputs rounded to the working dtype."""
        return Inputs(*(array.astype(self.dtype).astype(np.float64) for array in arrays))

    def tolerance(self, inputs: Inputs) -> Array:
        """Largest acceptable errors, shape (4, n)."""
        found = tolerances(*inputs, max_level=self.max_level, window=self.window, dtype=self.dtype)
        return np.array(found)

    def ambiguous(self, inputs: Inputs) -> Mask:
        """Where either of two windows is right."""
        if self.window is None:
            return np.zeros(inputs.z.shape, dtype=np.bool_)
        return ambiguous_windows(
            inputs.z, inputs.q, max_level=self.max_level, window=self.window, dtype=self.dtype
        )[0]

    def centre(self, inputs: Inputs) -> Array:
        """Middle level of the support."""
        nearest, _ = nearest_level(inputs.z, inputs.q, self.max_level)
        if self.window is None:
            return np.zeros_like(nearest)
        half = self.window // 2
        return np.clip(nearest, half - self.max_level, self.max_level - half)


class PointFindings(Findings):
    """Findings whose elements are points (z, q, alpha)."""

    def compare(
        self,
        evidence: str,
        regimes: Codes,
        output: str,
        subject: Subject,
        inputs: Inputs,
        *,
        got: Array,
        expected: Array,
        tolerance: Array,
    ) -> None:
        """Judge one output at every point; see :meth:`oracles.findings.Findings.add`."""

        def describe(i: int) -> dict[str, float | int]:
            return {name: float(a[i]) for name, a in zip(inputs._fields, inputs, strict=True)} | {
                "max_level": subject.max_level
            }

        self.add(
            evidence,
            regimes,
            output,
            describe,
            got=got,
            expected=expected,
            tolerance=tolerance,
        )

    def compare_all(
        self,
        evidence: str,
        regimes: Codes,
        subject: Subject,
        inputs: Inputs,
        *,
        got: Array,
        expected: Array,
        tolerance: Array,
    ) -> None:
        """Judge the four outputs, each on its own; arrays of shape (4, n)."""
        for row, output in enumerate(OUTPUTS):
            self.compare(
                evidence,
                regimes,
                output,
                subject,
                inputs,
                got=got[row],
                expected=expected[row],
                tolerance=tolerance[row],
            )
