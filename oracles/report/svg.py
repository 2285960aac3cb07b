"""Error maps as SVG: inline in a page, coloured by its style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from oracles.report import ErrorMap

__all__ = ["LEGEND", "heat_map", "legend"]

#: Classes of colour, each up to a limit in units of the tolerance; 1 is the step from cold to warm.
_LIMITS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 1e2, 1e4)
_CELLS_WIDE, _CELLS_HIGH = 340.0, 260.0
_LEFT, _TOP, _BOTTOM, _RIGHT = 52.0, 8.0, 40.0, 12.0
_MOST_TICKS = 7
_MOST_DECADES = 10

#: Class of style and label, from small to large.
LEGEND: tuple[tuple[str, str], ...] = (
    ("c0", "< 0.001"),
    ("c1", "0.001"),
    ("c2", "0.01"),
    ("c3", "0.1 to 1"),
    ("c4", "> 1"),
    ("c5", "10"),
    ("c6", "100"),
    ("c7", "> 10⁴, not finite"),
)


def _colour(units: float) -> str:
    if math.isnan(units):
        return "none"
    return LEGEND[sum(units > limit for limit in _LIMITS)][0]


def legend() -> str:
    """Colour scale, in units of the tolerance, the limit marked.

    Returns
    -------
    str
        An ``svg`` element.
    """
    width, height = 62.0, 14.0
    limit = 4 * width
    parts = [
        f'<svg class="legend" viewBox="0 0 {8 * width:g} 46" role="img" '
        'aria-label="colours by error in units of the tolerance">'
    ]
    for i, (name, _) in enumerate(LEGEND):
        parts.append(
            f'<rect class="{name}" x="{i * width:g}" y="14" width="{width:g}" height="{height:g}"/>'
        )
    for i, text in enumerate(("0.001", "0.01", "0.1", "1", "10", "100", "10⁴"), start=1):
        kind = "limit" if text == "1" else "tick"
        parts.append(f'<text class="{kind}" x="{i * width:g}" y="42">{text}</text>')
    parts.append(
        f'<line class="limit" x1="{limit:g}" x2="{limit:g}" y1="9" y2="31"/>'
        f'<text class="side end" x="{limit - 6:g}" y="9">within the tolerance</text>'
        f'<text class="side" x="{limit + 6:g}" y="9">beyond it</text></svg>'
    )
    return "".join(parts)


def heat_map(error_map: ErrorMap) -> str:
    """Draw one map: the first coordinate to the right, the second upwards (rows of a table: down).

    Parameters
    ----------
    error_map : ErrorMap

    Returns
    -------
    str
        An ``svg`` element; each cell names its coordinates and error when pointed at.
    """
    columns, rows = max(len(error_map.x), 1), max(len(error_map.y), 1)
    wide, high = _CELLS_WIDE / columns, _CELLS_HIGH / rows
    total_w, total_h = _LEFT + _CELLS_WIDE + _RIGHT, _TOP + _CELLS_HIGH + _BOTTOM
    # Rows counted from 0 are those of an image or a table.
    downwards = error_map.y == tuple(map(float, range(len(error_map.y))))
    parts = [
        f'<svg class="map" viewBox="0 0 {total_w:g} {total_h:g}" role="img" '
        f'aria-label="error of {escape(error_map.output, quote=True)}">'
    ]
    for row, cells in enumerate(error_map.worst):
        top = _TOP + (row if downwards else rows - 1 - row) * high
        for column, units in enumerate(cells):
            told = "not tried" if math.isnan(units) else f"{units:.3g} x tolerance"
            parts.append(
                # A hair too wide: no seams between neighbours.
                f'<rect class="{_colour(units)}" x="{_LEFT + column * wide:.2f}" y="{top:.2f}" '
                f'width="{wide + 0.15:.2f}" height="{high + 0.15:.2f}"><title>'
                f"{escape(error_map.x_label)} = {error_map.x[column]:.4g}, "
                f"{escape(error_map.y_label)} = {error_map.y[row]:.4g}: {told}</title></rect>"
            )
    bottom = _TOP + _CELLS_HIGH
    for position, text in _ticks(error_map.x):
        x = _LEFT + (position + 0.5) * wide
        parts.append(
            f'<line class="axis" x1="{x:.2f}" x2="{x:.2f}" y1="{bottom:g}" y2="{bottom + 4:g}"/>'
            f'<text class="tick" x="{x:.2f}" y="{bottom + 15:g}">{text}</text>'
        )
    for position, text in _ticks(error_map.y):
        y = _TOP + (position if downwards else rows - 1 - position) * high + high / 2
        parts.append(
            f'<line class="axis" x1="{_LEFT - 4:g}" x2="{_LEFT:g}" y1="{y:.2f}" y2="{y:.2f}"/>'
            f'<text class="tick end" x="{_LEFT - 7:g}" y="{y + 4:.2f}">{text}</text>'
        )
    middle = _TOP + _CELLS_HIGH / 2
    parts.append(
        f'<rect class="frame" x="{_LEFT:g}" y="{_TOP:g}" width="{_CELLS_WIDE:g}" '
        f'height="{_CELLS_HIGH:g}"/>'
        f'<text class="label" x="{_LEFT + _CELLS_WIDE / 2:g}" y="{total_h - 6:g}">'
        f"{escape(error_map.x_label)}</text>"
        f'<text class="label" transform="translate(12 {middle:g}) rotate(-90)">'
        f"{escape(error_map.y_label)}</text></svg>"
    )
    return "".join(parts)


def _ticks(values: Sequence[float]) -> list[tuple[float, str]]:
    """Positions, in columns from the first, of round numbers, and what they read."""
    low, high = (values[0], values[-1]) if values else (0.0, 0.0)
    if not low < high:
        return [(0.0, f"{low:g}")] if values else []
    if _is_logarithmic(values):
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        every = max(1, math.ceil((last - first) / _MOST_DECADES))
        marks = [(10.0**n, _power_of_ten(n)) for n in range(first, last + 1, every)]
    else:
        rough = (high - low) / _MOST_TICKS
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(m * unit for m in (1.0, 2.0, 5.0, 10.0) if m * unit >= rough)
        numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        marks = [(n * step, f"{n * step:g}".replace("-", "−")) for n in numbers]
    return [(_position(values, mark), text) for mark, text in marks]


def _is_logarithmic(values: Sequence[float]) -> bool:
    return values[0] > 0 and values[-1] / values[0] > 100


def _power_of_ten(n: int) -> str:
    digits = str(abs(n)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "1" if n == 0 else f"10{'⁻' if n < 0 else ''}{digits}"


def _position(values: Sequence[float], mark: float) -> float:
    """Where a number lies between the columns; those need not be evenly spaced."""
    after = next((i for i, v in enumerate(values) if v >= mark), len(values) - 1)
    if after == 0:
        return 0.0
    low, high = values[after - 1], values[after]
    if _is_logarithmic(values):
        low, high, mark = math.log(low), math.log(high), math.log(mark)
    return after - 1 + min((mark - low) / (high - low), 1.0)
