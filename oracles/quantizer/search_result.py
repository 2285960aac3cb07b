"""What a worst-case search found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oracles.quantizer.replay import format_point
from oracles.report import Check, Report
from oracles.subject import OUTPUTS, Inputs

__all__ = ["SearchResult"]


@dataclass(frozen=True)
class SearchResult:
    """The worst inputs that were found.

    Parameters
    ----------
    report : Report
        One check of evidence ``"search"`` per regime and output: the largest error in units of
        the tolerance, the number of points tried, and the input.
    """

    report: Report

    @property
    def passed(self) -> bool:
        """True when no input was found whose error exceeds the tolerance."""
        return self.report.passed

    @property
    def worst(self) -> Check:
        """The check with the largest error of all."""
        return max(self.report.checks, key=lambda c: (not c.passed, c.worst))

    @property
    def points(self) -> int:
        """Number of points tried."""
        return sum(c.count for c in self.report.checks if c.output in (OUTPUTS[0], "call"))

    @property
    def point(self) -> str:
        """The worst input as :func:`oracles.replay_point` reads it; empty without one."""
        where = self.worst.where
        if where is None:
            return ""
        inputs: dict[str, Any] = dict(where.inputs)
        columns = {name: [inputs[name]] for name in Inputs._fields}
        return format_point(columns, inputs["max_level"])

    @property
    def replay(self) -> str:
        """The line that shows the worst input again."""
        return self.report.replay(self.worst)

    def print(self) -> None:
        """Print a table, one row per regime, and the worst input."""
        from oracles.report.table import print_search

        print_search(self)

    def __str__(self) -> str:
        """The same as plain text."""
        lines = [self.report.headline]
        for name in dict.fromkeys(check.regime for check in self.report.checks):
            members = [c for c in self.report.checks if c.regime == name]
            units = "  ".join(f"{c.output} {c.worst:.3g}" for c in members)
            lines.append(f"{name:<12} {members[0].count:>9} points  {units}")
        return "\n".join([*lines, *([str(self.worst.where)] if self.point else [])])
