"""Collects what was found: the worst element of each evidence, regime and output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oracles.report import Check, Location

__all__ = ["Codes", "Describe", "Findings"]

Array = NDArray[np.float64]
#: Regime of each element as a position in the list of names, or the name of one for all of them.
Codes = NDArray[np.intp] | str
#: Gives the inputs of an element, for :class:`oracles.report.Location`.
Describe = Callable[[int], Mapping[str, float | int | str]]


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
    """Checks in the making, and notes.

    Parameters
    ----------
    names : tuple of str
        Names of the regimes that codes stand for.
    """

    names: tuple[str, ...] = ()
    tallies: dict[tuple[str, str, str], _Tally] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

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

    def add(
        self,
        evidence: str,
        regimes: Codes,
        output: str,
        describe: Describe,
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
        regimes : ndarray of int, shape (n,), or str
            Regime of each element (position in ``names``), or the name of one for all.
        describe : callable
            Inputs of the element at a position; asked for the worst ones only.
        got, expected, tolerance : ndarray, shape (n,)
            A NaN anywhere counts as infinitely wrong.
        """
        if not got.size:
            return
        with np.errstate(all="ignore"):
            units = np.abs(got - expected) / tolerance
        units = np.where(np.isnan(units), np.inf, units)
        if isinstance(regimes, str):
            # The last of the worst, as below; there are many small checks of one regime.
            worst = got.size - 1 - int(np.argmax(units[::-1]))
            groups = [(regimes, worst, got.size, int(np.count_nonzero(units > 1)))]
        else:
            order = np.lexsort((units, regimes))  # the last of each group is its worst
            last = np.append(np.flatnonzero(np.diff(regimes[order])), got.size - 1)
            counts = np.diff(last, prepend=-1).tolist()
            beyond = np.bincount(regimes, weights=units > 1, minlength=1)
            groups = [
                (self.names[regimes[i]], i, count, int(beyond[regimes[i]]))
                for i, count in zip(order[last].tolist(), counts, strict=True)
            ]
        for name, i, count, failed in groups:
            tally = self.tallies.setdefault((evidence, name, output), _Tally())
            tally.count += count
            tally.failed += failed
            if units[i] > tally.worst:
                tally.worst = float(units[i])
                tally.where = Location(
                    i, describe(i), float(got[i]), float(expected[i]), float(tolerance[i])
                )

    def broke(self, message: str, *, evidence: str = "contract", regime: str = "all") -> None:
        """Record what a call did wrong."""
        self.called(evidence=evidence, regime=regime)
        tally = self.tallies[evidence, regime, "call"]
        tally.failed += 1
        tally.worst = float("inf")
        tally.message = tally.message or message

    def called(self, *, evidence: str = "contract", regime: str = "all") -> None:
        """Record a call that came back."""
        tally = self.tallies.setdefault((evidence, regime, "call"), _Tally(worst=0.0))
        tally.count += 1

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)
