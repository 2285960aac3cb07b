"""A grid of points over hardness and position: evidence, and the picture of where errors are."""

from __future__ import annotations

import numpy as np

from oracles.quantizer.reference_check import check_reference, expectation
from oracles.report import ErrorMap
from oracles.subject import OUTPUTS, PointFindings, Subject

__all__ = ["MAP_LEVEL", "check_map"]

#: The level count whose errors are drawn.
MAP_LEVEL = 127
# Columns and rows of the grid; an odd number of points.
_SIZES = {"quick": (25, 31), "full": (61, 81)}
_LOWEST, _HIGHEST = 1e-3, 1e6  # of h
# Points within a cell, so that a cell is not one number with an even fraction part.
_PHASES = (0.0, 0.23, 0.5)


def check_map(subject: Subject, out: PointFindings, *, budget: str) -> tuple[ErrorMap, ...]:
    """Judge a grid over (h, c) against the reference and keep the worst of each cell.

    Parameters
    ----------
    subject : Subject
        The implementation under test at :data:`MAP_LEVEL`.
    out : PointFindings
        Gets the evidence ``"reference"``, regime ``"grid"``.
    budget : {"quick", "full"}
        How fine a grid.

    Returns
    -------
    tuple of ErrorMap
        One per output, h in columns (logarithmic) and c = z/q in rows.
    """
    columns, rows = _SIZES[budget]
    h = np.geomspace(_LOWEST, _HIGHEST, columns)
    c = np.round(np.linspace(-1.2, 1.2, rows) * subject.max_level)
    phase, row, column = (a.ravel() for a in np.meshgrid(_PHASES, c, h, indexing="ij"))
    # Steps of trained tables, a power of two among them, none tied to a row or a column.
    q = np.array([0.37, 1.0, 2.9, 17.0, 250.0])[np.arange(phase.size) % 5]
    inputs = subject.round((row + phase) * q, q, column / q**2)
    got = subject(inputs)
    check_reference(subject, inputs, "grid", got, out)
    expected, tolerance = expectation(subject, inputs, got)
    with np.errstate(all="ignore"):
        units = np.abs(got - expected) / tolerance
    units = np.where(np.isnan(units), np.inf, units)
    worst = units.reshape(4, len(_PHASES), rows, columns).max(axis=1)
    return tuple(
        ErrorMap(
            output,
            "h = alpha q^2",
            "c = z / q",
            tuple(h.tolist()),
            tuple(c.tolist()),
            tuple(tuple(line) for line in cells.tolist()),
        )
        for output, cells in zip(OUTPUTS, worst, strict=True)
    )
