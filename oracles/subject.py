"""The implementation under test, together with what may be asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.contract import OUTPUTS, Inputs, QuantizerFunction, call_quantizer
from oracles.regimes import REGIMES
from oracles.report import Check, Location
from oracles.tolerance import ambiguous_windows, tolerances
from reference.cpmf import nearest_level

__all__ = ["Array", "Findings", "Mask", "Regimes", "Subject"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
#: Regime of each element as a position in REGIMES, or the name of one regime for all of them.
Regimes = NDArray[np.intp] | str

_NAMES = tuple(REGIMES)


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
        return call_quantizer(self.fn, inputs, max_level=self.max_level, dtype=self.dtype)

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


@dataclass
class _Tally:
    """A check in the making."""

    worst: float = -1.0
    count: int = 0
    failed: int = 0
    where: Location | None = None
    message: str = ""


@dataclass
class Findings:
    """Collects checks; the worst element of each evidence, regime and output is kept."""

    tallies: dict[tuple[str, str, str], _Tally] = field(default_factory=dict)

    @property
    def checks(self) -> tuple[Check, ...]:
        """What was found so far."""
        return tuple(
            Check(
                *key,
                worst=tally.worst,
                count=tally.count,
                failed=tally.failed,
                where=tally.where,
                message=tally.message,
            )
            for key, tally in self.tallies.items()
        )

    def compare(
        self,
        evidence: str,
        regimes: Regimes,
        output: str,
        subject: Subject,
        inputs: Inputs,
        *,
        got: Array,
        expected: Array,
        tolerance: Array,
    ) -> None:
        """Judge |got - expected| <= tolerance for every element.

        Parameters
        ----------
        evidence, output : str
            Names for the report.
        regimes : ndarray of int or str
            Regime of each element (position in REGIMES), or the name of one for all.
        subject : Subject
            For the level count.
        inputs : Inputs
            Inputs of the elements.
        got, expected, tolerance : ndarray, shape (n,)
            A NaN anywhere counts as infinitely wrong.
        """
        if not got.size:
            return
        with np.errstate(all="ignore"):
            units = np.abs(got - expected) / tolerance
        units = np.where(np.isnan(units), np.inf, units)
        codes = np.zeros(got.size, np.intp) if isinstance(regimes, str) else regimes
        order = np.lexsort((units, codes))  # the last of each group is its worst
        last = np.append(np.flatnonzero(np.diff(codes[order])), got.size - 1)
        counts = np.diff(last, prepend=-1)
        beyond = np.bincount(codes, weights=units > 1, minlength=1)
        for i, count in zip(order[last].tolist(), counts.tolist(), strict=True):
            name = regimes if isinstance(regimes, str) else _NAMES[codes[i]]
            tally = self.tallies.setdefault((evidence, name, output), _Tally())
            tally.count += count
            tally.failed += int(beyond[codes[i]])
            if units[i] > tally.worst:
                tally.worst = float(units[i])
                tally.where = Location(
                    i,
                    subject.max_level,
                    *(float(a[i]) for a in inputs),
                    *(float(a[i]) for a in (got, expected, tolerance)),
                )

    def compare_all(
        self,
        evidence: str,
        regimes: Regimes,
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

    def called(self, broken: str = "") -> None:
        """Record a call that kept its contract, or what it did wrong."""
        tally = self.tallies.setdefault(("contract", "all", "call"), _Tally(worst=0.0))
        tally.count += 1
        if broken:
            tally.failed += 1
            tally.worst = float("inf")
            tally.message = broken
