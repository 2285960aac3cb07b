"""Means over the columns of the thesis' tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from trainer.codec_evaluation.qualities import COLUMNS, RANGES, WHOLE_RANGE


@dataclass(frozen=True)
class Mean:
    """A mean of finite values.

    Parameters
    ----------
    value
        None if there is none.
    equal
        Values that were infinite, as the PSNR of equal images is; they are left out.
    """

    value: float | None
    equal: int = 0

    def text(self, digits: int) -> str:
        """For a table: "equal" where all values are infinite, "-" where there is none.

        What is 0 or 1 and not only rounds to it has no digits.
        """
        if self.value is None:
            return "equal" if self.equal else "-"
        left_out = f" ({self.equal} equal left out)" if self.equal else ""
        number = f"{self.value:.0f}" if self.value in (0, 1) else f"{self.value:.{digits}f}"
        return number + left_out


def mean_of(values: Sequence[float]) -> Mean:
    """Mean of what is finite.

    Raises
    ------
    ValueError
        If a value is NaN or minus infinity.
    """
    if any(math.isnan(value) or value == -math.inf for value in values):
        raise ValueError(f"values must be numbers above minus infinity, got {list(values)}")
    finite = [value for value in values if value < math.inf]
    return Mean(statistics.fmean(finite) if finite else None, len(values) - len(finite))


def by_range(values: Mapping[int, Sequence[float]]) -> dict[str, Mean]:
    """Means of the columns "1-99", "1-10" and "11-99".

    Parameters
    ----------
    values
        Of each quality. Where a range has not all its qualities, those that are there stand for it:
        "1-99" weighs the means of the two ranges as 10 to 89.
    """
    means = {
        name: mean_of([v for quality in qualities for v in values.get(quality, ())])
        for name, qualities in RANGES.items()
    }
    low, high = means.values()
    whole = Mean(None)
    if all(any(q in values for q in qualities) for qualities in RANGES.values()):
        equal = low.equal + high.equal
        if low.value is None or high.value is None:
            whole = Mean(high.value if low.value is None else low.value, equal)
        else:
            weights = [len(qualities) for qualities in RANGES.values()]
            total = low.value * weights[0] + high.value * weights[1]
            whole = Mean(total / sum(weights), equal)
    return {name: {**means, WHOLE_RANGE: whole}[name] for name in COLUMNS}


class _QualityRow(Protocol):
    """A row of any command."""

    @property
    def approach(self) -> str:
        """Key of an approach."""

    @property
    def quality(self) -> int:
        """1 to 100."""


def by_approach(rows: Iterable[_QualityRow], measure: str) -> dict[str, dict[int, list[float]]]:
    """Values of a field by the rows' approach and quality."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        values = found.setdefault(row.approach, {}).setdefault(row.quality, [])
        values.append(float(getattr(row, measure)))
    return found


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n in the denominator) of finite values; NaN if there are none.

    NaN is what a curve leaves out.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return math.nan, math.nan
    return statistics.fmean(finite), statistics.pstdev(finite)
