"""The verdict: what was checked, how far it was off, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, isnan
from pathlib import Path
from typing import Any

__all__ = ["Check", "ErrorMap", "Location", "Report", "short_hex"]


def short_hex(x: float) -> str:
    """``float.hex`` without the zeros at the end of the mantissa.

    Parameters
    ----------
    x : float

    Returns
    -------
    str
        Exact, such as ``0x1.8p+1``.
    """
    head, mark, exponent = x.hex().partition("p")
    if "." in head:
        head = head.rstrip("0").rstrip(".")
    return head + mark + exponent


@dataclass(frozen=True)
class Location:
    """The worst element of a check, exact enough to replay it.

    Parameters
    ----------
    index : int
        Position among the elements of the check; for the evidence ``reference``, ``finite`` and
        ``determinism`` of the quantizer that is the position in the call.
    inputs : mapping of str to float, int or str
        What the element was computed from: for the quantizer ``z``, ``q``, ``alpha`` and
        ``max_level``; for the layer the name of the case and the place in the array.
    got, expected : float
        What came out and what should have.
    tolerance : float
        Largest accepted difference between the two.
    shrunk : str
        The simplest input found that fails in the same way; empty when none was looked for.
    """

    index: int
    inputs: Mapping[str, float | int | str]
    got: float
    expected: float
    tolerance: float
    shrunk: str = ""

    @property
    def units(self) -> float:
        """The error in units of the tolerance; infinite where a number is NaN."""
        units = abs(self.got - self.expected) / self.tolerance
        return inf if isnan(units) else units

    def __str__(self) -> str:
        """Place, numbers and simplest input, a line each; floating inputs as exact hex."""
        parts = [f"element {self.index}:"]
        parts += [
            f"{name}={short_hex(value) if isinstance(value, float) else value}"
            for name, value in self.inputs.items()
        ]
        if {"z", "q", "alpha"} <= set(self.inputs):
            z, q, alpha = (float(self.inputs[name]) for name in ("z", "q", "alpha"))
            parts.append(f"(z/q={z / q:.9g}, h={alpha * q * q:.6g})")
        place = " ".join(parts)
        text = (
            f"{place}\n       got {self.got!r}, expected {self.expected!r}, "
            f"difference {abs(self.got - self.expected):.3g} = {self.units:.3g} x tolerance "
            f"{self.tolerance:.3g}"
        )
        return f"{text}\n       shrunk: {self.shrunk}" if self.shrunk else text


@dataclass(frozen=True)
class Check:
    """One kind of evidence on one output in one regime of inputs.

    Parameters
    ----------
    evidence : str
        Kind of evidence, such as ``"reference"`` or ``"euler"``.
    regime : str
        Named regime of the inputs.
    output : str
        Name of the output (for the quantizer ``"value"``, ``"dz"``, ``"dq"``, ``"dalpha"``), or
        ``"call"`` for what concerns the call.
    worst : float
        Largest error in units of the tolerance; 1 is the limit, infinite for NaN.
    count, failed : int
        How many elements were looked at, and how many were beyond the limit.
    where : Location or None
        The worst element.
    message : str
        For findings that are no number: what the function did wrong.
    """

    evidence: str
    regime: str
    output: str
    worst: float
    count: int
    failed: int
    where: Location | None = None
    message: str = ""

    @property
    def passed(self) -> bool:
        """True when no element was beyond the limit."""
        return self.failed == 0

    def __str__(self) -> str:
        """One line: verdict, evidence, size and, if it failed, the place."""
        head = (
            f"{'ok  ' if self.passed else 'FAIL'} {self.evidence:<20} {self.regime:<12} "
            f"{self.output:<7} {self.worst:>10.3g} x tolerance  {self.failed}/{self.count} beyond"
        )
        if self.passed:
            return head
        detail = "; ".join(text for text in (self.message, str(self.where or "")) if text)
        return f"{head}\n       {detail}"


@dataclass(frozen=True)
class ErrorMap:
    """Worst error over two coordinates, for one output.

    Parameters
    ----------
    output : str
        Name of the output.
    x_label, y_label : str
        What the coordinates are.
    x, y : tuple of float
        Coordinates of the columns and rows, ascending.
    worst : tuple of tuple of float
        ``worst[row][column]`` in units of the tolerance; NaN where nothing was tried.
    """

    output: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    worst: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Report:
    """Everything that was found out about one implementation.

    Parameters
    ----------
    title : str
        What was judged: contract, support, dtype, seed, budget.
    checks : tuple of Check
        One entry per evidence, regime and output.
    maps : tuple of ErrorMap
        Where the errors are, for a picture.
    notes : tuple of str
        What a reader should know beside the verdict, such as an optional part that was not there.
    settings : mapping of str to float, int, str or None
        The arguments that the verdict was asked for with, for a replay.
    """

    title: str
    checks: tuple[Check, ...]
    maps: tuple[ErrorMap, ...] = ()
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True when checks were made and every one of them passed."""
        return bool(self.checks) and not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def worst(self) -> float:
        """Largest error of all, in units of the tolerance."""
        return max((check.worst for check in self.checks), default=0.0)

    def evidence(self, *, failed: bool = False) -> tuple[str, ...]:
        """Kinds of evidence in this report, in order of appearance.

        Parameters
        ----------
        failed : bool
            Only those with a failed check: the kinds that reject the implementation.

        Returns
        -------
        tuple of str
        """
        return tuple(dict.fromkeys(c.evidence for c in self.checks if not (failed and c.passed)))

    def raise_if_failed(self) -> None:
        """Raise when the implementation was rejected.

        Raises
        ------
        AssertionError
            Names every kind of evidence that failed, with the place and size of its worst error.
        """
        if self.passed:
            return
        again = self.replay()
        lines = [self.headline, *map(str, self.worst_failures)]
        raise AssertionError("\n".join([*lines, *([f"replay: {again}"] if again else [])]))

    def replay(self, check: Check | None = None) -> str:
        """Return the line that shows a failure again.

        Parameters
        ----------
        check : Check, optional
            The failure; by default the worst one that a single point shows, or else the verdict.

        Returns
        -------
        str
            For a shell where the report came from the command line, otherwise for Python; empty
            where the settings do not tell.
        """
        from oracles.quantizer.replay import format_point, replay_line

        if check is None:
            shown = [c for c in self.failures if _is_a_point(c)]
            check = max(shown, key=lambda c: c.worst, default=None)
        if check is None or check.where is None or not _is_a_point(check):
            return replay_line(self.settings)
        if check.where.shrunk.startswith("z="):
            return replay_line(self.settings, check.where.shrunk.partition(": ")[0])
        inputs: dict[str, Any] = dict(check.where.inputs)
        columns = {name: [float(inputs[name])] for name in ("z", "q", "alpha")}
        return replay_line(self.settings, format_point(columns, inputs["max_level"]))

    def to_json(self) -> str:
        """Write the report as JSON that :meth:`from_json` reads without loss.

        Returns
        -------
        str
            An object with ``"schema": 1``. What a replay needs (inputs, got, expected, tolerance)
            is written as hexadecimal floats, other numbers as the shortest decimal that is exact;
            not a number and infinity as ``"nan"``, ``"inf"`` and ``"-inf"``.
        """
        from oracles.report.json import write

        return write(self)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what :meth:`to_json` wrote.

        Parameters
        ----------
        text : str
            One report.

        Returns
        -------
        Report

        Raises
        ------
        ValueError
            If the text is no JSON, or no report of a known schema.
        """
        from oracles.report.json import read

        return read(text)

    def to_html(self) -> str:
        """Write the report as one page that needs no other file and no network.

        Returns
        -------
        str
            HTML with the checks, the failures and the error maps.
        """
        from oracles.report.html import write_page

        return write_page([self])

    def save(self, path: str | Path) -> None:
        """Write the report to a file.

        Parameters
        ----------
        path : str or Path
            Its suffix chooses the format: ``.json`` or ``.html``.

        Raises
        ------
        ValueError
            If the suffix is another one.
        """
        path = Path(path)
        writers = {".json": self.to_json, ".html": self.to_html}
        if path.suffix not in writers:
            raise ValueError(f"path must end in .json or .html, got {str(path)!r}")
        path.write_text(writers[path.suffix](), encoding="utf-8")

    def print(self) -> None:
        """Print the report as a coloured table, one row per evidence."""
        from oracles.report.table import print_report

        print_report(self)

    def __str__(self) -> str:
        """The same table as plain text."""
        header = ("evidence", "output", "regimes", "points", "worst/tol", "worst in", "verdict")
        rows = [header, *self._summary()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([self.headline, *lines, *map(str, self.worst_failures)])

    @property
    def headline(self) -> str:
        """Verdict, what was judged, and the largest error: one line."""
        verdict = "PASSED" if self.passed else "FAILED"
        found = f"{len(self.checks)} checks, {len(self.failures)} failed"
        return f"{verdict}: {self.title} ({found}, worst {self.worst:.3g} x tolerance)"

    def _summary(self) -> Iterator[tuple[str, ...]]:
        groups: dict[tuple[str, str], list[Check]] = {}
        for check in self.checks:
            groups.setdefault((check.evidence, check.output), []).append(check)
        for (evidence, output), members in groups.items():
            worst = max(members, key=lambda check: (not check.passed, check.worst))
            yield (
                evidence,
                output,
                str(len(members)),
                str(sum(check.count for check in members)),
                f"{worst.worst:.3g}",
                worst.regime,
                "ok" if all(check.passed for check in members) else "FAIL",
            )

    @property
    def worst_failures(self) -> tuple[Check, ...]:
        """One failure per evidence and output: the largest."""
        groups: dict[tuple[str, str], Check] = {}
        for check in self.failures:
            key = (check.evidence, check.output)
            if key not in groups or check.worst > groups[key].worst:
                groups[key] = check
        return tuple(groups.values())


def _is_a_point(check: Check) -> bool:
    """Whether calling the function at the place alone shows what is wrong there."""
    return (
        check.evidence in ("reference", "finite", "search")
        and check.where is not None
        and {"z", "q", "alpha", "max_level"} <= set(check.where.inputs)
    )
