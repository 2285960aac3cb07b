"""The CPMF under test, its support, and findings about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.contract import call_checked
from oracles.cpmf.bounds import CpmfBounds, cpmf_bounds
from oracles.findings import Codes, Findings
from oracles.subject import Array, Inputs, Mask, QuantizerFunction, Subject
from oracles.tolerance import ambiguous_windows
from reference.cpmf import cpmf, nearest_level

__all__ = ["CPMF_OUTPUTS", "CpmfFindings", "CpmfFunction", "CpmfSubject", "Masses"]

#: ``fn(z, q, alpha, max_level) -> (levels, probabilities)``: three one-dimensional arrays of
#: length n in, two arrays of shape (n, K) out, K = 2L+1 or the window.
CpmfFunction = Callable[[Any, Any, Any, int], Any]

#: Names of the outputs, in their order.
CPMF_OUTPUTS = ("levels", "probabilities")


class Masses(NamedTuple):
    """Levels and probabilities of n points, shape (n, K) each."""

    levels: Array
    probabilities: Array

    def take(self, index: Any) -> Masses:
        """Return the selected points."""
        return Masses(self.levels[index], self.probabilities[index])


@dataclass(frozen=True)
class CpmfSubject:
    """A CPMF under test at one level count.

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

    fn: CpmfFunction
    window: int | None
    dtype: np.dtype[Any]
    max_level: int

    @property
    def count(self) -> int:
        """K, the number of levels of the support."""
        return 2 * self.max_level + 1 if self.window is None else self.window

    @property
    def points(self) -> Subject:
        """What is asked of inputs: rounding, windows that either may be right."""
        never: QuantizerFunction = self.fn
        return Subject(never, self.window, self.dtype, self.max_level)

    def raw(
        self, arguments: tuple[NDArray[Any], ...], shape: tuple[int, ...], poison: float = np.nan
    ) -> Array:
        """Levels, then probabilities, shape (2K, n), of arrays handed over as they are."""
        shapes = dict.fromkeys(CPMF_OUTPUTS, (*shape, self.count))
        parts = call_checked(
            self.fn,
            arguments,
            self.max_level,
            shapes,
            dtype=self.dtype,
            exact=("levels",),
            poison=poison,
        )
        return np.concatenate([np.moveaxis(part, -1, 0) for part in parts])

    def __call__(self, inputs: Inputs) -> Masses:
        """Levels and probabilities; raises ContractError."""
        arguments = tuple(np.array(array, dtype=self.dtype) for array in inputs)
        rows = self.raw(arguments, inputs.z.shape)
        return Masses(rows[: self.count].T, rows[self.count :].T)

    def bounds(self, inputs: Inputs, levels: Array) -> CpmfBounds:
        """Largest acceptable errors on those levels."""
        return cpmf_bounds(*inputs, levels, max_level=self.max_level, dtype=self.dtype)

    def expected(self, inputs: Inputs) -> Masses:
        """What the reference says; ties of the window half-up."""
        found = cpmf(*inputs, max_level=self.max_level, window=self.window)
        return Masses(found.levels.astype(np.float64), found.probabilities)

    def expected_like(self, inputs: Inputs, levels: Array) -> Masses:
        """What the reference says; where either window is right, for the one that came out."""
        expected = self.expected(inputs)
        if self.window is None:
            return expected
        either, _, other = ambiguous_windows(
            inputs.z, inputs.q, max_level=self.max_level, window=self.window, dtype=self.dtype
        )
        moved = other[:, None] + np.arange(self.window) - self.window // 2
        taken = np.flatnonzero(either & (levels == moved).all(axis=1))
        if taken.size:
            # A window about level n is the full space of its half width, moved by n.
            z, q, alpha = inputs.take(taken)
            nearest, distance = nearest_level(z, q, self.max_level)
            rest = distance + (nearest - other[taken]) * q
            inner = cpmf(rest, q, alpha, max_level=self.window // 2)
            expected.levels[taken] = moved[taken]
            expected.probabilities[taken] = inner.probabilities
        return expected

    def sure(self, inputs: Inputs) -> Mask:
        """Where only one window is right."""
        return ~self.points.ambiguous(inputs)


class CpmfFindings(Findings):
    """Findings whose elements are points, each with the worst of its levels."""

    def compare(
        self,
        evidence: str,
        regimes: Codes,
        output: str,
        subject: CpmfSubject,
        inputs: Inputs,
        *,
        levels: Array | None,
        got: Array,
        expected: Array,
        tolerance: Array,
    ) -> None:
        """Judge |got - expected| <= tolerance for all levels of each point.

        Parameters
        ----------
        evidence, output : str
            Names for the report.
        regimes : ndarray of int, shape (n,), or str
            Regime of each point.
        subject : CpmfSubject
            What is judged.
        inputs : Inputs
            n points.
        levels : ndarray, shape (n, K), or None
            Names the level in the report; None where a point has one number.
        got, expected, tolerance : ndarray, shape (n, K)
            A NaN anywhere counts as infinitely wrong.
        """
        if not got.size:
            return
        with np.errstate(all="ignore"):
            units = np.abs(got - expected) / tolerance
        worst = np.where(np.isnan(units), np.inf, units).argmax(axis=1)
        rows = np.arange(worst.size)

        def describe(i: int) -> dict[str, float | int]:
            named = {name: float(a[i]) for name, a in zip(inputs._fields, inputs, strict=True)}
            place: dict[str, float | int] = {**named, "max_level": subject.max_level}
            if levels is not None:
                place["level"] = int(levels[i, worst[i]])
            return place

        self.add(
            evidence,
            regimes,
            output,
            describe,
            got=got[rows, worst],
            expected=expected[rows, worst],
            tolerance=np.broadcast_to(tolerance, got.shape)[rows, worst],
        )

    def compare_masses(
        self,
        evidence: str,
        regimes: Codes,
        subject: CpmfSubject,
        inputs: Inputs,
        *,
        got: Masses,
        expected: Masses,
        tolerance: Array,
    ) -> None:
        """Judge both outputs, each on its own; levels have to be exact."""
        for output, one, other, allowed in (
            ("levels", got.levels, expected.levels, np.full(got.levels.shape, 0.25)),
            ("probabilities", got.probabilities, expected.probabilities, tolerance),
        ):
            self.compare(
                evidence,
                regimes,
                output,
                subject,
                inputs,
                levels=expected.levels,
                got=one,
                expected=other,
                tolerance=allowed,
            )
